import { posix } from 'node:path'
import { readApk } from './apk.ts'
import { readCargoAuditable, readCargoLock } from './cargo.ts'
import { readDpkg } from './dpkg.ts'
import { readGoBuildInfo } from './golang.ts'
import { projectOf, readPackageJson, readPackageLock } from './npm.ts'
import { parseOsRelease } from './os-release.ts'
import { readPython } from './python.ts'
import { readRpm } from './rpm/rpm.ts'
import type { ImageReader, Inventory, OsRelease, Package, Source } from './types.ts'

/** The largest database that is read: those of rpm have some hundred MB at most. */
const maxFileBytes = 128 * 1024 * 1024

/** Of JSON, which takes many times its size in memory: the longest lock files have some MB. */
const maxJsonBytes = 16 * 1024 * 1024

/** Far more than images have. A line of an apk database is a package, and there is room for millions. */
const maxPackages = 200_000

/** Bytes of files that are held at a time, unless one has more. */
const batchBytes = 16 * 1024 * 1024
const batchFiles = 500

const osReleases = ['etc/os-release', 'usr/lib/os-release']

interface Kind {
  readonly patterns: readonly string[]
  /** Whether a path that matches is one; the patterns know no more than names. */
  readonly is: (path: string) => boolean
  readonly read: (source: Source) => Iterable<Package>
}

const kinds: readonly Kind[] = [
  {
    patterns: ['var/lib/dpkg/status', 'var/lib/dpkg/status.d/*'],
    // The lists of checksums beside the packages of images without dpkg.
    is: (path) => /^var\/lib\/dpkg\/(?:status|status\.d\/[^/]+)$/.test(path) && !path.endsWith('.md5sums'),
    read: readDpkg,
  },
  {
    patterns: ['lib/apk/db/installed', 'usr/lib/apk/db/installed'],
    is: (path) => path.endsWith('lib/apk/db/installed'),
    read: readApk,
  },
  {
    patterns: ['var/lib/rpm/*', 'usr/lib/sysimage/rpm/*', 'usr/share/rpm/*'],
    is: (path) => /\/rpm\/(?:rpmdb\.sqlite|Packages|Packages\.db)$/.test(path),
    read: readRpm,
  },
  {
    patterns: ['**/package.json'],
    is: (path) => /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/@.][^/]*\/package\.json$/.test(path),
    read: readPackageJson,
  },
  {
    patterns: ['**/package-lock.json', '**/npm-shrinkwrap.json'],
    // Those of packages that are installed say what was used to make them.
    is: (path) =>
      /(?:^|\/)(?:package-lock|npm-shrinkwrap)\.json$/.test(path) && !path.includes('node_modules/'),
    read: readPackageLock,
  },
  {
    patterns: ['**/METADATA', '**/PKG-INFO', '**/*.egg-info'],
    is: (path) => /\.dist-info\/METADATA$|\.egg-info(?:\/PKG-INFO)?$/.test(path),
    read: readPython,
  },
  {
    patterns: ['**/Cargo.lock'],
    // Those of crates that were only fetched.
    is: (path) => path.endsWith('Cargo.lock') && !/(?:^|\/)registry\/src\//.test(path),
    read: readCargoLock,
  },
]

const sectionReaders: Readonly<Record<string, (source: Source) => Iterable<Package>>> = {
  '.go.buildinfo': readGoBuildInfo,
  '.dep-v0': readCargoAuditable,
}

/**
 * Lists what is installed in the file system of an image, from the databases of dpkg, apk and rpm, from what npm, pip, Go and Cargo
 * leave behind. The file system is untrusted: what is damaged, too large or of no known form is noted, and nothing of it throws.
 *
 * @throws what `reader` throws
 */
export async function takeInventory(reader: ImageReader): Promise<Inventory> {
  const patterns = [...osReleases, ...kinds.flatMap((kind) => kind.patterns)]
  const found = await reader.find(patterns, Object.keys(sectionReaders))
  const notes = new Set<string>()
  const note = (text: string) => void notes.add(text)
  if (found.incomplete)
    note('Some files could not be looked at: there are too many, or they may not be read.')
  const os = await readOs(reader, found.files)
  const packages: Package[] = []
  const take = (path: string, bytes: Buffer, read: Kind['read']) => {
    for (const one of read({ path, bytes, os, note })) {
      if (packages.length >= maxPackages)
        return note(`There are more packages than the ${maxPackages} that are listed.`)
      packages.push(one)
    }
  }
  for (const { path, size } of found.files)
    if (size > 0 && path.endsWith('rpmdb.sqlite-wal')) note(`What is in the journal ${path} was not read.`)
  for (const batch of batchesOf(wantedOf(found.files, note))) {
    const largest = Math.max(...batch.map(({ size }) => size))
    const contents = await reader.read(
      batch.map(({ path }) => path),
      largest,
    )
    for (const [index, { path, kind }] of batch.entries()) {
      const bytes = contents[index]
      if (bytes === null || bytes === undefined) note(`${path} was not read.`)
      else take(path, bytes, kind.read)
    }
  }
  for (const { path, name, data } of found.sections) {
    const read = sectionReaders[name]
    if (read !== undefined) take(path, data, read)
  }
  return { os, packages: sorted(packages), notes: [...notes].sort() }
}

type FoundFiles = Awaited<ReturnType<ImageReader['find']>>['files']

async function readOs(reader: ImageReader, files: FoundFiles): Promise<OsRelease> {
  // The first is often a link to the second, and links are not found.
  const [path] = osReleases.filter((wanted) =>
    files.some((file) => file.path === wanted && file.size < 65_536),
  )
  const [bytes] = path === undefined ? [] : await reader.read([path], 65_536)
  return parseOsRelease(bytes?.toString('utf8') ?? '')
}

interface WantedFile {
  readonly path: string
  readonly size: number
  readonly kind: Kind
}

/** A lock file beside what is installed by it says the same again, and more. */
function wantedOf(files: FoundFiles, note: (text: string) => void): readonly WantedFile[] {
  const projects = new Set<string>()
  for (const { path } of files) {
    const at = path.indexOf('node_modules/')
    if (at >= 0) projects.add(posix.join(path.slice(0, at), '.'))
  }
  return files.flatMap(({ path, size }) => {
    const kind = kinds.find(({ is }) => is(path))
    if (kind === undefined || size === 0) return []
    if (kind.read === readPackageLock && projects.has(projectOf(path))) return []
    const most = path.endsWith('.json') ? maxJsonBytes : maxFileBytes
    if (size <= most) return [{ path, size, kind }]
    note(`${path} was not read: it has ${size} bytes.`)
    return []
  })
}

function* batchesOf(files: readonly WantedFile[]): Generator<readonly WantedFile[]> {
  let batch: WantedFile[] = []
  let bytes = 0
  for (const file of files) {
    if (batch.length >= batchFiles || (batch.length > 0 && bytes + file.size > batchBytes)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(file)
    bytes += file.size
  }
  if (batch.length > 0) yield batch
}

function sorted(packages: readonly Package[]): readonly Package[] {
  const keyOf = ({ purl, location }: Package) => `${purl} ${location}`
  const distinct = new Map(packages.map((one) => [keyOf(one), one]))
  return [...distinct].sort(([one], [other]) => (one < other ? -1 : 1)).map(([, one]) => one)
}
