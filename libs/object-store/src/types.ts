import type { Readable } from 'node:stream'

/**
 * The name of an object: one or more components of `a-z`, `0-9`, `.`, `_` and `-`, with `/` between them, at most 512 bytes, and at
 * most 200 in a component; no component begins with a dot. `parseObjectKey` says whether a text is one. Whatever comes from a
 * client is put into such a form before it becomes a key.
 */
export type ObjectKey = string

/** What an engine knows of an object without reading it. */
export interface ObjectInfo {
  readonly key: ObjectKey
  /** In bytes. */
  readonly size: number
  /** Changes with each change of the object's bytes; compared, never parsed. */
  readonly version: string
  /** Unix ms. Of an object that is never changed: when it was put last, also where it was there already. */
  readonly modifiedMs: number
}

/** Bytes of an object that is to be. */
export type ObjectSource =
  | Uint8Array
  /** Read to its end or destroyed, whatever comes of it. */
  | Readable
  /**
   * A file of the caller's, whole, verified and not changed any more. An engine that can takes it over without reading it,
   * another one reads it. It is gone when the call resolves, and still the caller's where it rejects.
   */
  | { readonly path: string; readonly size: number }

/** See {@link ObjectStore.putIfAbsent}. */
export interface PutExpectation {
  /** 64 lowercase hex digits: what the bytes must hash to. */
  readonly sha256: string
  readonly size?: number | undefined
}

/** An inclusive range of bytes, as in HTTP. */
export interface ByteRange {
  readonly start: number
  /** Undefined: to the end. */
  readonly end?: number | undefined
}

/** An object on its way out. */
export interface ObjectBody {
  readonly info: ObjectInfo
  /** The bytes asked for. To be read to its end or destroyed. */
  readonly stream: Readable
  /**
   * A file that holds the whole object, where the engine has one: for whoever can send it with fewer copies. It may be opened
   * until `stream` is closed, and is never written.
   */
  readonly path?: string | undefined
}

/**
 * Where the cache-server keeps everything, in six calls. Any number of processes may use one store. Nothing here is trusted
 * for what it holds: who reads verifies. Every call may reject with
 *
 * - `ERR_STORE_NO_SPACE` where there is no room (HTTP 507)
 * - `ERR_STORE_IO` where the storage failed, `ERR_STORAGE_UNAVAILABLE` where it cannot be reached now or the store is closed
 *   (HTTP 503)
 * - `ERR_OBJECT_KEY` for what is no key
 * - `ERR_CANCELLED` when the signal fires; what was asked for may have been done
 *
 * @see spec/cache-server.md 4.6
 */
export interface ObjectStore {
  /** For messages and metrics: `fs`, `oci`. */
  readonly kind: string
  /**
   * How far {@link cas} and a conditional {@link delete} exclude each other: among the processes of one machine, or everywhere
   * that the storage is used from. On a store of kind `machine` only one machine may serve.
   */
  readonly exclusion: 'machine' | 'everywhere'
  /**
   * Stores an object that never changes. Durable when it resolves, and visible to every process; nothing is visible before.
   * Bytes that do not hash to what was expected are never visible. Idempotent, also at the same moment.
   * @returns false where it was there: its bytes are left, and its `modifiedMs` is now, so that no collector of garbage takes it
   * @throws {UserError} `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH`
   */
  putIfAbsent(
    key: ObjectKey,
    source: ObjectSource,
    expected: PutExpectation,
    options?: StoreCallOptions,
  ): Promise<boolean>
  /**
   * Opens an object, or a part of it.
   * @returns undefined where there is none
   * @throws {UserError} `ERR_RANGE` where the range begins behind the last byte, or ends before it begins
   */
  get(
    key: ObjectKey,
    options?: StoreCallOptions & { readonly range?: ByteRange | undefined },
  ): Promise<ObjectBody | undefined>
  /**
   * What is known of an object, without its bytes.
   *
   * @param options.touchBefore an object whose `modifiedMs` is earlier than this has it set to now, before the call resolves: so
   *   that it can be promised to somebody for a while (see {@link delete}) without a write for each promise
   * @returns undefined where there is none
   */
  head(
    key: ObjectKey,
    options?: StoreCallOptions & { readonly touchBefore?: number | undefined },
  ): Promise<ObjectInfo | undefined>
  /**
   * The objects whose keys begin with `prefix`, which need not end with a component, in the order of the bytes of their keys, after `after` where it is given. What is
   * put or deleted meanwhile may be listed or not; everything else is, once.
   */
  list(
    prefix: string,
    options?: StoreCallOptions & { readonly after?: ObjectKey | undefined },
  ): AsyncIterable<ObjectInfo>
  /**
   * Deletes an object. Who reads it goes on reading it.
   * @param ifUnmodified does it only while this is the object's version and its `modifiedMs` is not later than `notAfterMs`
   * @returns whether it is gone now: false where it was changed, or put again, meanwhile
   */
  delete(
    key: ObjectKey,
    ifUnmodified?: { readonly version: string; readonly notAfterMs?: number | undefined },
    options?: StoreCallOptions,
  ): Promise<boolean>
  /**
   * Changes a small object (at most 4 MiB) whole: `old` is the version that it must have, null where there must be none; `value`
   * null deletes it. Of several callers at one moment exactly one wins. Durable when it resolves.
   * @returns the new version, null for a deleted one; undefined where `old` is not the version
   * @throws {UserError} `ERR_OBJECT_TOO_LARGE`
   */
  cas(
    key: ObjectKey,
    old: string | null,
    value: Uint8Array | null,
    options?: StoreCallOptions,
  ): Promise<{ readonly version: string | null } | undefined>
}

/** What every call can be given. */
export interface StoreCallOptions {
  readonly signal?: AbortSignal | undefined
}

/** The most bytes that {@link ObjectStore.cas} takes. */
export const maxCasBytes = 4 * 1024 * 1024

/** An engine: an object store that is opened and closed. */
export interface OpenObjectStore extends ObjectStore {
  /**
   * A directory on the same file system as the objects, for uploads under way; who makes something in it removes it, also what
   * a process that died has left. Where the engine has no disk, one that the caller gave.
   */
  readonly scratch: string
  /** Whether the storage answers, writes and reads back: asked by `/readyz`. */
  probe(signal: AbortSignal): Promise<void>
  /** Waits for calls under way; later ones reject. Bodies that are open can be read to their ends. */
  close(): Promise<void>
}
