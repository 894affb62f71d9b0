import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readApk } from './apk.ts'
import { readCargoAuditable, readCargoLock } from './cargo.ts'
import { readDpkg } from './dpkg.ts'
import { readGoBuildInfo } from './golang.ts'
import { readPackageJson, readPackageLock } from './npm.ts'
import { parseOsRelease } from './os-release.ts'
import { readPython } from './python.ts'
import { readRpm } from './rpm/rpm.ts'
import { spdxDocument } from './spdx.ts'
import { goSection } from './testing/go-section.ts'
import { berkeleyFile, ndbFile, rpmHeader } from './testing/rpm-files.ts'
import { sqliteFile } from './testing/sqlite-file.ts'
import type { Package, Source } from './types.ts'

/** The same numbers on every run. */
function createRandom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
}

const blobs = ['a', 'b', 'c'.repeat(1500)].map((name) =>
  rpmHeader({ 1000: name, 1001: '1', 1002: '2', 1003: 4, 1014: 'MIT' }),
)

const samples: readonly (readonly [string, (source: Source) => Iterable<Package>, Buffer])[] = [
  [
    'dpkg',
    readDpkg,
    Buffer.from('Package: a\nStatus: install ok installed\nVersion: 1\nSource: b (2)\n x\n\n'),
  ],
  ['apk', readApk, Buffer.from('P:a\nV:1\nL:MIT\n\nP:b\nV:2\n')],
  [
    'package.json',
    readPackageJson,
    Buffer.from('{"name":"@a/b","version":"1","license":{"type":"MIT"},"author":{"name":"n"}}'),
  ],
  [
    'package-lock',
    readPackageLock,
    Buffer.from('{"packages":{"node_modules/a":{"version":"1","integrity":"sha512-aaaa"}}}'),
  ],
  [
    'old package-lock',
    readPackageLock,
    Buffer.from('{"dependencies":{"a":{"version":"1","dependencies":{"b":{"version":"2"}}}}}'),
  ],
  ['python', readPython, Buffer.from('Name: a\nVersion: 1\nLicense: MIT\nAuthor-email: x <y@z>\n')],
  ['go', readGoBuildInfo, goSection('go1.21', 'mod\ta/b\tv1\ndep\tc/d\tv2\n=>\te\tv3\n')],
  ['cargo auditable', readCargoAuditable, deflateSync('{"packages":[{"name":"a","version":"1"}]}')],
  ['Cargo.lock', readCargoLock, Buffer.from('[[package]]\nname = "a"\nversion = "1"\nsource = "x"\n')],
  ['ndb', readRpm, ndbFile(blobs)],
  ['Berkeley DB', readRpm, berkeleyFile(blobs)],
  ['SQLite', readRpm, sqliteFile(blobs)],
]

const os = { id: 'x', versionId: '', prettyName: '' }

function readAll(read: (source: Source) => Iterable<Package>, bytes: Buffer): readonly Package[] {
  return [...read({ path: 'p', bytes, os, note: () => {} })]
}

describe('fuzz', () => {
  it.each(samples)('%s: the sample itself has packages', (_, read, sample) => {
    expect(readAll(read, sample)).not.toEqual([])
  })

  it.each(samples)('%s: damaged files give packages or none, and never throw', (_, read, sample) => {
    const random = createRandom(sample.length)
    const packages: Package[] = []
    for (let round = 0; round < 1500; round++) {
      const bytes = Buffer.from(sample.subarray(0, round % 5 === 0 ? random(sample.length) : sample.length))
      for (let count = random(6); count >= 0 && bytes.length > 0; count--) {
        const at = random(2) === 0 ? random(bytes.length) : random(Math.min(bytes.length, 160))
        bytes[at] = random(3) === 0 ? 0xff : random(256)
      }
      const found = readAll(read, bytes)
      expect(found.length).toBeLessThan(1000)
      packages.push(...found.slice(0, 2))
    }
    // Whatever they are called, they can be written down.
    const document = spdxDocument({ os, packages, notes: [] }, { name: 'x', createdAt: 0, tool: 't' })
    expect(JSON.stringify(document)).toContain('SPDX-2.3')
  })

  it('parseOsRelease() gives texts whatever it is given', () => {
    const random = createRandom(7)
    for (let round = 0; round < 1500; round++) {
      const text = Array.from({ length: random(60) }, () => 'ID=VERSION_"\'\\\n$ x'[random(18)]).join('')
      expect(Object.values(parseOsRelease(text)).every((value) => typeof value === 'string')).toBe(true)
    }
  })

  it('readers take long texts in one go', () => {
    const long = 'x'.repeat(2_000_000)
    for (const [, read] of samples) {
      for (const text of [
        long,
        `${long}:\n`,
        `Package: ${long}`,
        `P:${long}`,
        `Name:${' '.repeat(2_000_000)}`,
        '\n'.repeat(2_000_000),
      ])
        expect(readAll(read, Buffer.from(text)).length).toBeLessThan(2)
    }
  })
})
