import { describe, expect, it } from 'vitest'
import { parseContainerdHosts } from './containerd-hosts.ts'
import { parseDockerDaemon } from './docker-daemon.ts'
import { mergeConfigs } from './merge.ts'
import { readOwnRegistries } from './own-config.ts'
import { emptyConfig } from './types.ts'

const file = '/etc/some/file'
const rule = { location: undefined, mirrors: [], trust: 'verified', blocked: false, file } as const
const mirror = { pull: 'all', trust: 'verified' }

describe('parseDockerDaemon()', () => {
  it('reads mirrors of the Hub and insecure registries', () => {
    const daemon = {
      'registry-mirrors': ['https://m.example/', 'http://n.example:5000'],
      'insecure-registries': ['a.io:5000', '10.0.0.0/8', 'http://b.io/', 'fd00::/8'],
      'data-root': '/x',
    }
    expect(parseDockerDaemon(JSON.stringify(daemon), file)).toEqual({
      rules: [
        {
          ...rule,
          prefix: 'docker.io',
          mirrors: [
            { ...mirror, location: 'm.example' },
            { pull: 'all', location: 'n.example:5000', trust: 'insecure' },
          ],
        },
      ],
      insecure: ['a.io:5000', '10.0.0.0/8', 'b.io', 'fd00::/8'],
      searchIn: undefined,
      files: [],
    })
    expect(parseDockerDaemon('{}', file)).toEqual(emptyConfig)
  })

  it.each([
    ['', 'not JSON'],
    ['[]', 'is no table'],
    ['null', 'is no table'],
    ['{"registry-mirrors":"x"}', 'is no list'],
    ['{"registry-mirrors":["m.example"]}', 'expected a URL'],
    ['{"registry-mirrors":["ftp://m.example"]}', 'expected a URL'],
    ['{"registry-mirrors":["https://m.example/path"]}', 'path'],
    ['{"registry-mirrors":["https://m.example/?q"]}', 'query'],
    ['{"registry-mirrors":[1]}', 'is no text'],
    ['{"insecure-registries":[{}]}', 'is no text'],
    ['{"insecure-registries":[""]}', 'expected host'],
    ['{"insecure-registries":["ftp://a.io"]}', 'expected host'],
    ['{"insecure-registries":["a.io/path"]}', 'expected host'],
    ['{"insecure-registries":["10.0.0.0/33"]}', 'expected host'],
    ['{"insecure-registries":["a.io:99999"]}', 'expected host'],
  ])('refuses %s naming the file', (text, why) => {
    expect(() => parseDockerDaemon(text, file)).toThrow(
      expect.objectContaining({
        code: 'ERR_CONFIG',
        message: expect.stringMatching(new RegExp(`${file}.*${why}`)),
      }),
    )
  })

  it('shows no password of a mirror', () => {
    const text = '{"registry-mirrors":["https://me:hunter22@m.example"]}'
    expect(() => parseDockerDaemon(text, file)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter22') }),
    )
  })
})

describe('parseContainerdHosts()', () => {
  it('reads hosts, their certificates and what they may do', () => {
    const text = `
server = "https://registry-1.docker.io"
[host."https://mirror.example"]
  capabilities = ["pull"]
  ca = "/certs/ca.pem"
  client = [["/certs/client.pem", "/certs/client.key"]]
[host."http://10.0.0.1:5000"]
[host."https://harbor.example/v2/proxy"]
  capabilities = ["pull", "resolve"]
  override_path = true
  skip_verify = true
[host."https://push.example"]
  capabilities = ["push"]
`
    expect(parseContainerdHosts(text, 'docker.io', file)).toEqual({
      rules: [
        {
          ...rule,
          prefix: 'docker.io',
          mirrors: [
            { location: 'mirror.example', pull: 'digest', trust: 'verified' },
            { location: '10.0.0.1:5000', pull: 'all', trust: 'insecure' },
            { location: 'harbor.example/proxy', pull: 'all', trust: 'unverified' },
          ],
        },
      ],
      insecure: [],
      searchIn: undefined,
      files: [
        {
          host: 'mirror.example',
          ca: ['/certs/ca.pem'],
          client: { certificate: '/certs/client.pem', key: '/certs/client.key' },
          file,
        },
      ],
    })
  })

  it('reads a server elsewhere, and certificates of the server', () => {
    const text = 'server = "http://in.example:5000"\nca = ["/a", "/b"]\nclient = "/both.pem"\n'
    expect(parseContainerdHosts(text, 'a.io', file)).toMatchObject({
      rules: [{ prefix: 'a.io', location: 'in.example:5000', trust: 'insecure' }],
      files: [
        { host: 'in.example:5000', ca: ['/a', '/b'], client: { certificate: '/both.pem', key: '/both.pem' } },
      ],
    })
    expect(parseContainerdHosts('skip_verify = true', 'a.io', file).rules).toEqual([
      { ...rule, prefix: 'a.io', trust: 'unverified' },
    ])
  })

  it.each([
    ['server = 1', 'server is no text'],
    ['server = "https://a.io/path"', 'override_path'],
    ['[host."https://a.io/p"]', 'override_path'],
    ['[host."https://a.io"]\ncapabilities = ["fly"]', '"fly"'],
    ['[host."https://a.io"]\nskip_verify = 1', 'neither true nor false'],
    ['host = []', 'is no table'],
    ['[host."https://a b"]', 'expected a URL'],
  ])('refuses %j', (text, why) => {
    expect(() => parseContainerdHosts(text, 'a.io', file)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(why) }),
    )
  })
})

