import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ConfigFile } from './config-file.ts'
import { credentialFiles, registryCredentials } from './registry-credentials.ts'
import { registryHosts } from './registry-hosts.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-regconf-'))
})
afterEach(() => rmSync(folder, { recursive: true }))

function writeFiles(root: string, files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true })
    writeFileSync(join(root, path), text)
  }
}

const hostWith = (env: Readonly<Record<string, string>> = {}) => ({
  cwd: folder,
  uid: 1000,
  env: { HOME: join(folder, 'home'), ...env },
})
const read = (config: ConfigFile = {}, env?: Readonly<Record<string, string>>) =>
  registryHosts(hostWith(env), config, join(folder, 'etc'))()

const mirrorOf = (prefix: string, mirror: string) =>
  `[[registry]]\nlocation = "${prefix}"\n[[registry.mirror]]\nlocation = "${mirror}"\n`

describe('registryHosts()', () => {
  it('finds nothing where there are no files', async () => {
    expect(await read()).toMatchObject({ rules: [], insecure: [], searchIn: [] })
  })

  it('puts files in the order of the reference page', async () => {
    writeFiles(folder, {
      'etc/containers/registries.conf': `unqualified-search-registries=["q.io"]\n${mirrorOf('a.io', 'main.io')}`,
      'etc/containers/registries.conf.d/10.conf': mirrorOf('a.io', 'first.io'),
      'etc/containers/registries.conf.d/20.conf': mirrorOf('a.io', 'second.io'),
      'etc/containers/registries.conf.d/README': 'no configuration',
      'etc/containerd/certs.d/a.io/hosts.toml': '[host."https://containerd.io"]\n',
      'etc/docker/daemon.json': '{"registry-mirrors":["https://docker.io"],"insecure-registries":["c.io"]}',
      'home/.config/docker/daemon.json': '{"insecure-registries":["d.io"]}',
    })
    const { rules, insecure, searchIn } = await read({ registries: { 'a.io': { mirrors: ['own.io'] } } })
    expect(rules.map(({ prefix, mirrors }) => `${prefix} ${mirrors[0]?.location}`)).toEqual([
      'a.io own.io',
      'a.io second.io',
      'a.io first.io',
      'a.io main.io',
      'a.io containerd.io',
      'docker.io docker.io',
    ])
    expect(rules.map(({ file }) => file.replace(folder, ''))).toEqual([
      '/home/.config/tsbuild/config.json',
      '/etc/containers/registries.conf.d/20.conf',
      '/etc/containers/registries.conf.d/10.conf',
      '/etc/containers/registries.conf',
      '/etc/containerd/certs.d/a.io/hosts.toml',
      '/etc/docker/daemon.json',
    ])
    expect(insecure).toEqual(['d.io', 'c.io'])
    expect(searchIn).toEqual(['q.io'])
  })

  it("the user's file hides the machine's, and a named one both", async () => {
    writeFiles(folder, {
      'etc/containers/registries.conf': mirrorOf('a.io', 'machine.io'),
      'etc/containers/registries.conf.d/1.conf': mirrorOf('b.io', 'machine.io'),
      'config/containers/registries.conf': mirrorOf('a.io', 'user.io'),
      'config/containers/registries.conf.d/1.conf': mirrorOf('b.io', 'user.io'),
      'named.conf': mirrorOf('a.io', 'named.io'),
    })
    const env = { XDG_CONFIG_HOME: join(folder, 'config') }
    const mirrors = async (more: Readonly<Record<string, string>>) =>
      (await read({}, { ...env, ...more })).rules.map((rule) => rule.mirrors[0]?.location)
    expect(await mirrors({})).toEqual(['user.io', 'user.io'])
    expect(await mirrors({ CONTAINERS_REGISTRIES_CONF: join(folder, 'named.conf') })).toEqual([
      'user.io',
      'named.io',
    ])
    expect(await mirrors({ XDG_CONFIG_HOME: join(folder, 'none') })).toEqual(['machine.io', 'machine.io'])
    await expect(mirrors({ CONTAINERS_REGISTRIES_CONF: join(folder, 'missing') })).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining('missing'),
    })
  })

  it.each([
    ['etc/containers/registries.conf', 'registry = 1'],
    ['etc/containers/registries.conf.d/x.conf', '[['],
    ['etc/docker/daemon.json', '{'],
    ['home/.config/docker/daemon.json', '{"registry-mirrors":[1]}'],
    ['etc/containerd/certs.d/a.io:5000/hosts.toml', 'server = 1'],
  ])('names %s when it is wrong', async (path, text) => {
    writeFiles(folder, { [path]: text })
    await expect(read()).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.stringContaining(join(folder, path)),
    })
  })
})

