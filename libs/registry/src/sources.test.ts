import { formatReference, parseReference } from '@tsbuild/oci'
import { describe, expect, it } from 'vitest'
import { noHosts, type RegistryHosts, type RegistryRule } from './hosts.ts'
import { pullSources, readSource, registryTrust, writeSource } from './sources.ts'

const ruleOf = (rule: Partial<RegistryRule> & Pick<RegistryRule, 'prefix'>): RegistryRule => ({
  location: undefined,
  mirrors: [],
  trust: 'verified',
  blocked: false,
  file: '/etc/x.conf',
  ...rule,
})

const hostsOf = (rules: readonly RegistryRule[], insecure: readonly string[] = []): RegistryHosts => ({
  ...noHosts,
  rules,
  insecure,
})

const never = async () => {
  throw new Error('a name was looked up')
}

const sha = `sha256:${'ab'.repeat(32)}`

async function placesOf(hosts: RegistryHosts, name: string, what: 'manifest' | 'blob' = 'manifest') {
  const { mirrors, origin } = await pullSources(hosts, parseReference(name), what, never)
  return [...mirrors, origin].map(({ reference }) => formatReference(reference))
}

describe('pullSources()', () => {
  // The example of containers-registries.conf(5).
  const manual = hostsOf([
    ruleOf({
      prefix: 'example.com/foo',
      location: 'internal-registry-for-example.com/bar',
      mirrors: [
        { location: 'example-mirror-0.local/mirror-for-foo', pull: 'all', trust: 'verified' },
        { location: 'example-mirror-1.local/mirrors/foo', pull: 'all', trust: 'insecure' },
      ],
    }),
    ruleOf({
      prefix: 'registry.com',
      mirrors: [{ location: 'mirror.registry.com', pull: 'all', trust: 'verified' }],
    }),
  ])

  it('asks mirrors in order, then the location', async () => {
    expect(await placesOf(manual, 'example.com/foo/image:latest')).toEqual([
      'example-mirror-0.local/mirror-for-foo/image:latest',
      'example-mirror-1.local/mirrors/foo/image:latest',
      'internal-registry-for-example.com/bar/image:latest',
    ])
    expect(await placesOf(manual, `registry.com/a/b:1@${sha}`)).toEqual([
      `mirror.registry.com/a/b:1@${sha}`,
      `registry.com/a/b:1@${sha}`,
    ])
    expect(await placesOf(manual, 'example.com/food:1')).toEqual(['example.com/food:1'])
    const { mirrors, origin } = await pullSources(manual, parseReference('example.com/foo/a'), 'blob', never)
    expect([...mirrors, origin].map(({ trust }) => trust)).toEqual(['verified', 'insecure', 'verified'])
  })

  it.each([
    ['example.com', 'example.com/a:1', 'x.test/a:1'],
    ['example.com', 'example.com:5000/a:1', 'example.com:5000/a:1'],
    ['example.com:5000', 'example.com:5000/a:1', 'x.test/a:1'],
    ['example.com/a', 'example.com/a:1', 'x.test/x:1'],
    ['example.com/a', `example.com/a@${sha}`, `x.test/x@${sha}`],
    ['example.com/a', 'example.com/ab:1', 'example.com/ab:1'],
    ['example.com/a:1', 'example.com/a:1', 'x.test/x:1'],
    ['example.com/a:1', 'example.com/a:10', 'example.com/a:10'],
    ['docker.io/library', 'debian:12', 'x.test/x/debian:12'],
    ['docker.io', 'debian:12', 'x.test/library/debian:12'],
    ['*.example.com', 'a.b.example.com/c:1', 'x.test/c:1'],
    ['*.example.com', 'a.example.com:5000/c:1', 'x.test/c:1'],
    ['*.example.com', 'example.com/c:1', 'example.com/c:1'],
    ['*.example.com', 'evilexample.com/c:1', 'evilexample.com/c:1'],
  ])('with the prefix %s takes %s for %s', async (prefix, name, place) => {
    const location = prefix.includes('/') ? 'x.test/x' : 'x.test'
    expect(await placesOf(hostsOf([ruleOf({ prefix, location })]), name)).toEqual([place])
  })

  it('the longest prefix counts, and of equal ones the first', async () => {
    const hosts = hostsOf([
      ruleOf({ prefix: 'a.io', location: 'one.test' }),
      ruleOf({ prefix: 'a.io/b', location: 'two.test/b' }),
      ruleOf({ prefix: 'a.io/b', location: 'three.test/b' }),
      ruleOf({ prefix: '*.io', location: 'four.test' }),
    ])
    expect(await placesOf(hosts, 'a.io/c:1')).toEqual(['one.test/c:1'])
    expect(await placesOf(hosts, 'a.io/b/c:1')).toEqual(['two.test/b/c:1'])
  })

  it.each([
    ['debian:12', 'manifest', ['all', 'tag']],
    ['debian:12', 'blob', ['all', 'digest', 'tag']],
    [`debian@${sha}`, 'manifest', ['all', 'digest']],
    [`debian:12@${sha}`, 'blob', ['all', 'digest']],
  ] as const)('%s (%s) is asked of the mirrors for %j', async (name, what, asked) => {
    const mirrors = (['all', 'digest', 'tag'] as const).map((pull) => ({
      location: `${pull}.test`,
      pull,
      trust: 'verified' as const,
    }))
    const hosts = hostsOf([ruleOf({ prefix: 'docker.io', mirrors })])
    const places = await placesOf(hosts, name, what)
    expect(places.slice(0, -1).map((place) => place.split('.')[0])).toEqual(asked)
  })

  it('names what is blocked, and the file that says so, for all that is asked', async () => {
    const hosts = hostsOf([ruleOf({ prefix: 'bad.io', blocked: true, location: 'other.io' })])
    const reference = parseReference('bad.io/a:1')
    const blocked = { code: 'ERR_CONFIG', hints: [expect.stringContaining('/etc/x.conf')] }
    await expect(pullSources(hosts, reference, 'manifest', never)).rejects.toMatchObject(blocked)
    await expect(readSource(hosts, reference, never)).rejects.toMatchObject(blocked)
    await expect(writeSource(hosts, reference, never)).rejects.toMatchObject(blocked)
    await expect(registryTrust(hosts, 'bad.io', never)).rejects.toMatchObject(blocked)
  })

  it('blocks every port of a host, and no other port of a host with one', async () => {
    const hosts = hostsOf([
      ruleOf({ prefix: 'bad.io', blocked: true }),
      ruleOf({ prefix: 'half.io:1', blocked: true }),
    ])
    await expect(registryTrust(hosts, 'bad.io:443', never)).rejects.toMatchObject({ code: 'ERR_CONFIG' })
    expect(await registryTrust(hosts, 'half.io', never)).toBe('verified')
    expect(await registryTrust(hosts, 'half.io:2', never)).toBe('verified')
  })

  it.each(['Nowhere Land', 'x.test/UPPER', '-x.test', 'x.test/..', ''])(
    'names the file whose location is %j',
    async (location) => {
      const hosts = hostsOf([ruleOf({ prefix: 'a.io', location })])
      const outcome = placesOf(hosts, 'a.io/b')
      await expect(outcome).rejects.toMatchObject({
        code: 'ERR_CONFIG',
        message: expect.stringContaining('/etc/x.conf'),
      })
    },
  )
})

