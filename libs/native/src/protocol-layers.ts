/** What the messages of ./protocol.ts say about layers and archives. */

/** How a layer blob is stored. */
export type LayerFormat = 'none' | 'gzip' | 'zstd'

/** What a layer can be written as. `estargz` is gzip to any reader that does not know it. */
export type CompressionFormat = LayerFormat | 'estargz'

/** How to compress a layer. */
export interface Compression {
  readonly format: CompressionFormat
  /** 0–9 for gzip and estargz, 0–22 for zstd; 0 for plain tar, which has none. */
  readonly level: number
}

/** What a tree is written as. The bytes of the layer depend on the tree and on this value alone. */
export interface LayerForm {
  readonly compression: Compression
  /** Times after this one (Unix seconds), and those with a fraction of a second, are written as this one. */
  readonly clampMtime: number | null
}

/** Limits of `apply`. */
export interface ApplyLimits {
  readonly maxBytes: number
  readonly maxEntries: number
  readonly maxRatio: number
}

/** See `Native.apply`. */
export interface ApplyRequest {
  readonly target: string
  readonly lower: readonly string[]
  readonly compression: LayerFormat
  readonly digest: string
  readonly sizeBytes: number
  readonly diffId: string | null
  readonly limits: ApplyLimits
}

/** See `Native.diff`. */
export interface DiffRequest {
  readonly upper: string
  readonly form: LayerForm
}

/** See `Native.convert`. */
export interface ConvertRequest {
  readonly from: LayerFormat
  readonly digest: string
  readonly sizeBytes: number
  readonly diffId: string | null
  readonly to: Compression
  readonly limits: ApplyLimits
}

/** A piece of what `Native.concat` writes. */
export type Part =
  | {
      readonly kind: 'inline'
      /** base64 */
      readonly data: string
    }
  | {
      /** A regular file, whole. */
      readonly kind: 'file'
      readonly path: string
      readonly sizeBytes: number
      /** What it must be; not verified where it is null. */
      readonly digest: string | null
    }
