import { describe, expect, it } from 'vitest'
import { parseRegistriesConf } from './registries-conf.ts'

const file = '/etc/containers/registries.conf'
const rule = { location: undefined, mirrors: [], trust: 'verified', blocked: false, file }

/** The example of containers-registries.conf(5). */
const manual = `
unqualified-search-registries = ["example.com"]

[[registry]]
prefix = "example.com/foo"
insecure = false
blocked = false
location = "internal-registry-for-example.com/bar"

[[registry.mirror]]
location = "example-mirror-0.local/mirror-for-foo"

[[registry.mirror]]
location = "example-mirror-1.local/mirrors/foo"
insecure = true

[[registry]]
location = "registry.com"

[[registry.mirror]]
location = "mirror.registry.com"
`

describe('parseRegistriesConf()', () => {
  it('reads the example of the manual', () => {
    expect(parseRegistriesConf(manual, file)).toEqual({
      searchIn: ['example.com'],
      insecure: [],
      files: [],
      rules: [
        {
          ...rule,
          prefix: 'example.com/foo',
          location: 'internal-registry-for-example.com/bar',
          mirrors: [
            { location: 'example-mirror-0.local/mirror-for-foo', pull: 'all', trust: 'verified' },
            { location: 'example-mirror-1.local/mirrors/foo', pull: 'all', trust: 'insecure' },
          ],
        },
        {
          ...rule,
          prefix: 'registry.com',
          mirrors: [{ location: 'mirror.registry.com', pull: 'all', trust: 'verified' }],
        },
      ],
    })
  })

  it.each([
    ['mirror-by-digest-only = true', '', 'digest'],
    ['', 'pull-from-mirror = "digest-only"', 'digest'],
    ['', 'pull-from-mirror = "tag-only"', 'tag'],
    ['', 'pull-from-mirror = "all"', 'all'],
    ['', 'pull-from-mirror = ""', 'all'],
  ])('%s %s gives a mirror for %s', (registry, mirror, pull) => {
    const text = `[[registry]]\nlocation="a.io"\n${registry}\n[[registry.mirror]]\nlocation="m.io/"\n${mirror}`
    expect(parseRegistriesConf(text, file).rules[0]?.mirrors).toEqual([
      { location: 'm.io', pull, trust: 'verified' },
    ])
  })

  it('reads patterns, ports, tags and blocks', () => {
    const text = [
      '[[registry]]\nprefix="*.example.com"\nblocked=true',
      '[[registry]]\nprefix="a.io:5000/x/y:1"\nlocation="[::1]:5000/z"\ninsecure=true',
    ].join('\n')
    expect(parseRegistriesConf(text, file).rules).toEqual([
      { ...rule, prefix: '*.example.com', blocked: true },
      { ...rule, prefix: 'a.io:5000/x/y:1', location: '[::1]:5000/z', trust: 'insecure' },
    ])
  })

  it('reads the first version', () => {
    const text = `[registries.search]\nregistries = ['a.io']\n[registries.insecure]\nregistries = ['b.io', 'd.io/y']
[registries.block]\nregistries = ['c.io/x', 'd.io/y']`
    expect(parseRegistriesConf(text, file)).toEqual({
      searchIn: ['a.io'],
      insecure: [],
      files: [],
      rules: [
        { ...rule, prefix: 'c.io/x', blocked: true },
        { ...rule, prefix: 'd.io/y', blocked: true, trust: 'insecure' },
        { ...rule, prefix: 'b.io', trust: 'insecure' },
      ],
    })
  })

  it.each(['', '# nothing\n', 'short-name-mode = "enforcing"\n[aliases]\n"a" = "b.io/a"\n', 'unknown = 1'])(
    'finds nothing in %j',
    (text) => {
      expect(parseRegistriesConf(text, file)).toEqual({
        rules: [],
        insecure: [],
        searchIn: undefined,
        files: [],
      })
    },
  )

  it.each([
    ['registry = 1', 'registry is no list'],
    ['[registry]\nlocation="a.io"', 'registry is no list'],
    ['registry = [1]', 'registry[0] is no table'],
    ['[[registry]]\ninsecure=true', 'neither prefix nor location'],
    ['[[registry]]\nlocation=1', 'registry[0].location is no text'],
    ['[[registry]]\nlocation="a.io"\ninsecure="yes"', 'neither true nor false'],
    ['[[registry]]\nlocation="https://a.io"', 'scheme'],
    ['[[registry]]\nlocation="a.io/../b"', 'expected host'],
    ['[[registry]]\nlocation="a.io/UP"', 'expected host'],
    ['[[registry]]\nlocation="user:pw@a.io"', 'expected host'],
    ['[[registry]]\nlocation="a.io\\nb"', 'expected host'],
    ['[[registry]]\nprefix="*.a.io/x"', '*.host'],
    ['[[registry]]\nprefix="*.a.io:5000"', '*.host'],
    ['[[registry]]\nprefix="a.*.io"', 'expected host'],
    [
      '[[registry]]\nlocation="a.io"\n[[registry.mirror]]\ninsecure=true',
      'registry[0].mirror[0] has no location',
    ],
    [
      '[[registry]]\nlocation="a.io"\n[[registry.mirror]]\nlocation="b.io"\npull-from-mirror="some"',
      '"some"',
    ],
    [
      '[[registry]]\nlocation="a.io"\nmirror-by-digest-only=true\n[[registry.mirror]]\nlocation="b.io"\npull-from-mirror="all"',
      'contradicts',
    ],
    ['unqualified-search-registries = "a"', 'is no list'],
    ['unqualified-search-registries = [1]', 'is no text'],
    ['[registries.search]\nregistries=[]\n[[registry]]\nlocation="a.io"', 'version 1'],
    ['[[registry', 'line 1'],
    ['a = 1\na = 2', 'line 2'],
    [`x = ${'['.repeat(100_000)}`, 'Cannot parse'],
    [`x = "${'x'.repeat(1024 * 1024)}"`, 'larger than'],
    ['[__proto__]\nx=1\n[[registry]]\nprefix=1', 'registry[0].prefix is no text'],
  ])('refuses %j naming the file', (text, why) => {
    expect(() => parseRegistriesConf(text, file)).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining(why) }),
    )
    expect(() => parseRegistriesConf(text, file)).toThrow(file)
  })

  it('shows no line of a file that cannot be parsed', () => {
    expect(() => parseRegistriesConf('a = 1\npassword = hunter22 ]', file)).toThrow(
      expect.objectContaining({ message: expect.not.stringContaining('hunter22') }),
    )
  })

  it('a member __proto__ is no inherited one', () => {
    const text = '[__proto__]\nregistry = [{ location = "evil.io" }]\n'
    expect(parseRegistriesConf(text, file).rules).toEqual([])
    expect(Object.keys({})).toEqual([])
  })

  it('survives what random bytes and cuts make of the example', () => {
    let state = 42
    const random = (below: number) => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648
      return state % below
    }
    let refused = 0
    for (let round = 0; round < 2000; round++) {
      const bytes = Buffer.from(manual)
      for (let change = 0; change <= random(4); change++) bytes[random(bytes.length)] = random(256)
      const text = bytes.subarray(0, random(3) === 0 ? random(bytes.length) : bytes.length).toString()
      try {
        parseRegistriesConf(text, file)
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_CONFIG' })
        refused++
      }
    }
    expect(refused).toBeGreaterThan(500)
  })
})
