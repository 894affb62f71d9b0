import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it, vi } from 'vitest'
import { berkeleyFile, ndbFile, rpmHeader } from '../testing/rpm-files.ts'
import { sqliteFile } from '../testing/sqlite-file.ts'
import { readRpmHeader } from './header.ts'
import { readRpm } from './rpm.ts'

const directory = mkdtempSync(join(tmpdir(), 'tsbuild-sbom-rpm-'))
afterAll(() => rmSync(directory, { recursive: true, force: true }))

const fedora = { id: 'fedora', versionId: '39', prettyName: '' }

function read(bytes: Buffer) {
  const notes: string[] = []
  const source = { path: 'var/lib/rpm/x', bytes, os: fedora, note: (note: string) => void notes.push(note) }
  return { packages: [...readRpm(source)], notes }
}

const bash = { 1000: 'bash', 1001: '5.2.15', 1002: '3.fc39', 1011: 'Fedora', 1014: 'GPL-3.0', 1022: 'x86_64' }
const grub = { 1000: 'grub2', 1001: '2.06', 1002: '1', 1003: 1, 1022: 'noarch', 1044: 'grub2-2.06-1.src.rpm' }
const key = { 1000: 'gpg-pubkey', 1001: 'a', 1002: 'b' }
const blobs = [bash, grub, key, { ...grub, 1000: 'x'.repeat(2000) }].map(rpmHeader)

const large = rpmHeader({ ...bash, 1000: 'x'.repeat(2000) })

const forms = [
  ['ndb', ndbFile(blobs)],
  ['Berkeley DB', berkeleyFile(blobs)],
  ['Berkeley DB of a big-endian machine', berkeleyFile(blobs, true)],
] as const

describe('readRpm()', () => {
  it.each(forms)('readRpm() reads a database in the form of %s', (_, bytes) => {
    expect(read(bytes)).toEqual({
      packages: [
        {
          type: 'rpm',
          name: 'bash',
          version: '5.2.15-3.fc39',
          purl: 'pkg:rpm/fedora/bash@5.2.15-3.fc39?arch=x86_64&distro=fedora-39',
          licence: 'GPL-3.0',
          supplier: 'Fedora',
          location: 'var/lib/rpm/x',
        },
        expect.objectContaining({
          version: '1:2.06-1',
          purl: 'pkg:rpm/fedora/grub2@2.06-1?arch=noarch&distro=fedora-39&epoch=1&upstream=grub2-2.06-1.src.rpm',
        }),
        expect.objectContaining({ name: 'x'.repeat(2000) }),
      ],
      notes: [],
    })
  })

  it('readRpm() reads the database that rpm itself makes, of one page and of many', () => {
    const run = (program: string, ...args: string[]) => {
      const { status, stderr } = spawnSync(program, args, { encoding: 'utf8', cwd: directory })
      expect(status, `${program} ${args.join(' ')}: ${stderr}`).toBe(0)
    }
    const names = Array.from({ length: 12 }, (_, index) => `package-${index}`)
    for (const name of names) {
      // A long list of changes, so that headers take more than a page.
      const filler = `* Sat Nov 21 2026 A <a@b.test>\n- ${'x'.repeat(9000)}\n`
      const spec = `Name: ${name}\nVersion: 1.2\nRelease: 3\nEpoch: 2\nSummary: s\nLicense: MIT\nVendor: V\nBuildArch: noarch\n%description\nd\n%files\n%changelog\n${filler}`
      writeFileSync(join(directory, `${name}.spec`), spec)
    }
    run(
      'rpmbuild',
      '-bb',
      '--quiet',
      '--define',
      `_topdir ${directory}/top`,
      ...names.map((name) => `${name}.spec`),
    )
    const rpms = names.map((name) => `top/RPMS/noarch/${name}-1.2-3.noarch.rpm`)
    const install = ['--force-debian', '-i', '--justdb', '--nodeps']
    run('rpm', '--dbpath', `${directory}/db`, ...install, ...rpms)
    const { packages, notes } = read(readFileSync(join(directory, 'db/rpmdb.sqlite')))
    expect(notes).toEqual([])
    expect(packages.map(({ name }) => name).sort()).toEqual([...names].sort())
    expect(packages[0]).toMatchObject({ version: '2:1.2-3', licence: 'MIT', supplier: 'V' })
  })

  it.each([
    ['of no known form', Buffer.from('hello'), /form is unknown/],
    ['without packages', ndbFile([]), /no packages, or is damaged/],
  ])('readRpm() notes a database %s', (_, bytes, note) => {
    expect(read(bytes)).toEqual({ packages: [], notes: [expect.stringMatching(note)] })
  })

  it.each([
    ['ndb', hostileNdb()],
    ['Berkeley DB', hostileBerkeley()],
    ['SQLite', hostileSqlite()],
  ])('readRpm() gives up a database in the form of %s that names one header again and again', (_, bytes) => {
    const { packages, notes } = read(bytes)
    const long = packages.filter(({ name }) => name.length === 2000)
    expect(long.length).toBeLessThanOrEqual(bytes.length / 2000)
    expect(notes).toEqual([expect.stringMatching(/was not read to its end: it is damaged/)])
  })

  it('readRpmHeader() searches the data once for each tag that it wants', () => {
    const header = rpmHeader({ 1000: 'a', 1001: '1' })
    const entries = Buffer.concat(Array.from({ length: 3000 }, () => header.subarray(8, 24)))
    const blob = Buffer.concat([header.subarray(0, 40), entries, header.subarray(40)])
    blob.writeUInt32BE(3002, 0)
    const searched = vi.spyOn(Buffer.prototype, 'indexOf')
    expect(readRpmHeader(blob)).toMatchObject({ name: 'a', version: '1' })
    expect(searched.mock.calls.length).toBeLessThan(9)
    searched.mockRestore()
  })

  it('readRpm() ends with a chain of pages that leads to itself', () => {
    const bytes = berkeleyFile(blobs)
    // The first page of the second value.
    bytes.writeUInt32LE(2, 2 * 512 + 16)
    bytes.writeUInt32LE(0xffff, 2 * 512 + 8)
    expect(read(bytes).packages.length).toBeGreaterThan(0)
  })
})

/** Every slot of the page has the place of the one blob. */
function hostileNdb(): Buffer {
  const bytes = ndbFile([large])
  for (let at = 64; at < 4096; at += 16) bytes.copy(bytes, at, 48, 64)
  return bytes
}

/** Every value of the page has the place of the one chain. */
function hostileBerkeley(): Buffer {
  const bytes = berkeleyFile([rpmHeader(bash), large])
  const page = 512
  const count = 40
  bytes.writeUInt16LE(count, page + 20)
  for (let index = 4; index < count; index++)
    bytes.copy(bytes, page + 26 + index * 2, page + 26 + (index % 2) * 2 + 4, page + 26 + (index % 2) * 2 + 6)
  return bytes
}

/** Every cell of the leaf is the one row. */
function hostileSqlite(): Buffer {
  const bytes = sqliteFile([large])
  const leaf = 2 * 512
  bytes.writeUInt16BE(40, leaf + 3)
  for (let index = 1; index < 40; index++) bytes.copy(bytes, leaf + 8 + index * 2, leaf + 8, leaf + 10)
  return bytes
}
