import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { parseDigest } from '@tsbuild/digest'
import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import { fileSink } from '@tsbuild/registry'
import type { CachedBlobRef, FetchWatcher } from '@tsbuild/snapshot'
import { onDisk, type Store } from '@tsbuild/store'
import type { GuardedImporter } from './look-ups.ts'

/** A cache that sends nothing of a layer for this long stalls. */
const stalledMs = 2000
/** A connection that broke after it had brought something is opened again, so often. */
const attempts = 4
/** One that stalls after it had brought something may only be slow: it is opened again once for a layer. */
const stalls = 1

/** What layers are fetched with. */
export interface FetchOptions {
  readonly store: Store
  /** In the order in which they are tried. */
  readonly importers: readonly GuardedImporter[]
  /** Default {@link stalledMs}. */
  readonly stallMs?: number | undefined
}

/** A cache sent nothing for too long. */
class Stall extends Error {}

/**
 * Brings the blob of a layer into the store from the first place that has it whole. A cache that stalls is not asked any more: the next
 * layer would wait as long.
 */
export async function fetchCached(
  { store, importers, stallMs = stalledMs }: FetchOptions,
  blob: CachedBlobRef,
  signal: AbortSignal,
  watcher?: FetchWatcher,
): Promise<void> {
  const { places } = blob.layer
  const has = importers.filter(({ importer, guard }) => guard.isAlive && places.includes(importer.name))
  let reason: unknown = new Error('none of the caches of this build has it')
  for (const place of has) {
    try {
      await fetchFrom(store, bytesOf(place, blob, { signal, stallMs }), blob, watcher)
      return
    } catch (error) {
      if (signal.aborted || isOfMachine(error)) throw error
      if (error instanceof Stall) place.guard.fail(error)
      else place.guard.complain(error)
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
  bytes: AsyncIterable<Buffer>,
  blob: CachedBlobRef,
  watcher: FetchWatcher | undefined,
): Promise<void> {
  const { digest, size } = blob
  const ingest = await store.blobs.ingest()
  try {
    const file = fileSink(ingest.fd)
    const hash = createHash('sha256')
    watcher?.begins(ingest.path)
    let position = 0
    for await (const chunk of bytes) {
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

/** The bytes of a blob from one cache, taken up again where a connection broke or stalled. */
async function* bytesOf(
  { importer }: GuardedImporter,
  blob: CachedBlobRef,
  { signal, stallMs }: { readonly signal: AbortSignal; readonly stallMs: number },
): AsyncGenerator<Buffer> {
  const { layer, kind: _, ...stored } = blob
  let position = 0
  let stalled = 0
  for (let attempt = 1; position < blob.size; attempt++) {
    const before = position
    const given = new AbortController()
    try {
      const opening = importer.openBlob(layer, stored, position, AbortSignal.any([signal, given.signal]))
      const stream = await stalling(opening, stallMs)
      if (stream === undefined) throw new Error(`layer ${blob.digest} is not there any more`)
      for await (const chunk of chunksOf(stream, stallMs)) {
        position += chunk.byteLength
        if (position > blob.size) throw new RangeError(`layer ${blob.digest} has more bytes there`)
        yield chunk
      }
      if (position < blob.size) throw new Error(`layer ${blob.digest} ends too early there`)
    } catch (error) {
      if (error instanceof Stall) stalled++
      // What did not come in time is not to come beside the next attempt.
      given.abort()
      const isProgress = position > before && !(error instanceof RangeError)
      if (signal.aborted || !isProgress || attempt >= attempts || stalled > stalls) throw error
    }
  }
}

async function* chunksOf(stream: Readable, stallMs: number): AsyncGenerator<Buffer> {
  const iterator = stream[Symbol.asyncIterator]()
  try {
    for (;;) {
      const { done, value } = await stalling(iterator.next(), stallMs)
      if (done === true) return
      yield Buffer.isBuffer(value) ? value : Buffer.from(value)
    }
  } finally {
    stream.destroy()
  }
}

/** @throws {Stall} where nothing comes for too long */
async function stalling<T>(coming: Promise<T>, stallMs: number): Promise<T> {
  coming.catch(() => {})
  return await new Promise<T>((resolve, reject) => {
    const timer = setTimeout(() => reject(new Stall(`no bytes came for ${stallMs / 1000} s`)), stallMs)
    coming.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