describe('writeSource()', () => {
  it('stays with the name, and takes over how far it is trusted', async () => {
    const hosts = hostsOf([
      ruleOf({
        prefix: 'a.io',
        location: 'b.io',
        trust: 'unverified',
        mirrors: [{ location: 'c.io', pull: 'all', trust: 'insecure' }],
      }),
    ])
    const reference = parseReference('a.io/b:1')
    expect(await writeSource(hosts, reference, never)).toEqual({ reference, trust: 'unverified' })
  })
})

describe('trust', () => {
  const resolve = async (name: string) =>
    name === 'in.test' ? ['10.1.2.3', 'fd00::1'] : name === 'half.test' ? ['10.1.2.3', '192.0.2.1'] : []

  it.each([
    ['plain.test', 'insecure'],
    ['plain.test:5000', 'verified'],
    ['plain.test:443', 'verified'],
    ['[fe80::5]', 'insecure'],
    ['[fe80::6]', 'insecure'],
    ['[fe80::5]:5000', 'verified'],
    ['port.test:5000', 'insecure'],
    ['port.test', 'verified'],
    ['10.9.9.9:5000', 'insecure'],
    ['11.0.0.1', 'verified'],
    ['[fd00::5]:5000', 'insecure'],
    ['in.test:5000', 'insecure'],
    ['half.test', 'verified'],
    ['nowhere.test', 'verified'],
  ] as const)('of %s is %s', async (registry, trust) => {
    const listed = [
      'plain.test',
      'port.test:5000',
      'fe80::5',
      '[fe80::6]',
      '10.0.0.0/8',
      'fd00::/8',
      'bad/99',
      '1.2.3.4/33',
    ]
    expect(await registryTrust(hostsOf([], listed), registry, resolve)).toBe(trust)
  })

  it('looks no name up where no network is listed', async () => {
    expect(await registryTrust(hostsOf([], ['other.test']), 'a.test', never)).toBe('verified')
  })
})
