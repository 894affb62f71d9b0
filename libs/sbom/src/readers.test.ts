import { deflateSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { readApk } from './apk.ts'
import { readCargoAuditable, readCargoLock } from './cargo.ts'
import { readDpkg } from './dpkg.ts'
import { readGoBuildInfo } from './golang.ts'
import { readPackageJson, readPackageLock } from './npm.ts'
import { readPython } from './python.ts'
import { goSection } from './testing/go-section.ts'
import type { Package, Source } from './types.ts'

const debian = { id: 'debian', versionId: '12', prettyName: '' }

function all(read: (source: Source) => Iterable<Package>, text: string | Buffer, os = debian) {
  const notes: string[] = []
  const packages = [
    ...read({ path: 'the/file', bytes: Buffer.from(text), os, note: (note) => void notes.push(note) }),
  ]
  return { packages, notes }
}
const purls = (read: (source: Source) => Iterable<Package>, text: string | Buffer, os = debian) =>
  all(read, text, os).packages.map(({ purl }) => purl)

describe('readDpkg()', () => {
  it('readDpkg() reads what is installed, and not what is removed', () => {
    const status = `Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u4
Depends: libgcc-s1
Conffiles:
 /etc/ld.so.conf.d/x.conf abc
Description: GNU C Library
 Package: not-a-package

Package: gone
Status: deinstall ok config-files
Version: 1

Package: g++
Status: hold ok installed
Architecture: amd64
Source: gcc-defaults (1.203)
Version: 4:12.2.0-3
`
    expect(all(readDpkg, status).packages).toEqual([
      {
        type: 'deb',
        name: 'libc6',
        version: '2.36-9+deb12u4',
        purl: 'pkg:deb/debian/libc6@2.36-9%2Bdeb12u4?arch=amd64&distro=debian-12&upstream=glibc',
        supplier: 'GNU Libc Maintainers <debian-glibc@lists.debian.org>',
        location: 'the/file',
      },
      expect.objectContaining({
        name: 'g++',
        purl: 'pkg:deb/debian/g%2B%2B@4:12.2.0-3?arch=amd64&distro=debian-12&upstream=gcc-defaults%401.203',
      }),
    ])
  })

  it('readDpkg() reads a file of status.d, which has no status', () => {
    expect(
      purls(readDpkg, 'Package: tzdata\nVersion: 2024a\r\nArchitecture: all\n', { ...debian, id: '' }),
    ).toEqual(['pkg:deb/debian/tzdata@2024a?arch=all'])
  })
})

describe('readApk()', () => {
  it('readApk() reads packages and passes over their files', () => {
    const installed = `C:Q1aaaa=
P:musl
V:1.2.4-r2
A:x86_64
L:MIT
o:musl
m:Natanael Copa <ncopa@alpinelinux.org>
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755

P:busybox
V:1.36.1-r5
A:x86_64
L:GPL-2.0-only
`
    expect(all(readApk, installed, { id: 'alpine', versionId: '3.19.1', prettyName: '' }).packages).toEqual([
      {
        type: 'apk',
        name: 'musl',
        version: '1.2.4-r2',
        purl: 'pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64&distro=alpine-3.19.1&upstream=musl',
        licence: 'MIT',
        supplier: 'Natanael Copa <ncopa@alpinelinux.org>',
        location: 'the/file',
      },
      expect.objectContaining({ name: 'busybox', licence: 'GPL-2.0-only' }),
    ])
  })
})

describe('readPackageJson()', () => {
  it.each([
    ['{"name":"left-pad","version":"1.3.0","license":"WTFPL"}', 'pkg:npm/left-pad@1.3.0', 'WTFPL'],
    [
      '{"name":"@types/node","version":"20.1.0","license":{"type":"MIT"}}',
      'pkg:npm/%40types/node@20.1.0',
      'MIT',
    ],
    [
      '{"name":"old","version":"0.1.0","licenses":[{"type":"MIT"},{"type":"BSD"}]}',
      'pkg:npm/old@0.1.0',
      'MIT OR BSD',
    ],
  ])('readPackageJson() reads %s', (text, purl, licence) => {
    expect(all(readPackageJson, text).packages).toMatchObject([{ purl, licence }])
  })

  it.each(['{}', '{"name":"x"}', '{"name":1,"version":"1"}', '{"name":"","version":"1"}'])(
    'readPackageJson() finds no package in %s',
    (text) => {
      expect(all(readPackageJson, text)).toEqual({ packages: [], notes: [] })
    },
  )

  it('readPackageJson() notes what is not JSON', () => {
    expect(all(readPackageJson, '{').notes).toEqual(['the/file is not JSON.'])
  })
})

describe('readPackageLock()', () => {
  it('readPackageLock() reads versions 2 and 3 without what is for development', () => {
    const lock = JSON.stringify({
      lockfileVersion: 3,
      packages: {
        '': { name: 'app', version: '1.0.0' },
        'node_modules/a': { version: '1.0.0', integrity: `sha512-${Buffer.from('abc').toString('base64')}` },
        'node_modules/a/node_modules/@s/b': { version: '2.0.0', license: 'MIT' },
        'node_modules/dev': { version: '3.0.0', dev: true },
        'node_modules/link': { resolved: 'lib', link: true },
      },
    })
    expect(all(readPackageLock, lock).packages).toMatchObject([
      { purl: 'pkg:npm/a@1.0.0', checksums: [{ algorithm: 'SHA512', value: '616263' }] },
      { purl: 'pkg:npm/%40s/b@2.0.0', licence: 'MIT' },
    ])
  })

  it('readPackageLock() reads version 1', () => {
    const lock = JSON.stringify({
      lockfileVersion: 1,
      dependencies: {
        a: { version: '1.0.0', dependencies: { b: { version: '2.0.0' } } },
        c: { version: '1.0.0', dev: true },
        d: { version: 'file:../d' },
      },
    })
    expect(purls(readPackageLock, lock)).toEqual(['pkg:npm/a@1.0.0', 'pkg:npm/b@2.0.0'])
  })
})

describe('readPython()', () => {
  it('readPython() reads the head of the metadata', () => {
    const metadata = `Metadata-Version: 2.1
Name: Jinja2_Thing.x
Version: 3.1.2
License: BSD-3-Clause
Author: A
Author-email: a@b.test

Name: in the description
`
    expect(all(readPython, metadata).packages).toEqual([
      {
        type: 'pypi',
        name: 'Jinja2_Thing.x',
        version: '3.1.2',
        purl: 'pkg:pypi/jinja2-thing-x@3.1.2',
        licence: 'BSD-3-Clause',
        supplier: 'A <a@b.test>',
        location: 'the/file',
      },
    ])
  })

  it('readPython() takes an expression first, and no whole text of a licence', () => {
    expect(all(readPython, 'Name: a\nLicense-Expression: MIT\nLicense: x\n').packages[0]?.licence).toBe('MIT')
    expect(all(readPython, 'Name: a\nLicense: The MIT\n  Permission\n').packages[0]?.licence).toBeUndefined()
  })
})

describe('readGoBuildInfo()', () => {
  const modules = [
    'path\tgithub.com/A/app',
    'mod\tgithub.com/A/app\tv1.0.0\th1:x=',
    'dep\tgolang.org/x/sys\tv0.1.0\th1:y=',
    'dep\tgithub.com/old/one\tv0.2.0',
    '=>\tgithub.com/new/one\tv0.3.0\th1:z=',
    'dep\texample.test/local\tv1.2.3',
    '=>\t./local\t(devel)\t',
    'dep\texample.test/checkout\t(devel)',
    'build\t-compiler=gc',
  ].join('\n')

  it('readGoBuildInfo() reads modules, with those in the place of others', () => {
    expect(purls(readGoBuildInfo, goSection('go1.21.5', `${modules}\n`))).toEqual([
      'pkg:golang/stdlib@1.21.5',
      'pkg:golang/github.com/a/app@v1.0.0',
      'pkg:golang/golang.org/x/sys@v0.1.0',
      'pkg:golang/github.com/new/one@v0.3.0',
      'pkg:golang/example.test/local@v1.2.3',
      'pkg:golang/example.test/checkout',
    ])
  })

  it('readGoBuildInfo() notes what is too old, and what is damaged', () => {
    const section = goSection('go1.21.5', modules)
    const old = Buffer.from(section)
    old[15] = 0
    expect(all(readGoBuildInfo, old).notes).toEqual([
      'The modules of the/file were not read: it was built by Go before 1.18.',
    ])
    expect(all(readGoBuildInfo, section.subarray(0, 60)).notes).toEqual([
      'The modules of the/file are damaged.',
    ])
  })
})

describe('readCargoAuditable()', () => {
  it('readCargoAuditable() reads crates that run', () => {
    const list = {
      packages: [
        { name: 'serde', version: '1.0.0', source: 'crates.io' },
        { name: 'cc', version: '1.0.1', source: 'crates.io', kind: 'build' },
      ],
    }
    expect(purls(readCargoAuditable, deflateSync(JSON.stringify(list)))).toEqual(['pkg:cargo/serde@1.0.0'])
  })

  it('readCargoAuditable() notes a list that grows beyond all bounds, and one that is damaged', () => {
    for (const bytes of [deflateSync(Buffer.alloc(64 * 1024 * 1024)), Buffer.from('x'), deflateSync('[]')])
      expect(all(readCargoAuditable, bytes).notes).toEqual(['The crates of the/file are damaged.'])
  })
})

describe('readCargoLock()', () => {
  it('readCargoLock() reads crates from elsewhere', () => {
    const sum = 'a'.repeat(64)
    const lock = `version = 3

[[package]]
name = "app"
version = "0.1.0"
dependencies = [
 "serde",
]

[[package]]
name = "serde"
version = "1.0.1"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "${sum}"

[metadata]
name = "x"
`
    expect(all(readCargoLock, lock).packages).toEqual([
      {
        type: 'cargo',
        name: 'serde',
        version: '1.0.1',
        purl: 'pkg:cargo/serde@1.0.1',
        location: 'the/file',
        checksums: [{ algorithm: 'SHA256', value: sum }],
      },
    ])
  })
})
