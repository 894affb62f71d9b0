import { PassThrough } from 'node:stream'
import type { Native, Root } from '@tsbuild/native'

/**
 * When the newest file of a tree was made, in Unix seconds; undefined for a tree without files. Directories do not count:
 * one that an archive only implies is as old as its unpacking.
 *
 * The helper reads the tree, as files of an archive may belong to ids that this process is not.
 */
export async function newestEntry(
  native: Native,
  root: Root,
  signal: AbortSignal,
): Promise<number | undefined> {
  // Few builds ask for it.
  const { extract } = await import('tar-stream')
  const stream = new PassThrough()
  const entries = stream.pipe(extract())
  stream.once('error', (error) => entries.destroy(error))
  const written = native.exportTar(root, stream, { signal }).then(
    () => void stream.end(),
    (error) => void stream.destroy(error instanceof Error ? error : new Error(String(error))),
  )
  let newest: number | undefined
  for await (const entry of entries) {
    const { type, mtime } = entry.header
    const seconds = mtime === undefined ? undefined : Math.floor(mtime.getTime() / 1000)
    if (type !== 'directory' && seconds !== undefined) newest = Math.max(newest ?? seconds, seconds)
    entry.resume()
  }
  await written
  return newest
}
