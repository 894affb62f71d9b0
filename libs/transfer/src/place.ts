import { type Digest, parseDigest } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import { familiarName, type ImageReference, parseReference, withDefaultTag } from '@tsbuild/oci'

/** Where an image is, or is to be. */
export type ImagePlace =
  /** `docker://REF`, or `REF` alone. */
  | { readonly type: 'registry'; readonly reference: ImageReference }
  /** `store:NAME`: the local image list. To be read it may be an id, or the beginning of one. */
  | { readonly type: 'store'; readonly name: string }
  /** `oci:DIR[:TAG][@DIGEST]`: an OCI layout. */
  | { readonly type: 'oci'; readonly path: string; readonly name?: string; readonly digest?: Digest }
  /** `oci-archive:FILE[:TAG][@DIGEST]`: the tar of one. `-` for standard input or output. */
  | { readonly type: 'oci-archive'; readonly path: string; readonly name?: string; readonly digest?: Digest }
  /** `docker-archive:FILE[:NAME]`: what `docker save` writes, in its old and its new form. */
  | { readonly type: 'docker-archive'; readonly path: string; readonly name?: string }
  /** `-`, or a file for `load`: either kind of archive, which its content says. Written, it is an OCI archive. */
  | { readonly type: 'archive'; readonly path: string }

const schemes = ['docker://', 'store:', 'oci:', 'oci-archive:', 'docker-archive:'] as const
/** Places that skopeo has and tsbuild has not: a word of them is hardly meant as an image's name. */
const foreign = /^(?:docker-daemon|containers-storage|dir|ostree|sif|tarball|atomic):/

/**
 * Parses a place as skopeo writes it. Of a path the first colon ends it, as there.
 *
 * @throws {UserError} `ERR_REFERENCE_INVALID`, `ERR_DIGEST_INVALID`, `ERR_UNSUPPORTED` for a kind of place that there is not
 */
export function parseImagePlace(text: string): ImagePlace {
  if (text === '-') return { type: 'archive', path: '-' }
  const scheme = schemes.find((known) => text.startsWith(known)) ?? 'docker://'
  const rest = text.startsWith(scheme) ? text.slice(scheme.length) : text
  switch (scheme) {
    case 'docker://':
      if (foreign.test(text)) throw unknownPlace(text)
      return { type: 'registry', reference: withDefaultTag(parseReference(rest)) }
    case 'store:':
      if (rest === '') throw emptyPlace(text, 'a name')
      return { type: 'store', name: rest }
    case 'docker-archive:': {
      const { path, name, digest } = splitPath(text, rest)
      if (digest !== undefined)
        throw new UserError('ERR_UNSUPPORTED', `Cannot use place "${text}": a docker archive has no digests`)
      // Their names are always whole ones.
      return { type: 'docker-archive', path, ...(name === undefined ? {} : { name: checkedName(name) }) }
    }
    case 'oci:':
    case 'oci-archive:': {
      const type = scheme === 'oci:' ? 'oci' : 'oci-archive'
      return { type, ...splitPath(text, rest) }
    }
  }
}

/** As a place is written; {@link parseImagePlace} gives the same one back. */
export function formatImagePlace(place: ImagePlace): string {
  switch (place.type) {
    case 'registry':
      return `docker://${familiarName(place.reference)}`
    case 'store':
      return `store:${place.name}`
    case 'archive':
      return place.path
    default: {
      const name = place.name === undefined ? '' : `:${place.name}`
      const digest = 'digest' in place && place.digest !== undefined ? `@${place.digest}` : ''
      return `${place.type}:${place.path}${name}${digest}`
    }
  }
}

function splitPath(text: string, rest: string): { path: string; name?: string; digest?: Digest } {
  const [, before = rest, digest] = /^(.*?)@([^/@]+:[^/@]*|sha256[^/@]*)$/s.exec(rest) ?? []
  const colon = before.indexOf(':')
  const path = colon < 0 ? before : before.slice(0, colon)
  const name = colon < 0 ? '' : before.slice(colon + 1)
  if (path === '') throw emptyPlace(text, 'a path')
  return {
    path,
    ...(name === '' ? {} : { name }),
    ...(digest === undefined ? {} : { digest: parseDigest(digest) }),
  }
}

function checkedName(name: string): string {
  parseReference(name)
  return name
}

function emptyPlace(text: string, wanted: string): UserError {
  return new UserError(
    'ERR_REFERENCE_INVALID',
    `Cannot parse place "${text}": expected ${wanted} after the colon`,
  )
}

function unknownPlace(text: string): UserError {
  return new UserError('ERR_UNSUPPORTED', `Cannot use place "${text}": there is no such kind of place`, {
    hints: [
      `A place begins with ${schemes.map((known) => `\`${known}\``).join(', ')}; without one of them it is an image of a registry.`,
    ],
  })
}
