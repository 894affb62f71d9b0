import type { DiffId, Digest } from '@tsbuild/digest'
import type { SourceRange } from '@tsbuild/errors'

/**
 * A build as values: vertices in topological order, inputs first. The vocabulary of ops is that of BuildKit's LLB. It
 * holds only what the target needs.
 */
export interface Graph {
  readonly vertices: readonly Vertex[]
  /** The vertex whose file system is the result; undefined for an image without any. */
  readonly target: Digest | undefined
}

/** One step. */
export interface Vertex {
  /** Names the vertex in one build: the digest of its op and inputs. It is no cache key. */
  readonly digest: Digest
  readonly op: Op
  /** Digests of other vertices; ops refer to them by index. */
  readonly inputs: readonly Digest[]
  /** As shown to the user: `[build 2/4] RUN make`. */
  readonly name: string
  readonly source: SourceRange | null
  /** `--no-cache`: execute it whatever is recorded. */
  readonly ignoreCache: boolean
}

/** An index into {@link Vertex.inputs}. */
export type InputIndex = number

/** What a vertex does. */
export type Op = ImageOp | LocalOp | ExecOp | FileOp

/** An image, pinned to a manifest. Its layers are fetched when they are read. */
export interface ImageOp {
  readonly kind: 'image'
  /** As resolved, for messages and for fetching: `docker.io/library/debian:bookworm`. */
  readonly reference: string
  /** Of the manifest for the platform; the only thing that counts in its key. */
  readonly manifest: Digest
  readonly layers: readonly ImageLayer[]
}

/** A layer of an image, lowest first. */
export interface ImageLayer {
  readonly mediaType: string
  readonly digest: Digest
  /** In bytes. */
  readonly size: number
  readonly diffId: DiffId
}

/** A directory of the machine. */
export interface LocalOp {
  readonly kind: 'local'
  /** `context`, or the name of a named context. */
  readonly name: string
}

/** A process. */
export interface ExecOp {
  readonly kind: 'exec'
  /** The root file system; undefined for `FROM scratch`. */
  readonly rootfs: InputIndex | undefined
  readonly args: readonly string[]
  /** `NAME=value`, in order. */
  readonly env: readonly string[]
  readonly cwd: string
  readonly user: string
  readonly network: 'default' | 'none' | 'host'
  readonly hostname: string
  readonly extraHosts: readonly ExtraHost[]
  /** `linux/amd64` */
  readonly platform: string
}

/** `--add-host`. Only the name counts in a key. */
export interface ExtraHost {
  readonly name: string
  readonly ip: string
}

/** Changes of files, in order, that become one layer. */
export interface FileOp {
  readonly kind: 'file'
  readonly rootfs: InputIndex | undefined
  readonly actions: readonly FileAction[]
}

/** One change of a {@link FileOp}. Paths in the image are absolute; a trailing slash of `dest` says directory. */
export type FileAction =
  | {
      readonly kind: 'copy'
      readonly input: InputIndex
      readonly sources: readonly string[]
      readonly dest: string
      readonly exclude: readonly string[]
      readonly parents: boolean
      /** `user[:group]`; undefined keeps what the source has, 0:0 for a local directory. */
      readonly chown: string | undefined
      readonly chmod: string | undefined
      /** ADD: unpack archives. */
      readonly unpack: boolean
    }
  | {
      readonly kind: 'mkdir'
      readonly path: string
      readonly mode: number
      readonly owner: string | undefined
    }
  | {
      readonly kind: 'mkfile'
      readonly path: string
      readonly mode: number
      readonly content: string
      readonly owner: string | undefined
    }
