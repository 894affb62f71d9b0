import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { hostsFor, resolvConfFor } from './index.ts'

const publicServers =
  'nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\nnameserver 2001:4860:4860::8844\n'

/** The resolver of a host, and what systemd's asks, as files of the test. */
function resolverFiles(text: string, behind?: string) {
  const directory = mkdtempSync(join(tmpdir(), 'tsbuild-executor-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const files = { resolvConf: join(directory, 'resolv.conf'), systemd: join(directory, 'systemd') }
  writeFileSync(files.resolvConf, text)
  if (behind !== undefined) writeFileSync(files.systemd, behind)
  return files
}

describe('resolvConfFor()', () => {
  it.each([[''], ['nameserver 127.0.0.53\noptions edns0'], ['search a b\n\n# c\n']])(
    'resolvConfFor() gives the text of the host as it is with the network of the host: %j',
    (text) => {
      expect(resolvConfFor({ kind: 'host' }, resolverFiles(text, 'nameserver 10.0.0.1\n'))).toBe(text)
    },
  )

  it.each([
    ['servers that are no loopback', 'nameserver 10.0.0.1\n', 'nameserver 10.0.0.1\n'],
    ['a text without its last line end', 'nameserver 10.0.0.1', 'nameserver 10.0.0.1\n'],
    [
      'the others beside a loopback server',
      'nameserver 127.0.0.53\nnameserver 10.0.0.1\n',
      'nameserver 10.0.0.1\n',
    ],
    ['public servers for none', 'search x\n', `search x\n${publicServers}`],
    ['public servers for an empty file', '', publicServers],
    ['public servers for loopback alone', 'nameserver 127.0.0.1\noptions a\n', `options a\n${publicServers}`],
    ['public servers for ::1', 'nameserver ::1\n', publicServers],
    [
      'public servers for ::1 with a zone or a comment',
      'nameserver ::1%lo\nnameserver ::1 # me\n',
      publicServers,
    ],
    ['::1 as the start of another address', 'nameserver ::1:2\n', 'nameserver ::1:2\n'],
    ['a name that only looks like loopback', 'nameserver 12.7.0.1\n', 'nameserver 12.7.0.1\n'],
    ['no server for a comment', '# nameserver 10.0.0.1\n', `# nameserver 10.0.0.1\n${publicServers}`],
    ['tabs and blanks', ' nameserver\t127.1.2.3\n\tnameserver  9.9.9.9\n', '\tnameserver  9.9.9.9\n'],
  ])('resolvConfFor() without a network gives %s', (_, text, expected) => {
    expect(resolvConfFor({ kind: 'none' }, resolverFiles(text))).toBe(expected)
  })

  it.each([
    ['is the only one', 'nameserver 127.0.0.53 # stub\noptions edns0\n', 'nameserver 10.0.0.9\nsearch b\n'],
    ['is one of two', 'nameserver 127.0.0.53\nnameserver 10.0.0.1\n', 'nameserver 10.0.0.1\n'],
    ['is another loopback one', 'nameserver 127.0.0.54\n', publicServers],
  ])('resolvConfFor() asks the servers behind 127.0.0.53 when it %s', (_, text, expected) => {
    const files = resolverFiles(text, 'nameserver 10.0.0.9\nsearch b\n')
    expect(resolvConfFor({ kind: 'none' }, files)).toBe(expected)
  })

  it('resolvConfFor() gives public servers when 127.0.0.53 hides nothing', () => {
    expect(resolvConfFor({ kind: 'none' }, resolverFiles('nameserver 127.0.0.53\n'))).toBe(publicServers)
  })

  it.each([
    ['nameserver 127.0.0.53\nsearch a\noptions edns0\n', 'search a\noptions edns0\nnameserver 10.0.2.3\n'],
    ['nameserver 10.0.0.1\nnameserver ::1\n', 'nameserver 10.0.2.3\n'],
    ['', 'nameserver 10.0.2.3\n'],
  ])('resolvConfFor() names the server of a private network and keeps the rest: %j', (text, expected) => {
    expect(resolvConfFor({ kind: 'session', dns: '10.0.2.3' }, resolverFiles(text))).toBe(expected)
  })

  it('resolvConfFor() gives nothing where the host has no resolver', () => {
    const files = { resolvConf: '/nonexistent/resolv.conf', systemd: '/nonexistent/systemd' }
    expect(resolvConfFor({ kind: 'host' }, files)).toBe('')
  })
})

describe('hostsFor()', () => {
  it('hostsFor() names the host itself, then the extra ones in order', () => {
    expect(hostsFor('box', [])).toBe('127.0.0.1\tlocalhost box\n::1\tlocalhost ip6-localhost ip6-loopback\n')
    const extra = [
      { name: 'db', ip: '10.0.0.1' },
      { name: 'six', ip: 'fe80::1' },
      { name: 'db', ip: '10.0.0.2' },
    ]
    expect(hostsFor('box', extra).split('\n').slice(2)).toEqual([
      '10.0.0.1\tdb',
      'fe80::1\tsix',
      '10.0.0.2\tdb',
      '',
    ])
  })
})
