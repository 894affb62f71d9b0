import { formatPackageUrl } from '@tsbuild/oci'
import { distroOf } from './os-release.ts'
import { parseParagraphs } from './paragraphs.ts'
import type { Package, Source } from './types.ts'

/**
 * Reads dpkg's `status`, or a file of the `status.d` that images without dpkg have. Packages that are removed and have left
 * configuration behind are not installed.
 *
 * @see deb-control(5), dpkg(1)
 */
export function* readDpkg({ path, bytes, os }: Source): Generator<Package> {
  const namespace = os.id === '' ? 'debian' : os.id
  for (const fields of parseParagraphs(bytes.toString('utf8'))) {
    const name = fields.get('package') ?? ''
    const status = fields.get('status')
    if (name === '' || (status !== undefined && !/ installed$/.test(status))) continue
    const version = fields.get('version') ?? ''
    const [, source, sourceVersion] = /^(\S+)(?: \((.+)\))?$/.exec(fields.get('source') ?? '') ?? []
    const upstream = sourceVersion === undefined ? source : `${source}@${sourceVersion}`
    const qualifiers = { arch: fields.get('architecture'), distro: distroOf(os), upstream }
    yield {
      type: 'deb',
      name,
      version,
      purl: formatPackageUrl({ type: 'deb', namespace, name, version, qualifiers }),
      supplier: fields.get('maintainer'),
      location: path,
    }
  }
}
