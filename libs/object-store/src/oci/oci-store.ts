import { createReadStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { Readable, Transform } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type Digest, digestBytes, digestFromHex } from '@tsbuild/digest'
import { EnvironmentError, isBuildError, withDetails } from '@tsbuild/errors'
import type { Descriptor, ImageReference } from '@tsbuild/oci'
import type { RegistryClient } from '@tsbuild/registry'
import type { Locks } from '@tsbuild/store'
import { boundsOf, storeIsClosed, throwIfCancelled, valueTooLarge } from '../failures.ts'
import type { Staged, Temporaries } from '../fs/temporaries.ts'
import { parseObjectKey, parseObjectPrefix } from '../object-key.ts'
import type { ObjectInfo, ObjectKey, ObjectStore, OpenObjectStore } from '../types.ts'
import { maxCasBytes } from '../types.ts'
import { destroySource, isSourceFile } from '../verify.ts'
import {
  emptyConfig,
  emptyDescriptor,
  keyOfTag,
  manifestType,
  readManifest,
  type StoredObject,
  tagOfKey,
  writeManifest,
} from './object-manifest.ts'

/** What an {@link OciStore} works with. */
export interface OciStoreParts {
  readonly client: RegistryClient
  readonly reference: Pick<ImageReference, 'registry' | 'repository'>
  readonly now: () => number
  readonly randomId: () => string
  readonly temporaries: Temporaries
  readonly locks: Locks
  readonly scratch: string
}

/** A manifest that a tag names now. */
interface Found extends StoredObject {
  readonly manifest: Digest
}

/** Manifests that {@link ObjectStore.list} asks for at once. */
const manifestsAtOnce = 8

/**
 * {@link OpenObjectStore} in one repository: a blob for the bytes of an object, a manifest for what is known of it, and a tag for its name. Whoever
 * changes a tag holds the lock of the key, on this machine.
 */
export class OciStore implements OpenObjectStore {
  readonly kind = 'oci'
  readonly exclusion = 'machine'
  readonly scratch: string
  readonly #parts: OciStoreParts
  readonly #calls = new Set<Promise<unknown>>()
  #configIsThere = false
  #closed = false

  constructor(parts: OciStoreParts) {
    this.#parts = parts
    this.scratch = parts.scratch
  }

