import { constants } from 'node:fs'
import { open } from 'node:fs/promises'
import { basename, dirname } from 'node:path'

/** What fits into `sun_path` of unix(7) with its zero. */
const maxPathBytes = 107

/** A path of a unix socket that `bind(2)` and `connect(2)` take. */
export interface SocketPath {
  readonly path: string
  /** After this the path leads nowhere; what is connected stays connected. */
  close(): Promise<void>
}

/**
 * Gives a path of any length one that fits, through an open descriptor of its directory.
 *
 * @param process where the path will be used: in this process, or, with its id, in others of the same user
 */
export async function openSocketPath(path: string, process: 'self' | number = 'self'): Promise<SocketPath> {
  if (Buffer.byteLength(path) <= maxPathBytes) return { path, close: async () => {} }
  const folder = await open(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY)
  return { path: `/proc/${process}/fd/${folder.fd}/${basename(path)}`, close: () => folder.close() }
}
