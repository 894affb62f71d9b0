import type { Readable } from 'node:stream'
import type { Digest, KeyValue } from '@tsbuild/digest'
import type { Descriptor } from '@tsbuild/oci'
import type { SnapshotStore } from './snapshot-types.ts'
import type { Removal, StoreSpace } from './space-types.ts'
import type { StepIndex } from './step-index-types.ts'

export type { Removal, StoreEntry, StoreEntryKind, StoreSpace } from './space-types.ts'

/** What the store needs from outside. */
export interface StoreOptions {
  /** An absolute path, made with mode 0700 if missing. */
  readonly root: string
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  /** 32 lowercase hex digits, different at each call. */
  readonly randomId: () => string
  /** Makes everything written so far below a path durable (`syncfs`). Not called with durability `none`. */
  readonly sync: (path: string) => Promise<void>
  /** Deletes trees, also those whose files belong to subordinate ids. */
  readonly removeTrees: (paths: readonly string[]) => Promise<void>
  /**
   * The bytes that trees take on disk, as `du` counts them: allocated blocks, what has several names once, in whatever tree;
   * 0 for what is gone. Also trees that the caller itself may not read. Default: a walk of our own.
   */
  readonly measureTrees?: ((paths: readonly string[]) => Promise<readonly number[]>) | undefined
  /**
   * The content digest of a tree, kept with a fetched source so that damage is noticed; undefined for one that has none.
   * Default: none is kept.
   */
  readonly contentOf?: ((path: string) => Promise<string | undefined>) | undefined
  readonly durability: 'full' | 'none'
  /** How many failed steps are kept; default 5. */
  readonly keptFailures?: number | undefined
}

/** A directory of content-addressed data that any number of processes share. */
export interface Store {
  readonly root: string
  /** Whether commits survive a power cut; otherwise nothing needs to be synced. */
  readonly durable: boolean
  readonly blobs: BlobStore
  readonly images: LocalImages
  readonly snapshots: SnapshotStore
  readonly records: RecordStore
  readonly steps: StepIndex
  readonly sources: SourceStore
  readonly failures: FailureStore
  readonly builds: BuildStore
  readonly cacheMounts: CacheMountStore
  readonly locks: Locks
  readonly space: StoreSpace
  /**
   * Lets go of everything this opening has used: see {@link StoreSpace.remove}. For a process that lives on between builds;
   * to be called while none is under way.
   */
  releaseUses(): void
  /** The file in which a component keeps what it can always make again; its directory exists. `name` is hashed. */
  cacheFile(kind: 'fingerprints' | 'probe', name: string): string
  /** Lists of files with their digests, by their own digest: the readable part of a COPY's cache key. Idempotent. */
  putFileList(digest: Digest, text: Uint8Array): Promise<void>
  /** @returns undefined where it is not kept any more */
  getFileList(digest: Digest): Promise<string | undefined>
  /** 32 random bytes of this store, for digests of secrets; made when first asked for, and readable by the owner alone. */
  secretKey(): Promise<Uint8Array>
  /** Waits for commits under way and lets go of the session. */
  close(): Promise<void>
}

/** Blobs, each named by the digest of its bytes: `v1/blobs/sha256/<hex>`. Safe for any number of processes. */
export interface BlobStore {
  /** Its size in bytes, undefined if it is not there. */
  size(digest: Digest): Promise<number | undefined>
  /** Where it is; it may be opened and never be written. */
  path(digest: Digest): string
  /**
   * Reads a small blob whole and verifies it.
   * @throws {EnvironmentError} `ERR_STORE_CORRUPT` if its bytes are not those of its name, when it is moved to
   *   quarantine, or if it is not there
   * @throws {UserError} `ERR_SIZE_MISMATCH` if it is larger than `maxBytes` (default 8 MiB)
   */
  read(digest: Digest, maxBytes?: number): Promise<Buffer>
  /**
   * The bytes of a blob, verified on the way: where they are not those of its name, or cannot be read, the stream ends with an
   * error and the blob is moved to quarantine. Who reads it must not count on its bytes before its end.
   * Errors of the stream: {EnvironmentError} `ERR_STORE_CORRUPT`
   */
  stream(descriptor: { readonly digest: Digest; readonly size: number }): Readable
  /**
   * Reads a blob of any size and says whether it is there and whole; one that is damaged is moved to quarantine, so that it
   * is fetched or made again.
   */
  verify(digest: Digest): Promise<boolean>
  /**
   * Stores the bytes and returns their digest and size. Idempotent. Durable when it resolves. A stream is used up or
   * destroyed in any case; its own errors leave as they are.
   * @throws {UserError} `ERR_DIGEST_MISMATCH`, `ERR_SIZE_MISMATCH` if the bytes are not the expected ones
   * @throws {EnvironmentError} `ERR_STORE_NO_SPACE`; nothing is left behind
   */
  put(
    source: Readable | Uint8Array,
    expected?: { readonly digest: Digest; readonly size?: number | undefined },
  ): Promise<{ readonly digest: Digest; readonly size: number }>
  /** A file under no final name that someone else writes: the helper, a resumable download. */
  ingest(): Promise<Ingest>
}

