import { constants } from 'node:fs'
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises'
import { sep } from 'node:path'

/** What a path below a directory turned out to be. */
export type Inside =
  /** Open for reading; the caller closes it. */
  | {
      readonly kind: 'file'
      readonly file: FileHandle
      readonly sizeBytes: number
      /** Permission bits. */
      readonly mode: number
    }
  /** A directory, a device, a pipe or a socket. */
  | { readonly kind: 'other' }
  /** Symlinks lead out of the directory. */
  | { readonly kind: 'outside' }

/**
 * Opens a regular file below a directory whose content is somebody else's. Where the path led is asked of the open
 * descriptor, so that a link which is put there meanwhile changes nothing. Nothing is waited for: a pipe without a writer is
 * only `other`.
 *
 * @param root a directory; symlinks on the way to it are followed
 * @param path absolute
 * @throws the system's error, for example `ENOENT`
 * @see spec/security.md 3.3, CPY-11
 */
export async function openInside(root: string, path: string): Promise<Inside> {
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY)
  let kept = false
  try {
    const real = await readlink(`/proc/self/fd/${file.fd}`)
    const base = await realpath(root)
    if (!real.startsWith(base.endsWith(sep) ? base : `${base}${sep}`)) return { kind: 'outside' }
    const stats = await file.stat()
    if (!stats.isFile()) return { kind: 'other' }
    kept = true
    return { kind: 'file', file, sizeBytes: stats.size, mode: stats.mode & 0o7777 }
  } finally {
    if (!kept) await file.close()
  }
}
