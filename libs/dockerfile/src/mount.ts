/** `--mount=type=bind` (also the default type). Values are expanded. In every type a relative target is
 * not yet joined to WORKDIR; an empty one is WORKDIR itself. The caller joins it and refuses `/`. */
export interface BindMount {
  readonly type: 'bind'
  readonly target: string
  /** Path below the root of `from`; empty for the root itself. */
  readonly source: string
  /** Stage name, named context or image; null for the build context. */
  readonly from: string | null
  readonly readOnly: boolean
}

/** `--mount=type=cache`. What is null was not given: it is part of the cache's identity whether a mode or owner was given. */
export interface CacheMount {
  readonly type: 'cache'
  /** Null when not given: then the cleaned target as written. */
  readonly id: string | null
  readonly target: string
  readonly source: string
  readonly from: string | null
  readonly readOnly: boolean
  readonly sharing: 'shared' | 'private' | 'locked'
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
}

/** `--mount=type=tmpfs`. */
export interface TmpfsMount {
  readonly type: 'tmpfs'
  readonly target: string
  /** Null: no limit given. */
  readonly sizeBytes: number | null
  readonly readOnly: boolean
}

/** `--mount=type=secret`. */
export interface SecretMount {
  readonly type: 'secret'
  /** As given by `id` or `source`, else the base name of `target`. */
  readonly id: string
  /** Null when not given: no file if `env` is set, else `/run/secrets/<base name of id>`. */
  readonly target: string | null
  /** The variable to set; null when `env` was not given. */
  readonly env: string | null
  readonly required: boolean
  /** `cache=content`: another value runs the step again. Null when not given: then it does not count. */
  readonly cache: 'content' | null
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
}

/** `--mount=type=ssh`. */
export interface SshMount {
  readonly type: 'ssh'
  /** `default` when not given. */
  readonly id: string
  /** Null when not given: `/run/buildkit/ssh_agent.<n>`. */
  readonly target: string | null
  readonly required: boolean
  readonly mode: number | null
  readonly uid: number | null
  readonly gid: number | null
}

/** A mount of a `RUN`, variables expanded. @see spec/dockerfile.md 2.1 */
export type Mount = BindMount | CacheMount | TmpfsMount | SecretMount | SshMount

/** The word of `type=`. */
export type MountType = Mount['type']