  async putIfAbsent(
    ...[key, source, expected, options]: Parameters<ObjectStore['putIfAbsent']>
  ): Promise<boolean> {
    try {
      return await this.#call(key, options?.signal, async () => {
        if (await this.#touch(key)) {
          if (isSourceFile(source)) await rm(source.path, { force: true })
          return false
        }
        const { temporaries } = this.#parts
        const staged = await temporaries.stage(key, source, expected, options?.signal)
        const blob = digestFromHex(expected.sha256)
        const isNew = await this.#putStaged(key, staged, blob, options?.signal).catch(async (error) => {
          if (!isSourceFile(source)) await rm(staged.path, { force: true })
          throw error
        })
        await rm(staged.path, { force: true })
        return isNew
      })
    } finally {
      destroySource(source)
    }
  }

  async #putStaged(
    key: ObjectKey,
    { path, size }: Staged,
    digest: Digest,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    await this.#upload({ mediaType: 'application/octet-stream', digest, size }, signal, (offset) =>
      createReadStream(path, { start: offset }),
    )
    return await this.#parts.locks.withLock(key, async () => {
      const found = await this.#find(key)
      const info = {
        key,
        size,
        version: found?.info.version ?? this.#parts.randomId(),
        modifiedMs: this.#parts.now(),
      }
      await this.#write({ info, blob: size === 0 ? undefined : digest }, found)
      return found === undefined
    })
  }

  async #upload(
    descriptor: Descriptor,
    signal: AbortSignal | undefined,
    open: (offset: number) => Readable,
  ): Promise<void> {
    if (!this.#configIsThere) {
      const openConfig = (offset: number) => Readable.from([emptyConfig.subarray(offset)])
      await this.#uploadOnce(emptyDescriptor, signal, openConfig)
      this.#configIsThere = true
    }
    if (descriptor.size > 0) await this.#uploadOnce(descriptor, signal, open)
  }

  /** The second of two who send the same blob finds it there; registries answer 500 to both when they send it at one moment. */
  async #uploadOnce(
    descriptor: Descriptor,
    signal: AbortSignal | undefined,
    open: (offset: number) => Readable,
  ): Promise<void> {
    const { client, reference, locks } = this.#parts
    await locks.withLock(
      `blob ${descriptor.digest}`,
      () => client.uploadBlob(reference, descriptor, open, { signal }),
      { signal },
    )
  }

  /** With the lock of the key. What the tag named before is taken away afterwards, as nothing names it any more. */
  async #write(object: StoredObject, before: Found | undefined): Promise<void> {
    const { client, reference, randomId } = this.#parts
    const bytes = writeManifest(object, randomId())
    await client.putManifest({ ...reference, tag: tagOfKey(object.info.key) }, bytes, manifestType)
    if (before !== undefined) await this.#remove(before).catch(ignoreUndeletable)
  }

  async #remove({ manifest }: Found): Promise<void> {
    const { client, reference } = this.#parts
    try {
      await client.deleteManifest({ ...reference, digest: manifest })
    } catch (error) {
      if (!isCode(error, 'ERR_IMAGE_NOT_FOUND')) throw error
    }
  }

  async #find(key: ObjectKey, signal?: AbortSignal): Promise<Found | undefined> {
    const found = await this.#findTag(tagOfKey(key), signal)
    return found?.info.key === key ? found : undefined
  }

  async #findTag(tag: string, signal: AbortSignal | undefined): Promise<Found | undefined> {
    const { client, reference } = this.#parts
    try {
      const { bytes, descriptor } = await client.resolve(
        { ...reference, tag },
        { signal, accept: [manifestType] },
      )
      const object = readManifest(bytes)
      return object && { ...object, manifest: descriptor.digest }
    } catch (error) {
      if (isCode(error, 'ERR_IMAGE_NOT_FOUND')) return undefined
      throw error
    }
  }

  /** @returns whether it is there */
  async #touch(key: ObjectKey, earlierThan = Number.POSITIVE_INFINITY): Promise<boolean> {
    const seen = await this.#find(key)
    if (seen === undefined || seen.info.modifiedMs >= earlierThan) return seen !== undefined
    return await this.#parts.locks.withLock(key, async () => {
      const found = await this.#find(key)
      if (found === undefined) return false
      const info = { ...found.info, modifiedMs: this.#parts.now() }
      await this.#write({ info, blob: found.blob }, found)
      return true
    })
  }

  get(...[key, options]: Parameters<ObjectStore['get']>): ReturnType<ObjectStore['get']> {
    const signal = options?.signal
    return this.#call(key, signal, async () => {
      const found = await this.#find(key, signal)
      if (found === undefined) return undefined
      const { info, blob: digest } = found
      const { start, end } = boundsOf(key, info.size, options?.range)
      if (digest === undefined) return { info, stream: Readable.from([]) }
      const { client, reference } = this.#parts
      const descriptor = { mediaType: 'application/octet-stream', digest, size: info.size }
      const stream = await client.fetchBlob(reference, descriptor, { signal, offset: start })
      return { info, stream: exactly(stream, end - start, key) }
    })
  }

  head(...[key, options]: Parameters<ObjectStore['head']>): Promise<ObjectInfo | undefined> {
    return this.#call(key, options?.signal, async () => {
      const { touchBefore, signal } = options ?? {}
      if (touchBefore !== undefined && !(await this.#touch(key, touchBefore))) return undefined
      return (await this.#find(key, signal))?.info
    })
  }

  async *list(...[prefix, options]: Parameters<ObjectStore['list']>): AsyncGenerator<ObjectInfo> {
    parseObjectPrefix(prefix)
    const after = options?.after === undefined ? '' : parseObjectKey(options.after)
    const isWanted = (key: ObjectKey) => key.startsWith(prefix) && key > after
    const signal = options?.signal
    const named = await this.#call(undefined, signal, () => this.#keys(signal))
    const keys = named.filter(isWanted).toSorted()
    for (let at = 0; at < keys.length; at += manifestsAtOnce) {
      const batch = keys.slice(at, at + manifestsAtOnce)
      const find = () => Promise.all(batch.map((key) => this.#find(key, signal)))
      for (const found of await this.#call(undefined, signal, find)) if (found !== undefined) yield found.info
    }
  }

  async #keys(signal: AbortSignal | undefined): Promise<readonly ObjectKey[]> {
    const { client, reference } = this.#parts
    const tags = await client.listTags(reference, { signal }).catch((error) => {
      if (isCode(error, 'ERR_IMAGE_NOT_FOUND')) return []
      throw error
    })
    const keys: ObjectKey[] = []
    for (const tag of tags) {
      const key = keyOfTag(tag)
      const known = key === 'unknown' ? (await this.#findTag(tag, signal))?.info.key : key
      if (known !== undefined) keys.push(known)
    }
    return keys
  }

  delete(...[key, ifUnmodified, options]: Parameters<ObjectStore['delete']>): Promise<boolean> {
    return this.#call(key, options?.signal, () =>
      this.#parts.locks.withLock(key, async () => {
        const found = await this.#find(key)
        if (found === undefined) return true
        if (ifUnmodified !== undefined) {
          const { version, notAfterMs = Number.POSITIVE_INFINITY } = ifUnmodified
          if (found.info.version !== version || found.info.modifiedMs > notAfterMs) return false
        }
        await this.#remove(found)
        return true
      }),
    )
  }

  cas(...[key, old, value, options]: Parameters<ObjectStore['cas']>): ReturnType<ObjectStore['cas']> {
    return this.#call(key, options?.signal, async () => {
      if (value !== null && value.length > maxCasBytes) throw valueTooLarge(key, value.length, maxCasBytes)
      if (((await this.#find(key))?.info.version ?? null) !== old) return undefined
      const bytes = Buffer.from(value ?? [])
      const descriptor = {
        mediaType: 'application/octet-stream',
        digest: digestBytes(bytes),
        size: bytes.length,
      }
      const open = (offset: number) => Readable.from([bytes.subarray(offset)])
      if (value !== null) await this.#upload(descriptor, options?.signal, open)
      return await this.#parts.locks.withLock(key, async () => {
        const found = await this.#find(key)
        if ((found?.info.version ?? null) !== old) return undefined
        if (value === null) {
          if (found !== undefined) await this.#remove(found)
          return { version: null }
        }
        const { now, randomId } = this.#parts
        const info = { key, size: bytes.length, version: randomId(), modifiedMs: now() }
        await this.#write({ info, blob: bytes.length === 0 ? undefined : descriptor.digest }, found)
        return { version: info.version }
      })
    })
  }

  async probe(signal: AbortSignal): Promise<void> {
    await this.#call(undefined, signal, async () => {
      this.#configIsThere = false
      await this.#upload({ ...emptyDescriptor, size: 0 }, signal, () => Readable.from([]))
      const { client, reference } = this.#parts
      const stream = await client.fetchBlob(reference, emptyDescriptor, { signal })
      if (!(await buffer(stream)).equals(emptyConfig))
        throw new EnvironmentError('ERR_STORE_IO', 'Cannot read back what was written: it has other bytes')
    })
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.allSettled(this.#calls)
    await this.#parts.temporaries.close()
  }

  async #call<T>(
    key: string | undefined,
    signal: AbortSignal | undefined,
    body: () => Promise<T>,
  ): Promise<T> {
    if (this.#closed) throw storeIsClosed(this.kind)
    if (key !== undefined) parseObjectKey(key)
    throwIfCancelled(signal, 'use the object store')
    const running = body()
    this.#calls.add(running)
    try {
      return await running
    } catch (error) {
      throw registryFailure(error)
    } finally {
      this.#calls.delete(running)
    }
  }
}

