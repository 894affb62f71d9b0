import { formatPackageUrl } from '@tsbuild/oci'
import { distroOf } from '../os-release.ts'
import type { Package, Source } from '../types.ts'
import { isBerkeley, readBerkeley } from './berkeley.ts'
import { type RpmHeader, readRpmHeader } from './header.ts'
import { isNdb, readNdb } from './ndb.ts'
import { isSqlite, readSqlite } from './sqlite.ts'

/** Reads a database of rpm, whichever of its three forms it has. */
export function readRpm(source: Source): readonly Package[] {
  const { path, bytes, note } = source
  const read = forms.find(({ is }) => is(bytes))?.read
  if (read === undefined) {
    note(`The rpm database ${path} was not read: its form is unknown.`)
    return []
  }
  const headers = [...read(bytes)].flatMap((blob) => readRpmHeader(blob) ?? [])
  if (headers.length === 0) note(`The rpm database ${path} has no packages, or is damaged.`)
  // Keys that signatures are verified with are entered as packages, too.
  return headers.filter(({ name }) => name !== 'gpg-pubkey').map((header) => rpmPackage(header, source))
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
