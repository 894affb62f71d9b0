import { Readable } from 'node:stream'
import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import type { ObjectStore, OpenObjectStore } from '@tsbuild/object-store'
import type { SpaceLimits } from './types.ts'

/**
 * How much room is left: what was there when it was measured last, and what this process has stored since. What other processes store
 * is known with the next measurement; before the first one there is always room.
 */
export class Room {
  readonly #onHigh: () => void
  #limits: Pick<SpaceLimits, 'maxBytes' | 'highBytes'> | undefined
  #bytes = 0
  #told = false

  /** @param onHigh called when it is time to collect; again only after {@link Room.measured} */
  constructor(onHigh: () => void) {
    this.#onHigh = onHigh
  }

  /** What is stored, as far as it is known. */
  get bytes(): number {
    return this.#bytes
  }

  /** How much may be stored; undefined while there is no limit. */
  get maxBytes(): number | undefined {
    return this.#limits?.maxBytes
  }

  /** Takes what the collector found. */
  measured(bytes: number, limits: Pick<SpaceLimits, 'maxBytes' | 'highBytes'> | undefined): void {
    this.#bytes = bytes
    this.#limits = limits
    this.#told = false
  }

  fits(bytes: number): boolean {
    return this.#limits === undefined || this.#bytes + bytes <= this.#limits.maxBytes
  }

  /** @throws {EnvironmentError} `ERR_STORE_NO_SPACE` (HTTP 507) where so much more is too much */
  assertFits(bytes: number): void {
    if (this.fits(bytes)) return
    this.tellHigh()
    const { maxBytes } = this
    throw new EnvironmentError(
      'ERR_STORE_NO_SPACE',
      `Cannot store ${bytes} bytes: ${this.#bytes} of the ${maxBytes} that the cache may have are taken`,
      { details: { bytes, usedBytes: this.#bytes, maxBytes } },
    )
  }

  added(bytes: number): void {
    this.#bytes += bytes
    if (this.#limits !== undefined && this.#bytes > this.#limits.highBytes) this.tellHigh()
  }

  /** The disk itself is full, whatever was measured. */
  tellHigh(): void {
    if (this.#told) return
    this.#told = true
    this.#onHigh()
  }
}

/** The same store, which takes nothing that there is no room for. Reading, deleting and what is there already go on. */
export function boundedStore(store: OpenObjectStore, room: Room): OpenObjectStore {
  const watched = async <T>(storing: Promise<T>): Promise<T> => {
    try {
      return await storing
    } catch (error) {
      if (isBuildError(error) && error.code === 'ERR_STORE_NO_SPACE') room.tellHigh()
      throw error
    }
  }
  const putIfAbsent: ObjectStore['putIfAbsent'] = async (key, source, expected, options) => {
    const size = expected.size ?? 0
    // What is there already takes no more room.
    if (!room.fits(size) && (await store.head(key, options)) === undefined) {
      if (source instanceof Readable) source.destroy()
      room.assertFits(size)
    }
    const isNew = await watched(store.putIfAbsent(key, source, expected, options))
    if (isNew) room.added(size)
    return isNew
  }
  return {
    kind: store.kind,
    exclusion: store.exclusion,
    scratch: store.scratch,
    putIfAbsent,
    get: (key, options) => store.get(key, options),
    head: (key, options) => store.head(key, options),
    list: (prefix, options) => store.list(prefix, options),
    delete: (key, condition, options) => store.delete(key, condition, options),
    cas: (key, old, value, options) => watched(store.cas(key, old, value, options)),
    probe: (signal) => store.probe(signal),
    close: () => store.close(),
  }
}
