import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { memoryHost } from '../test-support/memory-host.ts'
import { version } from '../version.ts'
import { builderOptions, readDockerConfig, storeRoot } from './builder-options.ts'
import { parseConfigFile } from './config-file.ts'
import { dockerProxyArgs } from './docker-proxies.ts'
import { historyLimits } from './history-limits.ts'

const pem = (name: string): string => `-----BEGIN CERTIFICATE-----\n${name}\n-----END CERTIFICATE-----\n`
const config = expect.objectContaining({ code: 'ERR_CONFIG' })

let dir = ''
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tsbuild-settings-'))
  mkdirSync(join(dir, 'config', 'tsbuild'), { recursive: true })
  mkdirSync(join(dir, 'docker'))
  for (const name of ['flag', 'env', 'file', 'ssl']) writeFileSync(join(dir, `${name}.pem`), pem(name))
  writeFileSync(join(dir, 'empty.pem'), 'no certificate\n')
  writeFileSync(join(dir, 'docker', 'config.json'), '{"auths":{}}')
  const settings = {
    root: '/from/file',
    trustCa: [join(dir, 'file.pem')],
    insecureRegistries: ['a.test'],
    durability: 'none',
  }
  writeFileSync(join(dir, 'config', 'tsbuild', 'config.json'), JSON.stringify(settings))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

describe('storeRoot()', () => {
  it.each([
    [{ root: 'r' }, { TSBUILD_ROOT: '/env' }, 0, {}, '/cwd/r'],
    [{}, { TSBUILD_ROOT: '/env' }, 0, { root: '/file' }, '/env'],
    [{}, {}, 0, { root: '/file' }, '/file'],
    [{}, { HOME: '/root' }, 0, {}, '/var/lib/tsbuild'],
    [{}, { HOME: '/home/a', XDG_DATA_HOME: '/data' }, 1000, {}, '/data/tsbuild'],
    [{}, { HOME: '/home/a', XDG_DATA_HOME: '' }, 1000, {}, '/home/a/.local/share/tsbuild'],
  ])('chooses by flags %j, environment %j and uid %i', (flags, env, uid, file, expected) => {
    expect(storeRoot(flags, memoryHost({ env, uid, cwd: '/cwd' }), file)).toBe(expected)
  })

  it('refuses to guess without a home', () => {
    expect(() => storeRoot({}, memoryHost({ uid: 1000 }), {})).toThrow(config)
  })
})

