import { createReadStream } from 'node:fs'
import { rm, stat } from 'node:fs/promises'
import { Readable } from 'node:stream'
import { boundsOf, cancelled, storeIsClosed, throwIfCancelled, valueTooLarge } from '../failures.ts'
import { parseObjectKey, parseObjectPrefix } from '../object-key.ts'
import type { ObjectInfo, ObjectSource, ObjectStore, OpenObjectStore, PutExpectation } from '../types.ts'
import { maxCasBytes } from '../types.ts'
import { assertSize, bytesOf, destroySource, isSourceFile, Verifier } from '../verify.ts'

/** What a {@link memoryStore} is made with. */
export interface MemoryStoreOptions {
  /** Unix ms. Default: the system's clock. */
  readonly now?: (() => number) | undefined
  /** For {@link OpenObjectStore.scratch}. */
  readonly scratch?: string | undefined
}

/** An {@link OpenObjectStore} that keeps everything in this process, for tests of what stands above an engine. */
export function memoryStore(options: MemoryStoreOptions = {}): OpenObjectStore {
  return new MemoryStore(options)
}

interface Entry {
  readonly bytes: Buffer
  readonly info: ObjectInfo
}

class MemoryStore implements OpenObjectStore {
  readonly kind = 'memory'
  readonly exclusion = 'everywhere'
  readonly scratch: string
  readonly #now: () => number
  readonly #entries = new Map<string, Entry>()
  #versions = 0
  #closed = false

  constructor({ now = Date.now, scratch = '/nonexistent' }: MemoryStoreOptions) {
    this.#now = now
    this.scratch = scratch
  }

  async putIfAbsent(
    ...[key, source, expected, options]: Parameters<ObjectStore['putIfAbsent']>
  ): Promise<boolean> {
    try {
      this.#begin(key, options?.signal)
      const isThere = this.#touch(key) || !(await this.#read(key, source, expected, options?.signal))
      if (isSourceFile(source)) await rm(source.path)
      return !isThere
    } finally {
      destroySource(source)
    }
  }

  async get(...[key, options]: Parameters<ObjectStore['get']>): ReturnType<ObjectStore['get']> {
    this.#begin(key, options?.signal)
    const entry = this.#entries.get(key)
    if (entry === undefined) return undefined
    const { start, end } = boundsOf(key, entry.info.size, options?.range)
    return { info: entry.info, stream: Readable.from([entry.bytes.subarray(start, end)]) }
  }

  async head(...[key, options]: Parameters<ObjectStore['head']>): Promise<ObjectInfo | undefined> {
    this.#begin(key, options?.signal)
    const entry = this.#entries.get(key)
    if (entry !== undefined && entry.info.modifiedMs < (options?.touchBefore ?? 0)) this.#touch(key)
    return this.#entries.get(key)?.info
  }

  async *list(...[prefix, options]: Parameters<ObjectStore['list']>): AsyncGenerator<ObjectInfo> {
    this.#begin(undefined, options?.signal)
    const after = options?.after === undefined ? '' : parseObjectKey(options.after)
    const keys = [...this.#entries.keys()].filter(
      (key) => key.startsWith(parseObjectPrefix(prefix)) && key > after,
    )
    for (const key of keys.toSorted()) {
      throwIfCancelled(options?.signal, 'list objects')
      const info = this.#entries.get(key)?.info
      if (info !== undefined) yield info
    }
  }

  async delete(...[key, ifUnmodified, options]: Parameters<ObjectStore['delete']>): Promise<boolean> {
    this.#begin(key, options?.signal)
    const info = this.#entries.get(key)?.info
    if (info === undefined) return true
    if (ifUnmodified !== undefined) {
      const { version, notAfterMs = Number.POSITIVE_INFINITY } = ifUnmodified
      if (info.version !== version || info.modifiedMs > notAfterMs) return false
    }
    this.#entries.delete(key)
    return true
  }

  async cas(...[key, old, value, options]: Parameters<ObjectStore['cas']>): ReturnType<ObjectStore['cas']> {
    this.#begin(key, options?.signal)
    if (value !== null && value.length > maxCasBytes) throw valueTooLarge(key, value.length, maxCasBytes)
    if ((this.#entries.get(key)?.info.version ?? null) !== old) return undefined
    if (value === null) {
      this.#entries.delete(key)
      return { version: null }
    }
    return { version: this.#set(key, Buffer.from(value)).version }
  }

  async probe(signal: AbortSignal): Promise<void> {
    this.#begin(undefined, signal)
  }

  async close(): Promise<void> {
    this.#closed = true
  }

  /** @returns false where somebody put it while the source was read */
  async #read(
    key: string,
    source: ObjectSource,
    expected: PutExpectation,
    signal: AbortSignal | undefined,
  ): Promise<boolean> {
    const bytes = await readSource(key, source, expected, signal)
    if (this.#touch(key)) return false
    this.#set(key, bytes)
    return true
  }

  #begin(key: string | undefined, signal: AbortSignal | undefined): void {
    if (this.#closed) throw storeIsClosed(this.kind)
    if (key !== undefined) parseObjectKey(key)
    throwIfCancelled(signal, 'use the object store')
  }

  #touch(key: string): boolean {
    const entry = this.#entries.get(key)
    if (entry === undefined) return false
    this.#entries.set(key, { ...entry, info: { ...entry.info, modifiedMs: this.#now() } })
    return true
  }

  #set(key: string, bytes: Buffer): ObjectInfo {
    this.#versions += 1
    const info = { key, size: bytes.length, version: `${this.#versions}`, modifiedMs: this.#now() }
    this.#entries.set(key, { bytes, info })
    return info
  }
}

async function readSource(
  key: string,
  source: ObjectSource,
  expected: PutExpectation,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const stream = await openSource(key, source)
  const abort = () => stream.destroy(signal === undefined ? undefined : cancelled(signal, 'store object'))
  signal?.addEventListener('abort', abort, { once: true })
  try {
    const verifier = new Verifier(key, expected)
    const chunks: Uint8Array[] = []
    for await (const chunk of stream) {
      verifier.update(bytesOf(chunk))
      chunks.push(bytesOf(chunk))
    }
    verifier.finish()
    return Buffer.concat(chunks)
  } finally {
    signal?.removeEventListener('abort', abort)
  }
}

async function openSource(key: string, source: ObjectSource): Promise<Readable> {
  if (source instanceof Uint8Array) return Readable.from([Buffer.from(source)])
  if (!isSourceFile(source)) return source
  assertSize(key, (await stat(source.path)).size, source)
  return createReadStream(source.path)
}
