/**
 * The messages between this lib and `tsbuild-helper`, as they stand on the wire. The Rust twin with the meaning of every
 * field is `native/helper/src/protocol.rs`; `test/protocol/*.json` holds one golden file per message, read by the tests
 * of both sides.
 */

/** The version of every message below. */
export const protocolVersion = 1

/** What is written to the helper's standard input. */
export interface Envelope {
  readonly protocol: typeof protocolVersion
  readonly idMap: IdMap | null
  readonly request: Request
}

/** The id maps of the user namespace that the helper enters first. */
export interface IdMap {
  readonly uids: readonly IdRange[]
  readonly gids: readonly IdRange[]
}

/** `length` ids from `outside` on appear as `inside` and up. */
export interface IdRange {
  readonly inside: number
  readonly outside: number
  readonly length: number
}

/** A snapshot as overlayfs wants it; `lower` is topmost first. */
export interface Root {
  readonly lower: readonly string[]
  readonly upper: string | null
  readonly work: string | null
}

/** Where files are read from. */
export type Tree =
  | {
      readonly kind: 'directory'
      readonly path: string
      readonly ignore: readonly string[]
      readonly fingerprints: string | null
    }
  | { readonly kind: 'snapshot'; readonly root: Root }

/** What one COPY or ADD reads. */
export interface Selection {
  readonly sources: readonly string[]
  readonly exclude: readonly string[]
  readonly parents: boolean
}

/** One change of a snapshot. */
export type FileAction =
  | {
      readonly kind: 'copy'
      readonly from: Tree
      readonly selection: Selection
      readonly dest: string
      readonly chown: string | null
      readonly chmod: string | null
      readonly expect: string | null
      readonly unpack: boolean
    }
  | {
      readonly kind: 'mkdir'
      readonly path: string
      readonly mode: number
      readonly owner: string | null
      /** Unix seconds; null is now. */
      readonly mtime: number | null
    }
  | {
      readonly kind: 'mkfile'
      readonly name: string
      readonly dest: string
      /** base64 */
      readonly data: string
      readonly owner: string | null
      readonly chmod: string | null
      readonly mtime: number | null
    }

/** How a layer blob is stored. */
export type LayerFormat = 'none' | 'gzip' | 'zstd'

/** How to compress a layer. */
export interface Compression {
  readonly format: LayerFormat
  readonly level: number
}

/** Limits of `apply`. */
export interface ApplyLimits {
  readonly maxBytes: number
  readonly maxEntries: number
  readonly maxRatio: number
}

/** A mount of a step. */
export type Mount =
  | { readonly kind: 'bind'; readonly source: string; readonly target: string; readonly readonly: boolean }
  | { readonly kind: 'tmpfs'; readonly target: string; readonly sizeBytes: number | null }

/** What follows the result of an operation that changed a snapshot, while others use the snapshot already. */
export interface Finish {
  /** Writes the changes as a layer to fd 6. */
  readonly layer: Compression | null
  /** Makes the snapshot and the layer durable. */
  readonly sync: boolean
}

/** The process of a step. */
export interface RunRequest {
  readonly op: 'run'
  readonly root: Root
  readonly argv: readonly string[]
  readonly env: readonly string[]
  readonly cwd: string
  readonly user: string
  readonly hostname: string
  readonly network: 'none' | 'host'
  readonly hosts: string
  readonly resolvConf: string
  readonly mounts: readonly Mount[]
  readonly trustCa: string | null
  readonly stdin: boolean
  readonly cgroupParent: string | null
  readonly id: string
  readonly finish: Finish | null
}