describe('builderOptions()', () => {
  it('puts flags, environment and configuration together', async () => {
    const env = {
      XDG_CONFIG_HOME: join(dir, 'config'),
      DOCKER_CONFIG: join(dir, 'docker'),
      TSBUILD_HELPER: 'bin/helper',
      TSBUILD_TRUST_CA: `env.pem:${join(dir, 'file.pem')}`,
    }
    const host = memoryHost({ env, cwd: dir })
    const flags = { trustCa: ['flag.pem'], insecureRegistry: ['b.test'], durability: 'full' } as const
    expect(await builderOptions(flags, host)).toEqual({
      root: '/from/file',
      helperPath: join(dir, 'bin/helper'),
      dockerConfig: '{"auths":{}}',
      trustCa: [pem('file'), pem('env'), pem('flag')],
      insecureRegistries: ['a.test', 'b.test'],
      credentials: expect.any(Function),
      registryHosts: expect.any(Function),
      env,
      durability: 'full',
      knownCacheServers: join(dir, 'config/tsbuild/known-cache-servers.json'),
      version: version(),
    })
  })

  it.each([
    [{}, {}, undefined],
    [{}, { TSBUILD_SCOPE: '' }, undefined],
    [{}, { TSBUILD_SCOPE: 'pr/7' }, 'pr/7'],
    [{ scope: 'main' }, { TSBUILD_SCOPE: 'pr/7' }, 'main'],
    [{ scope: 'fork_x.y-2/pr/7' }, {}, 'fork_x.y-2/pr/7'],
  ])('takes the trust scope from flags %j and environment %j', async (flags, env, scope) => {
    const host = memoryHost({ env: { HOME: dir, ...env } })
    expect((await builderOptions(flags, host)).scope).toBe(scope)
  })

  it.each([
    [{}, {}, 'none'],
    [{}, { TSBUILD_DURABILITY: '' }, 'none'],
    [{}, { TSBUILD_DURABILITY: 'full' }, 'full'],
    [{ durability: 'none' } as const, { TSBUILD_DURABILITY: 'full' }, 'none'],
  ])(
    'takes the durability from flags %j, environment %j and configuration',
    async (flags, env, durability) => {
      const host = memoryHost({ env: { HOME: dir, XDG_CONFIG_HOME: join(dir, 'config'), ...env } })
      expect((await builderOptions(flags, host)).durability).toBe(durability)
    },
  )

  it('refuses another word as durability', async () => {
    const host = memoryHost({ env: { HOME: dir, TSBUILD_DURABILITY: 'off' } })
    await expect(builderOptions({}, host)).rejects.toThrow(config)
  })

  it.each(['', '..', 'pr/../main', 'a..b', 'PR', 'pr 7', 'pr\n', 'é', 'a\0'])(
    'refuses %j as a trust scope',
    async (scope) => {
      const host = memoryHost({ env: { HOME: dir } })
      await expect(builderOptions({ scope }, host)).rejects.toMatchObject({ code: 'ERR_USAGE' })
    },
  )

  it('gives only a root and an environment where nothing is configured', async () => {
    const env = { HOME: join(dir, 'nobody') }
    expect(await builderOptions({}, memoryHost({ env }))).toEqual({
      root: join(dir, 'nobody/.local/share/tsbuild'),
      insecureRegistries: [],
      credentials: expect.any(Function),
      registryHosts: expect.any(Function),
      knownCacheServers: join(dir, 'nobody/.config/tsbuild/known-cache-servers.json'),
      version: version(),
      env,
    })
  })

  it.each([
    [{}, {}, undefined],
    [{}, { TSBUILD_MAX_USED_SPACE: '40%' }, { maxUsed: { percent: 40 } }],
    [{}, { TSBUILD_MAX_USED_SPACE: '' }, undefined],
    [
      { maxUsedSpace: { bytes: 7 } },
      { TSBUILD_MAX_USED_SPACE: '40%', XDG_CONFIG_HOME: 'limits' },
      { maxUsed: { bytes: 7 }, minFree: 'unlimited' },
    ],
    [{}, { XDG_CONFIG_HOME: 'limits' }, { maxUsed: { bytes: 50 * 2 ** 30 }, minFree: 'unlimited' }],
  ])('takes the limits of the store from flags %j and environment %j', async (flags, env, space) => {
    mkdirSync(join(dir, 'limits', 'tsbuild'), { recursive: true })
    const limits = { maxUsedSpace: '50g', minFreeSpace: 'unlimited' }
    writeFileSync(join(dir, 'limits', 'tsbuild', 'config.json'), JSON.stringify(limits))
    const configured = 'XDG_CONFIG_HOME' in env ? { XDG_CONFIG_HOME: join(dir, 'limits') } : {}
    const host = memoryHost({ env: { HOME: join(dir, 'nobody'), ...env, ...configured } })
    expect((await builderOptions(flags, host)).space).toEqual(space)
  })

  it('refuses a limit of the environment that is none', async () => {
    const env = { HOME: join(dir, 'nobody'), TSBUILD_MAX_USED_SPACE: 'much' }
    const refused = { code: 'ERR_USAGE', message: expect.stringContaining('TSBUILD_MAX_USED_SPACE') }
    await expect(builderOptions({}, memoryHost({ env }))).rejects.toMatchObject(refused)
  })

  it('reads what the host trusts for the word `host`', async () => {
    const env = { HOME: dir, SSL_CERT_FILE: join(dir, 'ssl.pem'), NODE_EXTRA_CA_CERTS: join(dir, 'env.pem') }
    const options = await builderOptions({ trustCa: ['host'] }, memoryHost({ env, cwd: dir }))
    expect(options.trustCa).toEqual([pem('ssl'), pem('env')])
  })

  it.each(['missing.pem', 'empty.pem', '.'])('refuses %s as certificates', async (file) => {
    const host = memoryHost({ env: { HOME: dir }, cwd: dir })
    await expect(builderOptions({ trustCa: [file] }, host)).rejects.toThrow(config)
  })
})

