import { describe, expect, it, vi } from 'vitest'
import { takeInventory } from './take-inventory.ts'
import { goSection } from './testing/go-section.ts'
import { memoryReader } from './testing/memory-reader.ts'

const osRelease = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n'
const status = 'Package: a\nStatus: install ok installed\nVersion: 1\nArchitecture: all\n'

const purlsOf = async (files: Readonly<Record<string, string>>, sections = {}) =>
  (await takeInventory(memoryReader(files, sections))).packages.map(({ purl }) => purl)

describe('takeInventory()', () => {
  it('takeInventory() says which system it is, and qualifies its packages by it', async () => {
    const files = { 'usr/lib/os-release': osRelease, 'var/lib/dpkg/status': status }
    expect(await takeInventory(memoryReader(files))).toEqual({
      os: { id: 'debian', versionId: '12', prettyName: 'Debian GNU/Linux 12 (bookworm)' },
      packages: [expect.objectContaining({ purl: 'pkg:deb/debian/a@1?arch=all&distro=debian-12' })],
      notes: [],
    })
  })

  it('takeInventory() takes /etc/os-release first', async () => {
    const files = { 'etc/os-release': 'ID=ubuntu', 'usr/lib/os-release': osRelease }
    expect((await takeInventory(memoryReader(files))).os.id).toBe('ubuntu')
  })

  it('takeInventory() reads every kind once, sorted, each package of a file once', async () => {
    const purls = await purlsOf(
      {
        'var/lib/dpkg/status.d/base': 'Package: base\nVersion: 1\n',
        'var/lib/dpkg/status.d/base.md5sums': 'Package: no\nVersion: 1\n',
        'var/lib/dpkg/status': `${status}\n${status}`,
        'lib/apk/db/installed': 'P:musl\nV:1\n',
        'app/node_modules/x/package.json': '{"name":"x","version":"1"}',
        'app/node_modules/@s/y/package.json': '{"name":"@s/y","version":"1"}',
        'app/node_modules/x/test/package.json': '{"name":"no","version":"1"}',
        'app/package.json': '{"name":"no","version":"1"}',
        'usr/lib/python3/dist-packages/p-1.dist-info/METADATA': 'Name: p\nVersion: 1\n',
        'usr/lib/python3/dist-packages/q.egg-info': 'Name: q\nVersion: 1\n',
        'usr/lib/python3/dist-packages/r.egg-info/PKG-INFO': 'Name: r\nVersion: 1\n',
        'src/Cargo.lock': '[[package]]\nname = "c"\nversion = "1"\nsource = "x"\n',
        'root/.cargo/registry/src/x/Cargo.lock': '[[package]]\nname = "no"\nversion = "1"\nsource = "x"\n',
      },
      { 'bin/app#.go.buildinfo': goSection('go1.22', 'mod\tgo.test/m\tv1\n') },
    )
    expect(purls).toEqual([
      'pkg:apk/alpine/musl@1',
      'pkg:cargo/c@1',
      'pkg:deb/debian/a@1?arch=all',
      'pkg:deb/debian/base@1',
      'pkg:golang/go.test/m@v1',
      'pkg:golang/stdlib@1.22',
      'pkg:npm/%40s/y@1',
      'pkg:npm/x@1',
      'pkg:pypi/p@1',
      'pkg:pypi/q@1',
      'pkg:pypi/r@1',
    ])
  })

  it('takeInventory() reads a lock file only where nothing is installed beside it', async () => {
    const lock = JSON.stringify({ packages: { 'node_modules/l': { version: '1' } } })
    expect(await purlsOf({ 'app/package-lock.json': lock })).toEqual(['pkg:npm/l@1'])
    const installed = { 'app/node_modules/x/package.json': '{"name":"x","version":"1"}' }
    expect(await purlsOf({ 'app/package-lock.json': lock, ...installed })).toEqual(['pkg:npm/x@1'])
  })

  it('takeInventory() notes what it did not read', async () => {
    const reader = memoryReader({ 'var/lib/rpm/Packages': 'x', 'var/lib/rpm/rpmdb.sqlite-wal': 'x' })
    const found = async () => ({
      files: [
        { path: 'var/lib/dpkg/status', size: 2 ** 40 },
        { path: 'lib/apk/db/installed', size: 5 },
        { path: 'var/lib/rpm/Packages', size: 1 },
        { path: 'var/lib/rpm/rpmdb.sqlite-wal', size: 1 },
      ],
      sections: [],
      incomplete: true,
    })
    expect((await takeInventory({ ...reader, find: found })).notes).toEqual([
      'Some files could not be looked at: there are too many, or they may not be read.',
      'The rpm database var/lib/rpm/Packages was not read: its form is unknown.',
      'What is in the journal var/lib/rpm/rpmdb.sqlite-wal was not read.',
      'lib/apk/db/installed was not read.',
      'var/lib/dpkg/status was not read: it has 1099511627776 bytes.',
    ])
  })

  it('takeInventory() lists no more packages than memory has room for', async () => {
    const installed = Array.from({ length: 200_001 }, (_, index) => `P:p${index}\n`).join('\n')
    const { packages, notes } = await takeInventory(memoryReader({ 'lib/apk/db/installed': installed }))
    expect(packages).toHaveLength(200_000)
    expect(notes).toEqual(['There are more packages than the 200000 that are listed.'])
  })

  it('takeInventory() reads no JSON that takes gigabytes when it is read', async () => {
    const size = 17 * 1024 * 1024
    const read = vi.fn(async () => [])
    const files = [{ path: 'package-lock.json', size }]
    const { notes } = await takeInventory({
      find: async () => ({ files, sections: [], incomplete: false }),
      read,
    })
    expect(read).not.toHaveBeenCalled()
    expect(notes).toEqual([`package-lock.json was not read: it has ${size} bytes.`])
  })

  it('takeInventory() asks for no more than some megabytes at a time', async () => {
    const files = Array.from({ length: 1200 }, (_, index) => ({
      path: `node_modules/p${index}/package.json`,
      size: 40_000,
    }))
    const asked: number[] = []
    await takeInventory({
      find: async () => ({ files, sections: [], incomplete: false }),
      read: async (paths) => {
        asked.push(paths.length)
        return paths.map(() => Buffer.from('{}'))
      },
    })
    expect(Math.max(...asked)).toBeLessThanOrEqual(419)
    expect(asked.reduce((sum, count) => sum + count, 0)).toBe(1200)
  })
})
