/**
 * The messages between this lib and `tsbuild-helper`, as they stand on the wire. The Rust twin with the meaning of every
 * field is `native/helper/src/protocol.rs`; `test/protocol/*.json` holds one golden file per message, read by the tests
 * of both sides.
 */

import type { FindOutcome, FindRequest } from './protocol-find.ts'
import type { ApplyRequest, ConvertRequest, DiffRequest, LayerForm, Part } from './protocol-layers.ts'
import type { RunRequest, SessionCgroup, SessionRequest } from './protocol-run.ts'

/** The version of every message below. */
export const protocolVersion = 1

/** What is written to the helper's standard input. */
export interface Envelope {
  readonly protocol: typeof protocolVersion
  readonly idMap: IdMap | null
  /** The user namespace on fd 8 is entered first, in place of one of its own. */
  readonly joinUserNamespace: boolean
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
      /** Under which it was checked out, where that is known. @see docs/adr/0021 */
      readonly checkoutUmask: number | null
    }
  | { readonly kind: 'snapshot'; readonly root: Root }

/** What one COPY or ADD reads. */
export interface Selection {
  readonly sources: readonly string[]
  readonly exclude: readonly string[]
  readonly parents: boolean
  /** What makes no difference to the digest, because the copy has its own. */
  readonly uncounted: readonly ('mode' | 'owner')[]
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

/** What follows the result of an operation that changed a snapshot, while others use the snapshot already. */
export interface Finish {
  /** Digests what the snapshot's layer holds, times left out. */
  readonly content: boolean
  /** Writes the changes as a layer to fd 6. */
  readonly layer: LayerForm | null
  /** Makes the snapshot and the layer durable. */
  readonly sync: boolean
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
  | FindRequest
  /** What follows the result is told of the tree that was made; no layer is written. */
  | ({ readonly op: 'apply'; readonly finish: Finish | null } & ApplyRequest)
  | ({ readonly op: 'diff' } & DiffRequest)
  /** fd 3 is read and verified, fd 4 written. */
  | ({ readonly op: 'convert' } & ConvertRequest)
  /** fd 3 is written. */
  | { readonly op: 'concat'; readonly parts: readonly Part[] }
  | {
      readonly op: 'merge'
      /** Trees that never change, topmost first. */
      readonly lower: readonly string[]
      /** An empty directory on their file system. */
      readonly target: string
    }
  | {
      readonly op: 'export'
      readonly root: Root
      readonly dest: { readonly kind: 'directory'; readonly path: string } | { readonly kind: 'tar' }
    }
  | RunRequest
  | SessionRequest
  | { readonly op: 'content'; readonly trees: readonly string[] }
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
  /** Builds cannot run without it. */
  readonly required: boolean
}

/** A limit that ended a run: its own, or that of the session or of something above it. */
export interface Exceeded {
  readonly resource: 'memory' | 'pids'
  readonly owner: 'run' | 'session'
}

/** An interpreter of foreign programs. */
export interface Interpreter {
  /** `qemu-aarch64` */
  readonly name: string
  readonly path: string
  /** It works in an image that lacks it (flag F). */
  readonly fixed: boolean
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
      /** What this user may use of the hierarchies. */
      readonly cgroups: readonly SessionCgroup[]
      readonly pasta: string | null
      readonly slirp4netns: string | null
      /** Registered with binfmt_misc. */
      readonly interpreters: readonly Interpreter[]
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
  | FindOutcome
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
      /** Of estargz: the digest of its table of contents. */
      readonly tocDigest: string | null
    }
  | {
      readonly op: 'convert'
      readonly digest: string
      readonly sizeBytes: number
      readonly diffId: string
      readonly unpackedBytes: number
      readonly tocDigest: string | null
    }
  | { readonly op: 'concat'; readonly bytes: number }
  | {
      readonly op: 'merge'
      /** Entries that are hard links to those of the run. */
      readonly linked: number
      /** Bytes of files that could not be linked. */
      readonly copiedBytes: number
      /** Directories made, the root among them. */
      readonly directories: number
    }
  | { readonly op: 'export'; readonly files: number; readonly bytes: number }
  | {
      readonly op: 'run'
      readonly exitCode: number
      readonly signal: number | null
      /** The limit that ended it. */
      readonly exceeded: Exceeded | null
      readonly userMicros: number
      readonly systemMicros: number
      /** Of the whole run where its cgroup counts it, else of its largest process. */
      readonly peakMemoryBytes: number
      readonly readBytes: number
      readonly writtenBytes: number
    }
  | { readonly op: 'session' }
  /** Null for a tree that no layer can hold. */
  | { readonly op: 'content'; readonly digests: readonly (string | null)[] }
  | { readonly op: 'sync' }
  | { readonly op: 'remove' }
  | { readonly op: 'usage'; readonly bytes: readonly number[] }

/** One line of the helper's standard output. */
export type Reply =
  | { readonly event: 'started'; readonly pid: number }
  | {
      /** `session`: all but the network is there. */
      readonly event: 'session'
      /** The owner of the namespaces. */
      readonly pid: number
      readonly cgroups: readonly SessionCgroup[]
      /** Limits of the request that cannot be had. */
      readonly unlimited: readonly { readonly limit: string; readonly reason: string }[]
    }
  | { readonly event: 'connected'; readonly dns: string; readonly address: string }
  | { readonly event: 'progress'; readonly bytes: number }
  | { readonly event: 'warning'; readonly code: string; readonly message: string }
  | { readonly event: 'result'; readonly result: Outcome }
  | { readonly event: 'content'; readonly digest: string | null }
  | {
      readonly event: 'layer'
      readonly digest: string
      readonly sizeBytes: number
      readonly diffId: string
      readonly unpackedBytes: number
      readonly tocDigest: string | null
    }
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
