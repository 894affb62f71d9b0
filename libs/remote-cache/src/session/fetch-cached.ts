import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { parseDigest } from '@tsbuild/digest'
import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import { fileSink } from '@tsbuild/registry'
import type { CachedBlobRef, FetchWatcher } from '@tsbuild/snapshot'
import { onDisk, type Store } from '@tsbuild/store'
import type { GuardedImporter } from './look-ups.ts'

/** A cache that sends nothing of a layer for this long has lost it. */
export const stalledMs = 2000
/** A connection that broke after it had brought something is opened again, so often. */
const attempts = 4

/** Brings the blob of a layer into the store from the first place that has it whole. */
export async function fetchCached(
  { store, importers }: { readonly store: Store; readonly importers: readonly GuardedImporter[] },
  blob: CachedBlobRef,
  signal: AbortSignal,
  watcher?: FetchWatcher,
): Promise<void> {
  const { places } = blob.layer
  const has = importers.filter(({ importer, guard }) => guard.isAlive && places.includes(importer.name))
  let reason: unknown = new Error('none of the caches of this build has it')
  for (const place of has) {
    try {
      await fetchFrom(store, place, blob, signal, watcher)
      return
    } catch (error) {
      if (signal.aborted || isOfMachine(error)) throw error
      place.guard.complain(error)
      reason = error
    }
  }
  throw goneLayer(blob, reason)
}

/** What another attempt, or the step itself, is made instead of. */
export function goneLayer({ digest }: CachedBlobRef, cause: unknown): EnvironmentError {
  const why = cause instanceof Error ? cause.message : String(cause)
  return new EnvironmentError('ERR_CACHE_LAYER', `Cannot fetch layer "${digest}" from a cache: ${why}`, {
    cause: isBuildError(cause) ? cause : undefined,
  })
}

/** A full disk is no cache's fault. */
function isOfMachine(error: unknown): boolean {
  return isBuildError(error) && (/^ERR_STORE_/.test(error.code) || error.code === 'ERR_CACHE')
}

async function fetchFrom(
  store: Store,
  place: GuardedImporter,
  blob: CachedBlobRef,
  signal: AbortSignal,
  watcher: FetchWatcher | undefined,
): Promise<void> {
  const { digest, size } = blob
  const ingest = await store.blobs.ingest()
  try {
    const file = fileSink(ingest.fd)
    const hash = createHash('sha256')
    watcher?.begins(ingest.path)
    let position = 0
    for await (const chunk of bytesOf(place, blob, signal)) {
      await onDisk('write', ingest.path, () => file.write(chunk, position))
      hash.update(chunk)
      position += chunk.byteLength
      watcher?.grew(position)
    }
    if (position !== size || parseDigest(`sha256:${hash.digest('hex')}`) !== digest)
      throw new Error(`layer ${digest} has other bytes there`)
    await ingest.commit({ digest, size })
  } catch (error) {
    watcher?.restarts()
    await ingest.abort()
    throw error
  }
}

/** The bytes of a blob from one cache, taken up again where a connection broke. */
export async function* bytesOf(
  { importer }: GuardedImporter,
  blob: CachedBlobRef,
  signal: AbortSignal,
  from = 0,
): AsyncGenerator<Buffer> {
  const { layer, kind: _, ...stored } = blob
  let position = from
  for (let attempt = 1; position < blob.size; attempt++) {
    const before = position
    try {
      const stream = await stalling(importer.openBlob(layer, stored, position, signal))
      if (stream === undefined) throw new Error(`layer ${blob.digest} is not there any more`)
      for await (const chunk of chunksOf(stream)) {
        position += chunk.byteLength
        if (position > blob.size) throw new RangeError(`layer ${blob.digest} has more bytes there`)
        yield chunk
      }
      if (position < blob.size) throw new Error(`layer ${blob.digest} ends too early there`)
    } catch (error) {
      const isProgress = position > before && !(error instanceof RangeError)
      if (signal.aborted || !isProgress || attempt >= attempts) throw error
    }
  }
}

async function* chunksOf(stream: Readable): AsyncGenerator<Buffer> {
  const iterator = stream[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value } = await stalling(iterator.next())
      if (done === true) return
      yield Buffer.isBuffer(value) ? value : Buffer.from(value)
    }
  } finally {
    stream.destroy()
  }
}

/** @throws where nothing comes for too long */
async function stalling<T>(coming: Promise<T>): Promise<T> {
  coming.catch(() => {})
  return await new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no bytes came for ${stalledMs / 1000} s`)), stalledMs)
    coming.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
