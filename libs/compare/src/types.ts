/** One file of a layer, as its tar says it. */
export interface LayerEntry {
  /** Without `./` at its beginning and without `/` at its end. */
  readonly path: string
  /** `file`, `directory`, `symlink`, `link` (hard), `character-device`, `block-device`, `fifo`. */
  readonly type: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  /** In bytes; 0 for what has no content. */
  readonly size: number
  /** Unix seconds. */
  readonly mtime: number
  /** Of a symlink or a hard link. */
  readonly target: string
  /** `major:minor`. */
  readonly device: string
  /** Of the content, `sha256:…`; empty for what has none. */
  readonly content: string
  /** Extended attributes by name, base64. */
  readonly xattrs: Readonly<Record<string, string>>
}

/** A member that differs: of a config by its path (`config.Env[1]`), of a file by its name (`mtime`). */
export interface FieldDifference {
  readonly name: string
  /** Undefined where it is missing. */
  readonly before: string | undefined
  readonly after: string | undefined
}

/** A file that differs between two layers. */
export interface FileDifference {
  readonly path: string
  readonly kind: 'added' | 'removed' | 'changed' | 'moved'
  /** Of one that changed. One that only `moved` has another place in the tar. */
  readonly fields: readonly FieldDifference[]
}

/** Two layers at one position that are not the same. */
export interface LayerComparison {
  /** From 0, the lowest. */
  readonly index: number
  /** The instruction that made it, where the history says so. */
  readonly createdBy: string | undefined
  /** Digests of the unpacked layers; undefined where one image has no such layer. */
  readonly before: string | undefined
  readonly after: string | undefined
  /** Undefined where one of the layers is missing. */
  readonly files: readonly FileDifference[] | undefined
}

/** What {@link FieldDifference}s and layers two images differ in. */
export interface ImageComparison {
  /** Whether the manifests have the same digest. */
  readonly same: boolean
  readonly manifest: readonly FieldDifference[]
  readonly config: readonly FieldDifference[]
  readonly layers: readonly LayerComparison[]
}