describe('certificates', () => {
  const make = (name: string) => {
    const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)]
    const kind = [
      '-x509',
      '-newkey',
      'ec',
      '-pkeyopt',
      'ec_paramgen_curve:prime256v1',
      '-nodes',
      '-days',
      '2',
    ]
    execFileSync('openssl', ['req', ...kind, '-subj', `/CN=${name}`, '-keyout', key, '-out', cert], {
      stdio: 'ignore',
    })
    return { certificate: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  }

  it('come from certs.d of all places, and from configuration', async () => {
    const [one, two] = [make('one'), make('two')]
    writeFiles(folder, {
      'etc/docker/certs.d/a.io:5000/ca.crt': one.certificate,
      'etc/containers/certs.d/a.io:5000/ca.crt': two.certificate,
      'etc/containers/certs.d/a.io:5000/client.cert': two.certificate,
      'etc/containers/certs.d/a.io:5000/client.key': two.key,
      'etc/docker/certs.d/docker.io/hub.crt': one.certificate,
      'etc/docker/certs.d/b.io:443/b.crt': two.certificate,
    })
    const { certificates } = await read({
      registries: {
        'a.io:5000': { clientCertificate: join(folder, 'one.pem'), clientKey: join(folder, 'one.key') },
      },
    })
    expect(await certificates('a.io:5000')).toEqual({ ca: [two.certificate, one.certificate], client: one })
    expect(await certificates('a.io')).toBeUndefined()
    expect(await certificates('registry-1.docker.io')).toEqual({ ca: [one.certificate], client: undefined })
    expect(await certificates('b.io')).toEqual({ ca: [two.certificate], client: undefined })
    expect(await certificates('..')).toBeUndefined()
  })

  it('name the file that is wrong, for the host that needs it alone', async () => {
    const one = make('one')
    writeFiles(folder, {
      'etc/docker/certs.d/a.io/ca.crt': 'nothing',
      'etc/docker/certs.d/b.io/me.cert': one.certificate,
      'etc/docker/certs.d/c.io/me.cert': one.certificate,
      'etc/docker/certs.d/c.io/me.key': make('two').key,
    })
    const { certificates } = await read()
    for (const [host, file] of [
      ['a.io', 'a.io/ca.crt'],
      ['b.io', 'b.io/me.key'],
      ['c.io', 'c.io/me.cert'],
    ] as const) {
      await expect(certificates(host)).rejects.toMatchObject({
        code: 'ERR_CONFIG',
        message: expect.stringContaining(file),
      })
    }
    expect(await certificates('d.io')).toBeUndefined()
  })
})

describe('registryCredentials()', () => {
  const authOf = (user: string) => ({ auth: Buffer.from(`${user}:password`).toString('base64') })
  const fileOf = (auths: Readonly<Record<string, string>>) =>
    JSON.stringify({
      auths: Object.fromEntries(Object.entries(auths).map(([key, user]) => [key, authOf(user)])),
    })
  const userOf = async (env: Readonly<Record<string, string>>, registry: string, repository?: string) => {
    const found = await registryCredentials(hostWith(env))(registry, repository)
    return found?.type === 'basic' ? found.username : undefined
  }

  it('takes the first file that has some', async () => {
    writeFiles(folder, {
      'home/.docker/config.json': fileOf({ 'a.io': 'docker' }),
      'run/containers/auth.json': fileOf({ 'a.io': 'podman', 'b.io': 'podman' }),
      'home/.config/containers/auth.json': fileOf({ 'b.io': 'config', 'c.io': 'config' }),
      'named.json': fileOf({ 'c.io': 'named' }),
    })
    const env = { XDG_RUNTIME_DIR: join(folder, 'run') }
    const users = await Promise.all(['a.io', 'b.io', 'c.io', 'd.io'].map((host) => userOf(env, host)))
    expect(users).toEqual(['docker', 'podman', 'config', undefined])
    const named = { ...env, REGISTRY_AUTH_FILE: join(folder, 'named.json') }
    expect(await userOf(named, 'a.io')).toBeUndefined()
    expect(await userOf(named, 'c.io')).toBe('named')
  })

  it('finds podman without a runtime folder', () => {
    expect(credentialFiles({ uid: 7, env: {} })).toEqual(['/run/containers/7/auth.json'])
  })

  it('names the file that is no JSON, and shows nothing of it', async () => {
    writeFiles(folder, { 'home/.docker/config.json': '{"auths": hunter22' })
    await expect(userOf({}, 'a.io')).rejects.toMatchObject({
      code: 'ERR_CONFIG',
      message: expect.not.stringContaining('hunter22'),
      hints: [expect.stringContaining(join(folder, 'home/.docker/config.json'))],
    })
  })
})