describe('parseConfigFile()', () => {
  it.each([
    '{',
    '[]',
    'null',
    '{"rooot":"/x"}',
    '{"root":"relative"}',
    '{"trustCa":"x"}',
    '{"insecureRegistries":[1]}',
    '{"insecureRegistries":["10.0.0.0/8"]}',
    '{"durability":"some"}',
    '{"maxUsedSpace":100}',
    '{"maxUsedSpace":"much"}',
    '{"minFreeSpace":"101%"}',
    '{"__proto__":"x"}',
  ])('refuses %s and names the file', (text) => {
    expect(() => parseConfigFile(text, '/c.json')).toThrow(
      expect.objectContaining({ code: 'ERR_CONFIG', message: expect.stringContaining('"/c.json"') }),
    )
  })

  it('suggests the key that was meant', () => {
    expect(() => parseConfigFile('{"trustCA":[]}', '/c.json')).toThrow(
      expect.objectContaining({ hints: ['Did you mean `trustCa`?'] }),
    )
  })
})

describe('readDockerConfig()', () => {
  it('looks in DOCKER_CONFIG, then in the home', async () => {
    expect(await readDockerConfig({ DOCKER_CONFIG: join(dir, 'docker'), HOME: '/nowhere' })).toBe(
      '{"auths":{}}',
    )
    expect(await readDockerConfig({ HOME: dir })).toBeUndefined()
    expect(await readDockerConfig({})).toBeUndefined()
  })
})

describe('dockerProxyArgs()', () => {
  it("gives docker's default proxies in both cases", () => {
    const text = JSON.stringify({
      proxies: { default: { httpProxy: 'http://p:1', noProxy: 'a,b', allProxy: '' } },
    })
    expect(dockerProxyArgs(text)).toEqual({
      HTTP_PROXY: 'http://p:1',
      http_proxy: 'http://p:1',
      NO_PROXY: 'a,b',
      no_proxy: 'a,b',
    })
  })

  it.each([undefined, '{', '[]', 'null', '{"proxies":{"default":"x"}}'])('gives none for %j', (text) => {
    expect(dockerProxyArgs(text)).toEqual({})
  })
})

describe('historyLimits()', () => {
  it.each([
    [{}, {}, {}],
    [
      {},
      { historyBuilds: 0, historyAge: '1w', historySize: '2g' },
      { builds: 0, ageMs: 604_800_000, bytes: 2 ** 31 },
    ],
    [
      { TSBUILD_HISTORY_BUILDS: '5', TSBUILD_HISTORY_AGE: '1d12h', TSBUILD_HISTORY_SIZE: '' },
      { historyBuilds: 7, historyAge: '1w', historySize: '1k' },
      { builds: 5, ageMs: 129_600_000, bytes: 1024 },
    ],
  ])('takes them from environment %j and configuration %j', (env, file, expected) => {
    expect(historyLimits(env, file)).toEqual(expected)
  })

  it.each([
    { TSBUILD_HISTORY_BUILDS: '-1' },
    { TSBUILD_HISTORY_BUILDS: 'many' },
    { TSBUILD_HISTORY_AGE: '30' },
    { TSBUILD_HISTORY_SIZE: 'all' },
  ])('refuses %j', (env) => {
    expect(() => historyLimits(env, {})).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }))
  })

  it.each([
    '{"historyBuilds":-1}',
    '{"historyBuilds":"5"}',
    '{"historyAge":30}',
    '{"historyAge":"30"}',
    '{"historySize":"x"}',
  ])('the configuration %s is refused', (text) => {
    expect(() => parseConfigFile(text, '/config')).toThrow(config)
  })
})
