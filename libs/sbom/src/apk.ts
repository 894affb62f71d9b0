import { formatPackageUrl } from '@tsbuild/oci'
import { distroOf } from './os-release.ts'
import { lines } from './paragraphs.ts'
import type { Package, Source } from './types.ts'

/**
 * Reads apk's database of installed packages: fields of one letter, in paragraphs.
 *
 * @see https://wiki.alpinelinux.org/wiki/Apk_spec
 */
export function* readApk({ path, bytes, os }: Source): Generator<Package> {
  const namespace = os.id === '' ? 'alpine' : os.id
  let fields = new Map<string, string>()
  const finish = function* (): Generator<Package> {
    const name = fields.get('P') ?? ''
    const version = fields.get('V') ?? ''
    const qualifiers = { arch: fields.get('A'), distro: distroOf(os), upstream: fields.get('o') }
    if (name !== '') {
      yield {
        type: 'apk',
        name,
        version,
        purl: formatPackageUrl({ type: 'apk', namespace, name: name.toLowerCase(), version, qualifiers }),
        licence: fields.get('L'),
        supplier: fields.get('m'),
        location: path,
      }
    }
    fields = new Map()
  }
  for (const line of lines(bytes.toString('utf8'))) {
    if (line === '') yield* finish()
    // Files (F, R, Z, a, M) come after the package's own fields, and there are many.
    else if (line[1] === ':' && 'PVALom'.includes(line[0] ?? ' ') && !fields.has(line[0] ?? ''))
      fields.set(line[0] ?? '', line.slice(2))
  }
  yield* finish()
}