/** Bytes on their way in. Ends in exactly one of `commit` and `abort`. */
export interface Ingest {
  readonly path: string
  /** Opened for reading and writing; closed by `commit` and `abort`. */
  readonly fd: number
  /**
   * Gives the blob its name, when it is durable. The caller has verified digest and size of every byte.
   * @param verified with `synced` the bytes are durable already
   */
  commit(verified: {
    readonly digest: Digest
    readonly size: number
    readonly synced?: boolean | undefined
  }): Promise<void>
  abort(): Promise<void>
}

/** The local image list: `v1/index.json`, an OCI image index with `org.opencontainers.image.ref.name` annotations. */
export interface LocalImages {
  list(): Promise<readonly NamedImage[]>
  /** As `list`, and entries without a name: other tools may have put them into the layout. Synchronous. */
  all(): readonly (Pick<NamedImage, 'descriptor'> & { readonly name: string | undefined })[]
  /** @param name in full form, `docker.io/library/debian:bookworm` */
  get(name: string): Promise<Descriptor | undefined>
  /** Sets names to one image, atomically with regard to other processes; durable when it resolves. */
  set(names: readonly string[], descriptor: Descriptor): Promise<void>
  /** @returns whether the name was there */
  remove(name: string): Promise<boolean>
  /** Lists an image without a name, unless it is listed already; durable when it resolves. A name that it gets later takes the place. */
  keep(descriptor: Descriptor): Promise<void>
  /** Takes the entry without a name of an image out of the list. @returns whether there was one */
  forget(digest: Digest): Promise<boolean>
}

/** A line of the local image list. */
export interface NamedImage {
  readonly name: string
  readonly descriptor: Descriptor
}

/**
 * Trees that were fetched from elsewhere, each under the name of where it came from, and what is known of it: `v1/sources`.
 * A tree is never changed once it is committed. All of it can be fetched again.
 */
export interface SourceStore {
  /** The newest tree of this name. Synchronous and cheap. @param name any text; only its hash is kept */
  get(name: string): FetchedSource | undefined
  draft(): Promise<SourceDraft>
  /**
   * Gives a committed tree one more name, or its name another text; durable when it resolves.
   * @returns the same tree with the text
   */
  name(source: FetchedSource, name: string, text: string): Promise<FetchedSource>
  /**
   * A directory that is this name's for good, to fetch into; the caller holds a lock while it changes it. What a power
   * cut left in it is for the caller to find out.
   */
  workDirectory(name: string): Promise<string>
  /** A new directory of this session, deleted when the session ends, in whatever way. */
  scratch(): Promise<string>
}

/** See {@link SourceStore.get}. */
export interface FetchedSource {
  /** The tree. */
  readonly path: string
  /** JSON text, as given to {@link SourceDraft.commit} or {@link SourceStore.name}. Readable by whoever reads the store. */
  readonly text: string
}

/** A tree on its way. Ends in exactly one of `commit` and `release`. */
export interface SourceDraft {
  /** An empty directory, 0755; keeps this path when it is committed. */
  readonly path: string
  /** Gives the tree its name, durable when it resolves; a later tree of one name replaces the earlier for new readers. */
  commit(name: string, text: string): Promise<FetchedSource>
  /** Deletes it. */
  release(): Promise<void>
}

/** The trees of steps that failed, the newest few of a store: `v1/failures`. Never changed once they are kept. */
export interface FailureStore {
  /** Newest first. Synchronous. */
  list(): readonly KeptFailure[]
  /**
   * Runs `body` while the failure is not removed, however many newer ones come. Any number of callers may share one.
   * @returns undefined where it is not kept (any more)
   */
  use<T>(ref: string, body: (failure: KeptFailure) => Promise<T>): Promise<{ readonly value: T } | undefined>
}

/** See {@link FailureStore}. */
export interface KeptFailure {
  /** Of the build. */
  readonly ref: string
  /** What the step had written: a layer's tree as overlayfs has it. */
  readonly path: string
  /** As given to {@link SnapshotDraft.keep}. */
  readonly text: string
}

/**
 * The directories that hold the history of builds: `v1/builds/<ref>`. What is in them is for whoever writes and reads history.
 * Nothing is synced: history is a help, and a build does not wait for it. Safe for any number of processes.
 */
export interface BuildStore {
  /**
   * Makes the directory of a build and takes its lock, a byte of `v1/locks/builds`, for as long as this process lives or until
   * the build ends. So whether a build runs is for the kernel to say, and no process id counts.
   *
   * @param ref 24 lowercase hex digits, of no other build
   * @throws {EnvironmentError} `ERR_STORE_NO_SPACE`, `ERR_PERMISSION`, `ERR_STORE_IO`
   */
  begin(ref: string): OpenBuild
  /** What is there, whatever its state: that which changed last comes first. */
  list(): readonly StoredBuild[]
  /** The directory of a build; undefined where there is none. */
  directory(ref: string): string | undefined
  /** Whether a process is at work on it. */
  isRunning(ref: string): boolean
  /** What the files of a build take, in bytes as `du` counts them; 0 where there is none. */
  sizeBytes(ref: string): number
  /**
   * Takes builds away, each by one rename; the files are deleted before the promise resolves, or with the session. One that
   * runs, or that somebody {@link hold}s, stays.
   * @returns one answer for each ref, in order
   */
  remove(refs: readonly string[]): Promise<readonly Exclude<Removal, 'changed'>[]>
  /** Keeps a build from being removed until it is let go of. @returns undefined where there is none */
  hold(ref: string): HeldBuild | undefined
}

