import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { formatAddress, isLoopback, parseAddress } from './address.ts'
import { checkSettings } from './check-settings.ts'
import { parseConfigFile } from './config-file.ts'
import { type FlagValues, readSettings } from './read-settings.ts'
import { flagOf, rowOf, type SettingKey, settingKeys, variableOf } from './table.ts'

let cwd = ''
beforeAll(() => {
  cwd = mkdtempSync(join(tmpdir(), 'cache-server-settings-'))
})
afterAll(() => rmSync(cwd, { recursive: true, force: true }))

const flags = (
  values: Readonly<Partial<Record<SettingKey, string | readonly string[] | true>>>,
): FlagValues => new Map(Object.entries(values) as [SettingKey, string][])

async function read(
  given: Parameters<typeof flags>[0] = {},
  env: Readonly<Record<string, string>> = {},
  toml?: string,
) {
  const file = toml === undefined ? undefined : join(cwd, 'cache.toml')
  if (file !== undefined) writeFileSync(file, toml ?? '')
  return await readSettings(flags(given), file, { env, cwd })
}

describe('the table of settings', () => {
  it('gives each key one flag and one variable, and no two the same', () => {
    for (const nameOf of [flagOf, variableOf]) {
      const names = settingKeys.flatMap((key) => nameOf(key) ?? [])
      expect(new Set(names).size).toBe(names.length)
    }
    expect([flagOf('gc.maxSize'), variableOf('gc.maxSize')]).toEqual([
      '--gc-max-size',
      'TSBUILD_CACHE_SERVER_GC_MAX_SIZE',
    ])
    expect(flagOf('oci.password')).toBeUndefined()
  })

  it('can read what it presets', () => {
    for (const key of settingKeys) {
      const { fallback, form } = rowOf(key)
      if (fallback !== undefined) expect(() => form.parse(key, fallback), key).not.toThrow()
    }
  })
})

describe('readSettings()', () => {
  it('lets flags win over the environment, that over the file, and that over what is preset', async () => {
    const toml =
      'dir = "data"\nshutdownTimeout = "1s"\n[gc]\nmaxSize = "1g"\ngrace = "2h"\n[log]\naccess = false\n'
    const env = { TSBUILD_CACHE_SERVER_GC_MAX_SIZE: '2g', TSBUILD_CACHE_SERVER_LISTEN: ':1, [::1]:2' }
    const settings = await read({ 'gc.maxSize': '50%' }, env, toml)
    expect(settings).toMatchObject({
      dir: join(cwd, 'data'),
      listen: [
        { kind: 'tcp', host: '::', port: 1 },
        { kind: 'tcp', host: '::1', port: 2 },
      ],
      shutdownTimeout: 1000,
      'gc.maxSize': { percent: 50 },
      'gc.grace': 7_200_000,
      'log.access': false,
      'log.level': 'info',
    })
    const sources = ['gc.maxSize', 'listen', 'gc.grace', 'log.level', 'tls.key'] as const
    expect(sources.map((key) => settings.origins.get(key)?.source)).toEqual([
      'flag',
      'environment',
      'file',
      'default',
      'not set',
    ])
  })

  it('takes the file of the environment, and a path in it from its folder', async () => {
    writeFileSync(join(cwd, 'own.json'), '{"tls":{"certificate":"a.pem"},"limits":{"requests":8}}')
    const env = { TSBUILD_CACHE_SERVER_CONFIG: 'own.json' }
    const settings = await readSettings(new Map(), undefined, { env, cwd })
    expect(settings).toMatchObject({ 'tls.certificate': join(cwd, 'a.pem'), 'limits.requests': 8 })
  })

  it('names variables that look like settings and are none, and not those of Kubernetes', async () => {
    const env = {
      TSBUILD_CACHE_SERVER_LISTN: 'x',
      TSBUILD_CACHE_SERVER_PORT_7070_TCP_ADDR: '10.0.0.1',
      TSBUILD_CACHE_SERVER_SERVICE_HOST: '10.0.0.1',
    }
    const { warnings } = await read({}, env)
    expect(warnings).toEqual([
      'Variable TSBUILD_CACHE_SERVER_LISTN is not known. Did you mean `TSBUILD_CACHE_SERVER_LISTEN`?',
    ])
  })

  it.each([
    [{ listen: ['here'] }, {}, undefined, 'ERR_USAGE', '--listen'],
    [{}, { TSBUILD_CACHE_SERVER_GC_GRACE: 'soon' }, undefined, 'ERR_USAGE', 'TSBUILD_CACHE_SERVER_GC_GRACE'],
    [{}, {}, '[gc]\ngrace = "soon"', 'ERR_CONFIG', 'key "gc.grace"'],
    [{}, {}, '[gc]\ngraze = "1h"', 'ERR_CONFIG', 'key "gc.graze" is not known'],
    [{}, {}, 'dirr = "x"', 'ERR_CONFIG', 'key "dirr" is not known'],
    [{}, {}, 'listen = "127.0.0.1:1"', 'ERR_CONFIG', 'a list of texts'],
    [{}, {}, 'insecure = "yes"', 'ERR_CONFIG', 'true or false'],
    [{}, {}, 'dir = ["x"]', 'ERR_CONFIG', 'a text or a number'],
    [{}, {}, 'dir = "x', 'ERR_CONFIG', 'line 1'],
  ] as const)('refuses flags %j, environment %j, file %j', async (given, env, toml, code, part) => {
    await expect(read(given, env, toml)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(part),
    })
  })

  it('hints at the key that was meant', async () => {
    await expect(parseConfigFile('[gc]\ngraze = "1h"', 'x.toml')).rejects.toMatchObject({
      hints: ['Did you mean `gc.grace`?'],
    })
  })

  it('shows no line of a file that cannot be parsed: a password may be in it', async () => {
    const failure = parseConfigFile('[oci]\npassword = "CANARY', 'x.toml')
    await expect(failure).rejects.toMatchObject({ message: expect.not.stringContaining('CANARY') })
  })
})

