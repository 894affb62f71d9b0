import type { BuildContext, FetchOptions } from '@tsbuild/context'
import type { Digest } from '@tsbuild/digest'
import type { Executor } from '@tsbuild/executor'
import type { GitOp, HttpOp, Vertex } from '@tsbuild/graph'
import type { LayerForm, Native } from '@tsbuild/native'
import type { CachedLayerRef, Filesystem, Snapshotter } from '@tsbuild/snapshot'
import type { CacheMountStore, SnapshotId } from '@tsbuild/store'
import type { FailureKeeping } from './keep-failure.ts'
import type { SecretDigests } from './secret-digests.ts'

/** What a vertex gives its readers. */
export type OpResult =
  | { readonly kind: 'filesystem'; readonly filesystem: Filesystem }
  | { readonly kind: 'context'; readonly context: BuildContext }

/** What ops work with. */
export interface OpsOptions {
  readonly native: Native
  readonly snapshotter: Snapshotter
  readonly executor: Executor
  /** Whether a committed snapshot is still there. */
  readonly hasSnapshot: (id: SnapshotId) => boolean
  /** Whether a layer of a cache elsewhere can be had, as far as that is known without asking. Undefined: none can. */
  readonly hasCached?: ((layer: CachedLayerRef) => boolean) | undefined
  /** The form in which the layer of a vertex will be wanted; undefined if it will not. */
  readonly layerOf: (vertex: Vertex) => LayerForm | undefined
  /** Opens a build context by its name: called for those that a step reads, each once. */
  readonly contexts: (name: string) => Promise<BuildContext>
  /** Fetches what stands elsewhere. */
  readonly fetch: (source: HttpOp | GitOp, options: FetchOptions) => Promise<BuildContext>
  /** A directory of this session, deleted when it ends. */
  readonly scratch: () => Promise<string>
  /** What becomes of steps that fail; undefined: they leave nothing. */
  readonly failure: FailureKeeping | undefined
  /** Keeps a list of files by its digest. */
  readonly putFileList: (digest: Digest, list: Uint8Array) => Promise<void>
  /** Whose steps they are: the context and the Dockerfile, for whoever explains a later miss. */
  readonly build?: { readonly context: string; readonly dockerfile: string } | undefined
  readonly cacheMounts: CacheMountStore
  /** The trust scope of cache mounts. @see spec/security.md MNT-08 */
  readonly scope: string
  /**
   * Reads a secret; undefined for one that was not given.
   * @throws {UserError} `ERR_SECRET`
   */
  readonly secrets: (id: string) => Promise<Uint8Array | undefined>
  /** See `digestSecrets`. */
  readonly secretDigests: SecretDigests
  /**
   * Opens a socket of an agent that only lists keys and signs, for one step; undefined for one that was not given.
   * @throws {UserError} `ERR_SSH`
   */
  readonly ssh: (id: string, signal: AbortSignal) => Promise<SshSocket | undefined>
  /** Unix ms. */
  readonly now: () => number
}

/** See {@link OpsOptions.ssh}. */
export interface SshSocket {
  /** An absolute path on the host. */
  readonly socket: string
  /** Ends every connection and removes the socket. */
  close(): Promise<void>
}