it.each(['..', 'a.io:99999', 'a b', ''])('parseContainerdHosts() refuses the folder %j', (host) => {
  expect(() => parseContainerdHosts('', host, file)).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }))
})

describe('readOwnRegistries()', () => {
  it('reads what is said about each prefix', () => {
    const value = {
      'docker.io': {
        mirrors: [
          'https://m.example',
          'n.example/hub',
          { location: 'o.example', pull: 'digest', insecure: true },
          { location: 'p.example', skipVerify: true },
        ],
      },
      'ghcr.io/team': { location: 'in.example/team', blocked: false },
      'a.io:5000': { insecure: true, ca: '/ca.pem', clientCertificate: '/c.pem', clientKey: '/k.pem' },
      '*.evil.example': { blocked: true },
    }
    expect(readOwnRegistries(value, file)).toEqual({
      rules: [
        {
          ...rule,
          prefix: 'docker.io',
          mirrors: [
            { ...mirror, location: 'm.example' },
            { ...mirror, location: 'n.example/hub' },
            { location: 'o.example', pull: 'digest', trust: 'insecure' },
            { location: 'p.example', pull: 'all', trust: 'unverified' },
          ],
        },
        { ...rule, prefix: 'ghcr.io/team', location: 'in.example/team' },
        { ...rule, prefix: 'a.io:5000', trust: 'insecure' },
        { ...rule, prefix: '*.evil.example', blocked: true },
      ],
      insecure: [],
      searchIn: undefined,
      files: [{ host: 'a.io:5000', ca: ['/ca.pem'], client: { certificate: '/c.pem', key: '/k.pem' }, file }],
    })
  })

  it.each([
    [{ 'a.io': { mirror: [] } }, 'registries.a.io.mirror'],
    [{ 'a.io': { mirrors: [{ location: 'b.io', pul: 'x' }] } }, 'pul'],
    [{ 'a.io': { mirrors: [{}] } }, 'no location'],
    [{ 'a.io': 1 }, 'is no table'],
    [{ 'https://a.io': {} }, 'scheme'],
    [{ 'a.io/x': { ca: ['/x'] } }, 'belong to a host'],
    [{ 'a.io': { clientKey: '/x' } }, 'no clientCertificate'],
    [[], 'is no table'],
  ])('refuses %j', (value, why) => {
    expect(() => readOwnRegistries(value, file)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(why) }),
    )
  })
})

describe('mergeConfigs()', () => {
  it('keeps the order of rules, adds what adds up, and takes the first search list', () => {
    const one = { ...emptyConfig, rules: [{ ...rule, prefix: 'a.io' }], insecure: ['x'] }
    const two = {
      ...emptyConfig,
      rules: [{ ...rule, prefix: 'b.io' }],
      insecure: ['y'],
      searchIn: [],
    }
    const merged = mergeConfigs([one, two, { ...emptyConfig, searchIn: ['z'] }])
    expect(merged.rules.map(({ prefix }) => prefix)).toEqual(['a.io', 'b.io'])
    expect(merged.insecure).toEqual(['x', 'y'])
    expect(merged.searchIn).toEqual([])
  })
})