describe('parseAddress()', () => {
  it.each(['127.0.0.1:7070', '[::1]:0', 'localhost:65535', 'unix:/run/x.sock'])('reads %s', (text) => {
    expect(formatAddress(parseAddress('--listen', text))).toBe(text)
  })

  it.each(['', '7070', 'host', 'host:65536', '::1:70', '[zz]:1', 'unix:x', 'http://a:1', 'a b:1'])(
    'refuses %j',
    (text) =>
      expect(() => parseAddress('--listen', text)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' })),
  )

  it.each([
    ['127.0.0.1', true],
    ['127.9.9.9', true],
    ['::1', true],
    ['::ffff:127.0.0.1', true],
    ['0.0.0.0', false],
    ['::', false],
    ['128.0.0.1', false],
    ['localhost', false],
  ])('isLoopback() says of %s: %s', (ip, expected) => expect(isLoopback(ip)).toBe(expected))
})

describe('checkSettings()', () => {
  it.each([
    [{ dir: 'd' }, []],
    [{ dir: 'd', listen: ['localhost:1', '[::1]:2', 'unix:/run/x'] }, []],
    [{ dir: 'd', listen: [':1'], auth: 'tokens', publicUrl: 'https://a.example' }, []],
    [{ dir: 'd', listen: [':1'], auth: 'tokens' }, ['Tokens go over the network']],
    [{ dir: 'd', listen: [':1'], insecure: true }, ['Everybody who reaches [::]:1 may']],
    [{ dir: 'd', publicRead: true }, ['`publicRead` changes nothing']],
  ] as const)('allows %j with warnings %j', async (given, warnings) => {
    const found = await checkSettings(await read(given))
    expect(found).toEqual(warnings.map((part) => expect.stringContaining(part)))
  })

  it.each([
    [{}, 'there is no directory'],
    [{ dir: 'd', listen: ['0.0.0.0:1'] }, 'other machines reach 0.0.0.0:1, and nothing says'],
    [{ dir: 'd', listen: ['127.0.0.1:1', '[::]:1'] }, 'other machines reach'],
    [{ dir: 'd', listen: ['no-such-host.invalid:1'] }, 'other machines reach'],
    [{ dir: 'd', listen: [':1'], auth: 'none' }, 'each of them may do everything'],
    [{ dir: 'd', 'tls.key': 'k' }, 'a key its certificate'],
    [{ dir: 'd', engine: 'oci' }, 'needs a repository'],
    [{ dir: 'd', engine: 'oci', 'oci.repository': 'a/b', 'oci.username': 'u' }, 'a user needs a password'],
    [{ dir: 'd', 'oci.repository': 'a/b' }, 'is for engine "oci"'],
  ] as const)('refuses %j: %s', async (given, state) => {
    await expect(checkSettings(await read(given))).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining(state),
    })
  })
})