/** A build under way. */
export interface OpenBuild {
  /** An empty directory of its own, 0700. */
  readonly directory: string
  /** Lets go of the lock: nothing more is written. Safe to call more than once. */
  end(): void
}

/** A build that is read. One that runs is not removed anyway, until it has ended. */
export interface HeldBuild {
  readonly directory: string
  release(): void
}

/** See {@link BuildStore.list}. */
export interface StoredBuild {
  readonly ref: string
  /** Unix ms, when something last came or went in its directory: about when it ended. */
  readonly changedMs: number
}

/** Directories that outlive builds and that steps write to: `v1/mounts`. Safe for any number of processes. */
export interface CacheMountStore {
  /**
   * Opens a directory of a name for as long as its sharing mode allows; makes one where there is none to be had. A process
   * that dies lets go of what it had open. Who opens several must open them in one order everywhere, that of
   * {@link CacheMountName}s as text, or two may wait for each other.
   *
   * @param options `onWait` is called where another one has what is waited for
   * @throws {UserError} `ERR_CANCELLED`
   * @throws {EnvironmentError} `ERR_STORE_NO_SPACE`, `ERR_PERMISSION`, `ERR_STORE_IO`; and what `make` throws
   */
  open(request: CacheMountRequest, options?: LockOptions): Promise<CacheMount>
}

/** Two names are one cache mount when all three are equal. Only their hash is ever in a path. */
export interface CacheMountName {
  /** Who trusts whom: `main`, `pr/7`. What is written in one scope is never read in another, with one exception: see `make`. */
  readonly scope: string
  /** Any text. */
  readonly id: string
  /** What it held when it was made. */
  readonly base: KeyValue
}

/** See {@link CacheMountStore.open}. */
export interface CacheMountRequest extends CacheMountName {
  /**
   * `shared`: together with others that share it; `locked`: alone, after waiting for the others; `private`: alone, in another
   * directory of this name where the first is in use.
   */
  readonly sharing: 'shared' | 'private' | 'locked'
  /** Begins with a new directory. Whoever uses the old ones keeps them, and they are deleted after that. */
  readonly fresh?: boolean | undefined
  /**
   * Makes `fs`, what steps see, in an empty directory of this session.
   * @param seed in another scope than `main`, the directory that holds the `fs` of `main`, to be copied: nobody uses it
   *   until this resolves. Undefined where there is none and for one that is to be fresh
   */
  make(directory: string, seed: string | undefined): Promise<void>
}

/** An open cache mount. */
export interface CacheMount {
  /** What `make` made; the process that opened it must not remove or rename it. */
  readonly path: string
  /** Lets others have it. Nothing of the process uses it any more. */
  release(): Promise<void>
}

/** A record and the keys it is found by. */
export interface RecordWrite {
  readonly keys: readonly Digest[]
  /** JSON text of one object; the store adds nothing to it. */
  readonly text: string
}

/** Self-describing cache records: `v1/records/<2 hex>/<hex>.json`. */
export interface RecordStore {
  /** The text of the record with this key. Synchronous and cheap. */
  get(key: Digest): string | undefined
  /** As `get`, but no use of the record: for whoever only compares. No text: what is there is damaged. */
  peek(key: Digest): { readonly text: string | undefined } | undefined
  /** Writes records that need no snapshot; durable when it resolves. A later record of one key replaces the earlier. */
  put(records: readonly RecordWrite[]): Promise<void>
}

/** Kernel locks by name: released when their holder dies, in whatever way. */
export interface Locks {
  /**
   * Runs `body` while this process holds the lock.
   * @param onWait called once if another process has held it for `waitNoticeMs`, with who that is, where that is known
   * @throws {UserError} `ERR_CANCELLED` if the signal fires before the lock is had
   */
  withLock<T>(name: string, body: () => Promise<T>, options?: LockOptions): Promise<T>
}

/** Who holds a lock, as far as it says so. */
export interface LockHolder {
  readonly pid: number
  /** See {@link LockOptions.label}. */
  readonly label: string
  /** Whether it does nothing until somebody sends it SIGCONT. */
  readonly stopped: boolean
}

/** See {@link Locks}. */
export interface LockOptions {
  readonly signal?: AbortSignal | undefined
  readonly onWait?: ((holder?: LockHolder) => void) | undefined
  /** What others are told of this process while it holds the lock; undefined: nothing. */
  readonly label?: string | undefined
  /** Default 5,000. */
  readonly waitNoticeMs?: number | undefined
}