/** What the helper can be asked. */
export type Request =
  | { readonly op: 'probe' }
  | {
      readonly op: 'scan'
      readonly tree: Tree
      readonly selections: readonly Selection[]
      readonly manifest: boolean
    }
  | {
      readonly op: 'copy'
      readonly root: Root
      /** Where the names of owners are looked up; null is `root`. */
      readonly owners: Root | null
      readonly actions: readonly FileAction[]
      readonly finish: Finish | null
    }
  | {
      readonly op: 'read'
      readonly tree: Tree
      readonly paths: readonly string[]
      readonly maxBytes: number
    }
  | {
      readonly op: 'apply'
      readonly target: string
      readonly lower: readonly string[]
      readonly compression: LayerFormat
      readonly digest: string
      readonly sizeBytes: number
      readonly diffId: string | null
      readonly limits: ApplyLimits
    }
  | {
      readonly op: 'diff'
      readonly upper: string
      readonly compression: Compression
      readonly clampMtime: number | null
    }
  | {
      readonly op: 'export'
      readonly root: Root
      readonly dest: { readonly kind: 'directory'; readonly path: string } | { readonly kind: 'tar' }
    }
  | RunRequest
  | { readonly op: 'sync'; readonly paths: readonly string[] }
  | { readonly op: 'remove'; readonly paths: readonly string[] }
  | { readonly op: 'usage'; readonly paths: readonly string[] }

/** A subordinate id range of /etc/subuid. */
export interface SubordinateRange {
  readonly start: number
  readonly length: number
}

/** A capability that the machine lacks. */
export interface Missing {
  readonly feature: string
  readonly reason: string
  readonly fix: string
}

/** What a selection holds. */
export interface Selected {
  readonly digest: string
  readonly entries: number
  readonly bytes: number
  readonly missing: readonly { readonly source: string; readonly ignoredBy: number | null }[]
}

/** The result of each operation. */
export type Outcome =
  | {
      readonly op: 'probe'
      readonly protocol: number
      readonly kernel: string
      readonly euid: number
      readonly overlay: boolean
      readonly userNamespace: boolean
      readonly newuidmap: string | null
      readonly newgidmap: string | null
      readonly subuids: readonly SubordinateRange[]
      readonly subgids: readonly SubordinateRange[]
      readonly cgroup2: string | null
      readonly seccomp: boolean
      readonly missing: readonly Missing[]
    }
  | {
      readonly op: 'scan'
      readonly selections: readonly Selected[]
      readonly hashedBytes: number
      readonly entries: number
    }
  | { readonly op: 'copy'; readonly files: number; readonly bytes: number }
  /** For each path its bytes as base64, or null where there is no such file. */
  | { readonly op: 'read'; readonly files: readonly (string | null)[] }
  | {
      readonly op: 'apply'
      readonly diffId: string
      readonly unpackedBytes: number
      readonly entries: number
    }
  | {
      readonly op: 'diff'
      readonly digest: string
      readonly sizeBytes: number
      readonly diffId: string
      readonly unpackedBytes: number
      readonly entries: number
    }
  | { readonly op: 'export'; readonly files: number; readonly bytes: number }
  | {
      readonly op: 'run'
      readonly exitCode: number
      readonly signal: number | null
      readonly oomKilled: boolean
      readonly userMicros: number
      readonly systemMicros: number
      readonly maxRssBytes: number
    }
  | { readonly op: 'sync' }
  | { readonly op: 'remove' }
  | { readonly op: 'usage'; readonly bytes: readonly number[] }

/** One line of the helper's standard output. */
export type Reply =
  | { readonly event: 'started'; readonly pid: number }
  | { readonly event: 'progress'; readonly bytes: number }
  | { readonly event: 'warning'; readonly code: string; readonly message: string }
  | { readonly event: 'result'; readonly result: Outcome }
  | { readonly event: 'layer'; readonly digest: string; readonly sizeBytes: number; readonly diffId: string }
  | { readonly event: 'durable' }
  | {
      readonly event: 'error'
      readonly kind: 'user' | 'environment' | 'internal'
      readonly code: string
      readonly message: string
      readonly errno: string | null
    }

/** The result of one operation. */
export type OutcomeOf<O extends Outcome['op']> = Extract<Outcome, { op: O }>
