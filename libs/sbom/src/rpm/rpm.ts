import { formatPackageUrl } from '@tsbuild/oci'
import { distroOf } from '../os-release.ts'
import type { Package, Source } from '../types.ts'
import { isBerkeley, readBerkeley } from './berkeley.ts'
import { type RpmHeader, readRpmHeader } from './header.ts'
import { isNdb, readNdb } from './ndb.ts'
import { isSqlite, readSqlite } from './sqlite.ts'

/**
 * Reads a database of rpm, whichever of its three forms it has. No package is in it twice: one whose headers have more bytes than it
 * has itself names the same ones again and again, and is given up.
 */
export function* readRpm(source: Source): Generator<Package> {
  const { path, bytes, note } = source
  const read = forms.find(({ is }) => is(bytes))?.read
  if (read === undefined) return note(`The rpm database ${path} was not read: its form is unknown.`)
  let count = 0
  let left = bytes.length
  for (const blob of read(bytes)) {
    left -= blob.length
    if (left < 0) return note(`The rpm database ${path} was not read to its end: it is damaged.`)
    const header = readRpmHeader(blob)
    if (header === undefined) continue
    count++
    // Keys that signatures are verified with are entered as packages, too.
    if (header.name !== 'gpg-pubkey') yield rpmPackage(header, source)
  }
  if (count === 0) note(`The rpm database ${path} has no packages, or is damaged.`)
}

const forms = [
  { is: isSqlite, read: readSqlite },
  { is: isNdb, read: readNdb },
  { is: isBerkeley, read: readBerkeley },
] as const

function rpmPackage(header: RpmHeader, { path, os }: Source): Package {
  const { name, release, epoch, arch, sourceRpm } = header
  const version = release === '' ? header.version : `${header.version}-${release}`
  const qualifiers = {
    arch,
    distro: distroOf(os),
    epoch: epoch === undefined || epoch === 0 ? undefined : String(epoch),
    upstream: sourceRpm,
  }
  return {
    type: 'rpm',
    name,
    version: epoch === undefined || epoch === 0 ? version : `${epoch}:${version}`,
    purl: formatPackageUrl({ type: 'rpm', namespace: os.id, name, version, qualifiers }),
    licence: header.licence,
    supplier: header.vendor,
    location: path,
  }
}
