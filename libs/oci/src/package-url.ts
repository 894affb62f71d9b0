import { formatPlatform } from './platform.ts'
import { familiarName, parseReference } from './reference.ts'
import type { Platform } from './types.ts'

/** The parts of a package URL. */
export interface PackageUrl {
  /** `deb`, `npm`, `docker`. */
  readonly type: string
  /** Its segments are separated by slashes. */
  readonly namespace?: string | undefined
  readonly name: string
  readonly version?: string | undefined
  /** Those that are undefined or empty are left out. */
  readonly qualifiers?: Readonly<Record<string, string | undefined>> | undefined
  /** A path within the package. */
  readonly subpath?: string | undefined
}

/**
 * Writes a package URL. What is not a letter, a digit or one of `.-_~:` is percent-encoded; qualifiers are sorted by name. Letters
 * keep their case: which types have names without it is for the caller to know.
 *
 * @see https://github.com/package-url/purl-spec
 */
export function formatPackageUrl(parts: PackageUrl): string {
  const { type, namespace = '', name, version = '', qualifiers = {}, subpath = '' } = parts
  const segments = (text: string) => text.split('/').filter((segment) => segment !== '')
  const path = [...segments(namespace), name].map(encode).join('/')
  const query = Object.entries(qualifiers)
    .flatMap(([key, value]) => (value === undefined || value === '' ? [] : [`${key}=${encode(value)}`]))
    .sort()
    .join('&')
  return [
    `pkg:${type}/${path}`,
    version === '' ? '' : `@${encode(version)}`,
    query === '' ? '' : `?${query}`,
    subpath === '' ? '' : `#${segments(subpath).map(encode).join('/')}`,
  ].join('')
}

/**
 * The package URL of an image as BuildKit writes it, `pkg:docker/debian@bookworm?platform=linux%2Famd64`: that of a layout's
 * directory is of type `oci` and has the name of the directory alone, whose path is the machine's own business.
 *
 * @throws {UserError} `ERR_REFERENCE_INVALID`
 */
export function imagePackageUrl(reference: string, platform: Platform | undefined): string {
  const qualifiers = { platform: platform === undefined ? undefined : formatPlatform(platform) }
  const [, layout] = /^oci-layout:\/\/(.*)$/s.exec(reference) ?? []
  if (layout !== undefined) {
    const [, name = 'layout', tag] = /([^/:@]*)(?::([^/@]*))?(?:@.*)?$/s.exec(layout) ?? []
    return formatPackageUrl({ type: 'oci', name: name === '' ? 'layout' : name, version: tag, qualifiers })
  }
  const { tag, digest, ...parsed } = parseReference(reference)
  const segments = familiarName(parsed).split('/')
  return formatPackageUrl({
    type: 'docker',
    namespace: segments.slice(0, -1).join('/'),
    name: segments.at(-1) ?? '',
    version: tag,
    qualifiers: { ...qualifiers, digest },
  })
}

/** As the specification has it: a colon stays as it is. */
function encode(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()*]/g, (mark) => `%${mark.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%3A', ':')
}
