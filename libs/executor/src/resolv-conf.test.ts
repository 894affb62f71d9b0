import { describe, expect, it } from 'vitest'
import { hostsFor, resolvConfFor } from './index.ts'

const publicServers =
  'nameserver 8.8.8.8\nnameserver 8.8.4.4\nnameserver 2001:4860:4860::8888\nnameserver 2001:4860:4860::8844\n'

describe('resolvConfFor()', () => {
  it.each([[''], ['nameserver 127.0.0.53\noptions edns0'], ['search a b\n\n# c\n']])(
    'resolvConfFor() gives the text of the host as it is with the network of the host: %j',
    (text) => {
      expect(resolvConfFor('host', text)).toBe(text)
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
    expect(resolvConfFor('none', text)).toBe(expected)
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
