import { type ChainId, type Digest, digestBytes } from '@tsbuild/digest'
import { filled, type GoValue, goJson } from './go-json.ts'

/** A step as BuildKit's solver counts it. */
export interface KeyedStep {
  /** Of its result: what its record is called. */
  readonly digest: Digest
  readonly inputs: readonly KeyedInput[]
}

/** How an input of a {@link KeyedStep} counts: by what it was made of, by what is read of it, or by either. */
export interface KeyedInput {
  readonly node: KeyedNode
  /** What of it is read, as a digest; '' for everything. Counts where the input counts by what it was made of. */
  readonly selector: string
  /** Counts by content: what is read. Undefined where it does not. */
  readonly content: readonly ContentSelector[] | undefined
}

/** What an input is. */
export type KeyedNode =
  /** An image, by its layers and by its manifest; {@link manifestKey} makes a key of the second. */
  | { readonly kind: 'root'; readonly digest: Digest; readonly manifest: Digest }
  /** Another vertex of the graph. */
  | { readonly kind: 'vertex'; readonly vertex: Digest }
  /** A step that only BuildKit's graph has. */
  | { readonly kind: 'step'; readonly step: KeyedStep }

/** What is read of an input, as BuildKit's contenthash takes it. */
export interface ContentSelector {
  /** Absolute. */
  readonly path: string
  readonly wildcard: boolean
  readonly followLinks: boolean
  /** Patterns that leave files out, relative to `path`. */
  readonly exclude: readonly string[]
}

/** Names a result: the digest of the key of what made it, and which of its outputs it is. */
function resultKey(digest: Digest, output = 0): Digest {
  return digestBytes(`${digest}@${output}`)
}

/** Names what is read of an input: such a key has no output. */
export function contentKey(digest: Digest): Digest {
  return resultKey(digest, -1)
}

/** The key of an image, from what its config says of its layers. */
export function imageKey(chain: ChainId): Digest {
  return resultKey(digestBytes(`buildkit.source.v0:${chain}`))
}

/**
 * The key of an image, from the manifest or index that its reference was resolved to: BuildKit looks for it first, where the image is
 * not in Docker's own store.
 *
 * @param platform `linux/arm/v7`
 */
export function manifestKey(manifest: Digest, platform: string): Digest {
  const [OS = '', Arch = '', Variant] = platform.split('/')
  const source = digestBytes(goJson({ Digest: manifest, OS, Arch, Variant: filled(Variant) }))
  return resultKey(digestBytes(`buildkit.source.v0:${source}`))
}

/** The key of a step that is described by a value. */
export function stepKey(value: GoValue): Digest {
  return resultKey(digestBytes(goJson(value)))
}
