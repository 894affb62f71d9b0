import { formatPackageUrl } from '@tsbuild/oci'
import { parseParagraphs } from './paragraphs.ts'
import type { Package, Source } from './types.ts'

/**
 * Reads the metadata of an installed Python distribution: `METADATA` of a `.dist-info`, `PKG-INFO` of an `.egg-info`.
 *
 * @see https://packaging.python.org/en/latest/specifications/core-metadata/
 */
export function* readPython({ path, bytes }: Source): Generator<Package> {
  const [fields] = parseParagraphs(bytes.toString('utf8'))
  const name = fields?.get('name') ?? ''
  const version = fields?.get('version') ?? ''
  if (fields === undefined || name === '') return
  yield {
    type: 'pypi',
    name,
    version,
    purl: formatPackageUrl({ type: 'pypi', name: name.toLowerCase().replace(/[-_.]+/g, '-'), version }),
    licence: licenceOf(fields),
    supplier: authorOf(fields),
    location: path,
  }
}

/** The older field often holds the whole text of a licence, or nothing. */
function licenceOf(fields: ReadonlyMap<string, string>): string | undefined {
  const expression = fields.get('license-expression')
  if (expression !== undefined && expression !== '') return expression
  const licence = fields.get('license') ?? ''
  return licence === '' || licence === 'UNKNOWN' || licence.includes('\n') || licence.length > 100
    ? undefined
    : licence
}

function authorOf(fields: ReadonlyMap<string, string>): string | undefined {
  const author = fields.get('author') ?? ''
  const email = fields.get('author-email') ?? ''
  if (author === '' || author === 'UNKNOWN') return email === '' || email === 'UNKNOWN' ? undefined : email
  return email === '' || email === 'UNKNOWN' || email.includes('<') ? author : `${author} <${email}>`
}