/** A registry that does not answer, or not as it should, is a storage that cannot be reached: what it said is the cause. */
function registryFailure(error: unknown): unknown {
  if (!isBuildError(error) || !error.code.startsWith('ERR_REGISTRY_')) return error
  const isFull = error.details.status === 507
  const code = isFull ? 'ERR_STORE_NO_SPACE' : 'ERR_STORAGE_UNAVAILABLE'
  const failure = new EnvironmentError(
    code,
    `Cannot use the registry that holds the objects: ${error.message}`,
    {
      cause: error,
      hints: error.hints,
    },
  )
  return withDetails(failure, error.details)
}

/** A registry that deletes nothing keeps manifests that nothing names: they cost a little room. */
function ignoreUndeletable(error: unknown): void {
  if (!isCode(error, 'ERR_UNSUPPORTED')) throw error
}

function isCode(error: unknown, code: string): boolean {
  return isBuildError(error) && error.code === code
}

/** So many bytes of a stream, and then its end. */
function exactly(source: Readable, size: number, key: ObjectKey): Readable {
  let left = size
  const cut = new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      const piece = chunk.subarray(0, left)
      left -= piece.length
      callback(null, piece.length > 0 ? piece : undefined)
      if (left > 0) return
      this.push(null)
      source.destroy()
    },
    flush(callback) {
      if (left === 0) return callback()
      callback(
        new EnvironmentError('ERR_STORE_CORRUPT', `Cannot read object "${key}": ${left} bytes are missing`),
      )
    },
    destroy(error, callback) {
      source.destroy()
      callback(error)
    },
  })
  source.on('error', (error) => {
    if (left > 0) cut.destroy(error)
  })
  source.pipe(cut)
  return cut
}
