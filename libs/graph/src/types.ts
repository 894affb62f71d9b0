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

/** Graphs of several targets as one: a vertex that several of them need is in it once. */
export interface MergedGraph {
  /** In topological order, inputs first. */
  readonly vertices: readonly Vertex[]
  /** The {@link Graph.target} of each, in their order. */
  readonly targets: readonly (Digest | undefined)[]
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
export type Op = ImageOp | LocalOp | HttpOp | GitOp | ExecOp | FileOp | MergeOp

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

/** A build context: a directory of the machine, or what was given in its place (an archive, a repository, a URL). */
export interface LocalOp {
  readonly kind: 'local'
  /** `context`, or the name of a named context as given. */
  readonly name: string
}

/** A file from the network: a file system with this one file, 0600 and root's. @see spec/dockerfile.md 3.4 */
export interface HttpOp {
  readonly kind: 'http'
  /** `http:` or `https:`, with its query, without a fragment. */
  readonly url: string
  /** The name of the file. */
  readonly filename: string
  /** `--checksum`: what the bytes must have. With it and the bytes at hand, no server is asked. */
  readonly checksum: Digest | undefined
}

/** A git repository at one commit: the files of its tree, root's. @see spec/dockerfile.md 1.7, 3.4 */
export interface GitOp {
  readonly kind: 'git'
  /** What `git fetch` takes; never credentials. */
  readonly remote: string
  /** A branch, a tag, a full ref or a commit; empty is the remote's HEAD. */
  readonly ref: string
  /** The directory that counts as the root, relative; empty is the repository's own. */
  readonly subdir: string
  readonly keepGitDir: boolean
  readonly submodules: boolean
  /** The commit that `ref` must be: hex, at least 7 digits of it. */
  readonly checksum: string | undefined
  /** What the files' times are: when they were checked out, or the commit's time. */
  readonly mtime: 'checkout' | 'commit'
}

/** A process. */
export interface ExecOp {
  readonly kind: 'exec'
  /** The root file system; undefined for `FROM scratch`. */
  readonly rootfs: InputIndex | undefined
  readonly args: readonly string[]
  /** SHELL, where it reads the command: the front of `args`. Counts in no key. */
  readonly shell?: readonly string[] | undefined
  /** `NAME=value`, in order. */
  readonly env: readonly string[]
  /** Places in `env` in the order in which the variables were set last, for BuildKit's key of the step; undefined: as they stand. Counts in no key. */
  readonly envOrder?: readonly number[] | undefined
  /** Which of them are build arguments, for whoever explains the step. Counts in no key. */
  readonly argNames?: readonly string[] | undefined
  readonly cwd: string
  readonly user: string
  readonly network: 'default' | 'none' | 'host'
  /** `insecure` has every capability and no filter; it needs an entitlement. */
  readonly security: 'sandbox' | 'insecure'
  readonly hostname: string
  readonly extraHosts: readonly ExtraHost[]
  /** `linux/amd64` */
  readonly platform: string
  /** Executable files that the process finds, read only, and that leave no trace in the layer. */
  readonly scripts: readonly ScriptFile[]
  /** Parents before what lies in them; no two have one target. */
  readonly mounts: readonly ExecMount[]
  /** `--ulimit`, by name. */
  readonly ulimits: readonly Ulimit[]
  /** `--shm-size`; undefined is 64 MiB. */
  readonly shmSizeBytes: number | undefined
  /** `--cgroup-parent` */
  readonly cgroupParent: string | undefined
  /** `--cache`: how old a record of it may be that counts, in ms; 0: none does. Counts in no key. */
  readonly maxAgeMs?: number | undefined
}

/**
 * A mount of an {@link ExecOp}. Targets are absolute and normal. Each `input` has an index of its own; undefined is an empty
 * file system. @see spec/dockerfile.md 2.1
 */
export type ExecMount =
  | {
      /** Not `readOnly`: what the process writes is thrown away. */
      readonly kind: 'bind'
      readonly input: InputIndex | undefined
      /** A path in the input, whose symlinks lead within it; `/` is its root. */
      readonly source: string
      readonly target: string
      readonly readOnly: boolean
    }
  | {
      /** A directory that outlives the build and is in no layer. */
      readonly kind: 'cache'
      /** With `BUILDKIT_CACHE_MOUNT_NS` before it, where that is set. The id is no path. */
      readonly id: string
      readonly target: string
      /** What it holds when it is made: a path of the input. */
      readonly input: InputIndex | undefined
      readonly source: string
      readonly readOnly: boolean
      readonly sharing: 'shared' | 'private' | 'locked'
      /** Of the directory when it is made; undefined are 0755, 0 and 0, and name another cache than those values given. */
      readonly mode: number | undefined
      readonly uid: number | undefined
      readonly gid: number | undefined
    }
  | {
      readonly kind: 'tmpfs'
      readonly target: string
      readonly sizeBytes: number | undefined
      readonly readOnly: boolean
    }
  | {
      /** A file, a variable or both, filled from what the caller of the build gave under `id`. */
      readonly kind: 'secret'
      readonly id: string
      readonly target: string | undefined
      readonly env: string | undefined
      readonly required: boolean
      /** Whether another value makes it another step. */
      readonly countsContent?: true | undefined
      readonly mode: number
      readonly uid: number
      readonly gid: number
    }
  | {
      /** A socket of an agent that only lists keys and signs. */
      readonly kind: 'ssh'
      readonly id: string
      readonly target: string
      readonly required: boolean
      readonly mode: number
      readonly uid: number
      readonly gid: number
    }

/** `--ulimit name=soft:hard`; undefined is unlimited. */
export interface Ulimit {
  readonly name: string
  readonly soft: number | undefined
  readonly hard: number | undefined
}

/** What a step may only have when the caller of the build allows it: `--allow`. @see spec/dockerfile.md 2.3 */
export type Entitlement = 'network.host' | 'security.insecure'

/** What a step asks for that needs an entitlement. */
export function entitlementsOf({
  network,
  security,
}: Pick<ExecOp, 'network' | 'security'>): readonly Entitlement[] {
  return [
    ...(network === 'host' ? (['network.host'] as const) : []),
    ...(security === 'insecure' ? (['security.insecure'] as const) : []),
  ]
}

/** A heredoc with its own interpreter. @see spec/dockerfile.md 1.5 */
export interface ScriptFile {
  /** Absolute: `/dev/pipes/EOF`. */
  readonly path: string
  readonly content: string
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
  /**
   * Where the names of owners are looked up; undefined is `rootfs`. For `--link`, whose layer stands on nothing: of this
   * input only `/etc/passwd` and `/etc/group` count.
   */
  readonly owners: InputIndex | undefined
  readonly actions: readonly FileAction[]
}

/**
 * File systems put one upon the other, the first input lowest: their layers in one list. Nothing is copied. An input may
 * be empty. @see spec/dockerfile.md 3.3, `--link`
 */
export interface MergeOp {
  readonly kind: 'merge'
}

/**
 * One change of a {@link FileOp}. Paths in the image are absolute; a trailing slash of `dest` says directory. `owner` and
 * `chown` are `user[:group]`.
 */
export type FileAction =
  | {
      readonly kind: 'copy'
      /** No two actions share an index; two indexes may be one vertex. */
      readonly input: InputIndex
      readonly sources: readonly string[]
      readonly dest: string
      readonly exclude: readonly string[]
      readonly parents: boolean
      /** Undefined keeps what the source has, 0:0 for a local directory. */
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
      /** Unix seconds; undefined is now. */
      readonly mtime: number | undefined
    }
  | {
      /** A heredoc: 0644, unless `chmod` says otherwise; goes to `dest` by the same rules as a copied file. */
      readonly kind: 'mkfile'
      readonly name: string
      readonly dest: string
      readonly content: string
      readonly owner: string | undefined
      readonly chmod: string | undefined
      readonly mtime: number | undefined
    }
