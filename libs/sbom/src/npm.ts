import { posix } from 'node:path'
import { formatPackageUrl } from '@tsbuild/oci'
import { isRecord, parseJson } from '@tsbuild/shape'
import type { Checksum, Package, Source } from './types.ts'

/** Reads the `package.json` of an installed package; what has neither name nor version is none. */
export function* readPackageJson({ path, bytes, note }: Source): Generator<Package> {
  const value = parseJson(bytes.toString('utf8'))
  if (!isRecord(value)) return note(`${path} is not JSON.`)
  const { name, version } = value
  if (typeof name !== 'string' || typeof version !== 'string' || name === '' || version === '') return
  yield npmPackage(name, version, path, { licence: licenceOf(value), supplier: authorOf(value.author) })
}

/**
 * Reads what a `package-lock.json` has for runs: versions 2 and 3 have a list by place, version 1 a tree by name. Packages for
 * development are left out, and those of the project itself.
 */
export function* readPackageLock({ path, bytes, note }: Source): Generator<Package> {
  const value = parseJson(bytes.toString('utf8'))
  if (!isRecord(value)) return note(`${path} is not JSON.`)
  if (isRecord(value.packages)) {
    for (const [place, entry] of Object.entries(value.packages)) {
      const at = place.lastIndexOf('node_modules/')
      if (at < 0 || !isRecord(entry) || entry.dev === true || entry.link === true) continue
      const name = typeof entry.name === 'string' ? entry.name : place.slice(at + 'node_modules/'.length)
      if (typeof entry.version !== 'string') continue
      const checksums = checksumsOf(entry.integrity)
      yield npmPackage(name, entry.version, path, { licence: licenceOf(entry), checksums })
    }
  } else yield* readTree(value.dependencies, path)
}

function* readTree(root: unknown, path: string): Generator<Package> {
  const pending = isRecord(root) ? [root] : []
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    for (const [name, entry] of Object.entries(next)) {
      if (!isRecord(entry) || entry.dev === true) continue
      if (typeof entry.version === 'string' && /^\d/.test(entry.version))
        yield npmPackage(name, entry.version, path, { checksums: checksumsOf(entry.integrity) })
      if (isRecord(entry.dependencies)) pending.push(entry.dependencies)
    }
  }
}

/** The directory that a lock file is about. */
export function projectOf(lock: string): string {
  return posix.dirname(lock)
}

function npmPackage(name: string, version: string, location: string, more: Partial<Package>): Package {
  const [scope, rest] =
    name.startsWith('@') && name.includes('/') ? splitAt(name, name.indexOf('/')) : ['', name]
  const purl = formatPackageUrl({ type: 'npm', namespace: scope, name: rest.toLowerCase(), version })
  return { type: 'npm', name, version, purl, location, ...more }
}

function splitAt(text: string, at: number): readonly [string, string] {
  return [text.slice(0, at), text.slice(at + 1)]
}

/** `license` is a text today; it was an object, and `licenses` a list of them. */
function licenceOf({ license, licenses }: Readonly<Record<string, unknown>>): string | undefined {
  const nameOf = (value: unknown): string | undefined => {
    if (typeof value === 'string') return value
    return isRecord(value) && typeof value.type === 'string' ? value.type : undefined
  }
  const one = nameOf(license)
  if (one !== undefined) return one
  const several = (Array.isArray(licenses) ? licenses : []).flatMap((each) => nameOf(each) ?? [])
  return several.length === 0 ? undefined : several.join(' OR ')
}

function authorOf(author: unknown): string | undefined {
  if (typeof author === 'string') return author
  if (!isRecord(author) || typeof author.name !== 'string') return undefined
  return typeof author.email === 'string' ? `${author.name} <${author.email}>` : author.name
}

const algorithms = { sha1: 'SHA1', sha256: 'SHA256', sha512: 'SHA512' } as const

/** Subresource integrity: `sha512-<base64>`, several with spaces between. */
function checksumsOf(integrity: unknown): readonly Checksum[] | undefined {
  if (typeof integrity !== 'string') return undefined
  const found = integrity.split(/\s+/).flatMap((entry) => {
    const [, name = '', text = ''] = /^(sha1|sha256|sha512)-([A-Za-z0-9+/]+={0,2})$/.exec(entry) ?? []
    const algorithm = algorithms[name as keyof typeof algorithms]
    return algorithm === undefined ? [] : [{ algorithm, value: Buffer.from(text, 'base64').toString('hex') }]
  })
  return found.length === 0 ? undefined : found
}
