import { createHash } from 'node:crypto'
import { UserError } from '@tsbuild/errors'

declare const digestBrand: unique symbol
declare const diffIdBrand: unique symbol
declare const chainIdBrand: unique symbol

/** `sha256:` and 64 lowercase hex digits: the digest of bytes as stored. */
export type Digest = string & { readonly [digestBrand]: true }
/** As {@link Digest}, of a layer's uncompressed tar. */
export type DiffId = string & { readonly [diffIdBrand]: true }
/** As {@link Digest}, of a stack of layers: OCI image-spec "Layer ChainID". */
export type ChainId = string & { readonly [chainIdBrand]: true }

const form = /^sha256:[a-f0-9]{64}$/

/** Whether a text is a well-formed sha256 digest. */
export function isDigest(text: string): text is Digest {
  return form.test(text)
}

/**
 * Parses a digest as written in a descriptor.
 *
 * @param text for example `sha256:e3b0c442…b855` (71 characters)
 * @throws {UserError} `ERR_DIGEST_INVALID` if the algorithm is not sha256 or the hex part is not 64 lowercase digits
 * @see https://github.com/opencontainers/image-spec/blob/main/descriptor.md#digests
 */
export function parseDigest(text: string): Digest {
  if (isDigest(text)) return text
  const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text
  throw new UserError(
    'ERR_DIGEST_INVALID',
    `Cannot parse digest ${JSON.stringify(shown)}: expected sha256: and 64 lowercase hex digits`,
  )
}

/** As {@link parseDigest} for the digest of an uncompressed layer. */
export function parseDiffId(text: string): DiffId {
  return parseDigest(text) as string as DiffId
}

/** The digest of bytes in memory; a string counts as its UTF-8 bytes. */
export function digestBytes(bytes: Uint8Array | string): Digest {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest
}

/** The 64 hex digits. */
export function digestHex(digest: Digest | DiffId | ChainId): string {
  return digest.slice('sha256:'.length)
}

/** The digest that a finished hash of this process holds. */
export function digestFromHex(hex: string): Digest {
  return parseDigest(`sha256:${hex}`)
}

/**
 * The ChainID of a stack of layers, lowest first.
 *
 * @returns undefined for no layers
 * @see https://github.com/opencontainers/image-spec/blob/main/config.md#layer-chainid
 */
export function chainIdOf(layers: readonly DiffId[]): ChainId | undefined {
  let chain: ChainId | undefined
  for (const layer of layers) chain = chainUpon(chain, layer)
  return chain
}

/** The ChainID of a stack with one more layer on top of that with another ChainID, or on nothing. */
export function chainUpon(below: ChainId | undefined, layer: DiffId): ChainId {
  return (below === undefined ? layer : digestBytes(`${below} ${layer}`)) as string as ChainId
}
