import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { EnvironmentError } from '@tsbuild/errors'
import { type Descriptor, mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { dockerConfigCredentials } from './docker-config.ts'
import { endpointOf, resolveLocation } from './endpoint.ts'
import { type Access, type Fault, memorySink, reply, replyError, startFakeRegistry } from './testing/index.ts'
import type { Credentials, RegistryClientOptions } from './types.ts'

const layer = Buffer.alloc(2 * 1024 * 1024, 'x')
const descriptor: Descriptor = {
  mediaType: mediaTypes.ociLayer,
  digest: digestBytes(layer),
  size: layer.length,
}
const manifest = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: descriptor,
  layers: [],
  annotations: {},
})
const user = { username: 'me', password: 'hunter22' }
const asUser: Credentials = { type: 'basic', ...user }
const basic = `Basic ${Buffer.from('me:hunter22').toString('base64')}`

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function start(access?: Access) {
  const registry = await startFakeRegistry({ access })
  cleanups.push(registry.stop)
  registry.blobs.set(`app@${descriptor.digest}`, layer)
  registry.manifests.set('app:1', { bytes: manifest, mediaType: mediaTypes.ociManifest })
  return registry
}

function clientWith(credentials: Credentials | undefined, options: RegistryClientOptions = {}) {
  const client = createRegistryClient({
    sleep: async () => undefined,
    credentials: async () => credentials,
    ...options,
  })
  cleanups.push(() => client.close())
  return client
}

const bearer = (more: Partial<Extract<Access, { type: 'bearer' }>> = {}) =>
  ({ type: 'bearer', tokens: new Set<string>(), ...more }) satisfies Access

/** Every name is this machine: hosts of other names without a DNS server. */
const everywhere: RegistryClientOptions['lookup'] = (_name, options, callback) => {
  if (options.all === true) callback(null, [{ address: '127.0.0.1', family: 4 }])
  else callback(null, '127.0.0.1', 4)
}

describe('tokens', () => {
  it('an anonymous token is fetched once and used until it ends', async () => {
    let now = 0
    const registry = await start(bearer({ expiresIn: 300 }))
    const client = clientWith(undefined, { now: () => now })
    const reference = parseReference(`${registry.host}/app:1`)
    const tokens = () => registry.requests.filter(({ path }) => path.startsWith('/token')).length
    await client.resolve(reference)
    await client.resolve(reference)
    expect(tokens()).toBe(1)
    now = 289_000
    await client.resolve(reference)
    expect(tokens()).toBe(1)
    now = 291_000
    await client.resolve(reference)
    expect(tokens()).toBe(2)
    const asked = new URL(
      registry.requests.find(({ path }) => path.startsWith('/token'))?.path ?? '',
      'http://x',
    )
    expect([...asked.searchParams]).toEqual([
      ['service', 'fake'],
      ['scope', 'repository:app:pull'],
    ])
  })

  it('a token without expires_in is used for a minute at most (REGF-05)', async () => {
    let now = 0
    const registry = await start(bearer())
    const client = clientWith(undefined, { now: () => now })
    const reference = parseReference(`${registry.host}/app:1`)
    await client.resolve(reference)
    now = 60_000
    await client.resolve(reference)
    expect(registry.requests.filter(({ path }) => path.startsWith('/token'))).toHaveLength(2)
  })

  it('calls at the same time share one token, the first time and when it has ended', async () => {
    let now = 0
    const registry = await start(bearer({ expiresIn: 300 }))
    const client = clientWith(undefined, { now: () => now })
    const reference = parseReference(`${registry.host}/app:1`)
    const tokens = () => registry.requests.filter(({ path }) => path.startsWith('/token')).length
    await Promise.all([1, 2, 3, 4].map(() => client.resolve(reference)))
    expect(tokens()).toBe(1)
    now = 300_000
    await Promise.all([1, 2, 3, 4].map(() => client.resolve(reference)))
    expect(tokens()).toBe(2)
  })

  it('the password goes to the token server only, the token to the registry', async () => {
    const registry = await start(bearer({ user }))
    await clientWith(asUser).resolve(parseReference(`${registry.host}/app:1`))
    const seen = registry.requests.map(({ path, authorization }) => [path.replace(/\?.*/, ''), authorization])
    expect(seen).toEqual([
      ['/v2/app/manifests/1', undefined],
      ['/token', basic],
      ['/v2/app/manifests/1', 'Bearer token-1-repository:app:pull'],
    ])
  })

  it('an identity token is exchanged by POST', async () => {
    const registry = await start(bearer({ user, refreshToken: 'refresh-me' }))
    const client = clientWith({ type: 'identityToken', token: 'refresh-me' })
    expect((await client.resolve(parseReference(`${registry.host}/app:1`))).bytes.equals(manifest)).toBe(true)
    expect(registry.requests.filter(({ path }) => path === '/token').map(({ method }) => method)).toEqual([
      'POST',
    ])
  })

  it('a token that ends while a blob is sent is fetched again, and the upload goes on (REGF-05)', async () => {
    const access = bearer({ user })
    const registry = await start(access)
    registry.blobs.clear()
    const ended: Fault = {
      method: 'PATCH',
      act: async ({ body, response }) => {
        access.tokens.clear()
        await body()
        response.setHeader('www-authenticate', `Bearer realm="http://${registry.host}/token",service="fake"`)
        replyError(response, 401, 'UNAUTHORIZED')
      },
    }
    registry.fault(ended)
    const open = (offset: number) => Readable.from([layer.subarray(offset)])
    const reference = parseReference(`${registry.host}/app:1`)
    expect(await clientWith(asUser).uploadBlob(reference, descriptor, open)).toBe('uploaded')
    expect(registry.blobs.get(`app@${descriptor.digest}`)?.equals(layer)).toBe(true)
    expect(registry.pendingFaults()).toBe(0)
  })

  it.each([
    ['no token', '{}', 'ERR_REGISTRY_RESPONSE'],
    ['no JSON', '<html>', 'ERR_REGISTRY_RESPONSE'],
    [
      'a token that would end its header',
      JSON.stringify({ token: 'a\r\nx-evil: 1' }),
      'ERR_REGISTRY_RESPONSE',
    ],
    ['more than 4 MiB', JSON.stringify({ token: 'x'.repeat(5_000_000) }), 'ERR_REGISTRY_RESPONSE'],
  ])('an answer with %s is refused', async (_, body, code) => {
    const registry = await start(bearer())
    registry.fault({ path: /^\/token/, act: ({ response }) => reply(response, 200, {}, body) })
    const outcome = clientWith(undefined).resolve(parseReference(`${registry.host}/app:1`))
    await expect(outcome).rejects.toMatchObject({ code })
  })

  it('a token server that refuses the password ends it', async () => {
    const registry = await start(bearer({ user }))
    const outcome = clientWith({ ...asUser, password: 'wrong' }).resolve(
      parseReference(`${registry.host}/app:1`),
    )
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_REGISTRY_AUTH' })
  })
})

describe('credentials stay where they belong', () => {
  it('a realm on another site gets no credentials and is named (REG-01)', async () => {
    const thief = await start(bearer())
    const port = thief.host.split(':')[1]
    const registry = await start(bearer({ user, realm: `http://auth.evil.example:${port}/token` }))
    const host = `registry.good.example:${registry.host.split(':')[1]}`
    const client = clientWith(asUser, { lookup: everywhere, insecureHosts: [host] })
    await expect(client.resolve(parseReference(`${host}/app:1`))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
      message: expect.stringContaining('auth.evil.example'),
      hints: [expect.stringContaining('"auth.evil.example" in "trustedRealms"')],
    })
    expect(thief.requests).toEqual([])
  })

  it.each([
    'https://169.254.169.254/token',
    'https://127.0.0.1/token',
    'https://[::1]/token',
    'https://[::ffff:127.0.0.1]/token',
    'https://0.0.0.0/token',
    'https://2130706433/token',
    'https://0x7f.1/token',
    'https://0177.0.0.1/token',
    'https://localhost/token',
    'https://a.localhost/token',
    'https://metadata.google.internal/token',
    'file:///etc/passwd',
    'not a url',
  ])('a realm %s is refused, with credentials or without (REG-02)', async (realm) => {
    for (const credentials of [asUser, undefined]) {
      const registry = await start(bearer({ realm }))
      const host = `registry.good.example:${registry.host.split(':')[1]}`
      let asked = 0
      const lookup: RegistryClientOptions['lookup'] = (name, options, callback) => {
        asked += name === 'registry.good.example' ? 0 : 1
        everywhere(name, options, callback)
      }
      const client = clientWith(credentials, { lookup, insecureHosts: [host] })
      const error = await client.resolve(parseReference(`${host}/app:1`)).catch((reason) => reason)
      expect(error).toMatchObject({ code: 'ERR_REGISTRY_AUTH' })
      expect(asked).toBe(0)
    }
  })

  it('a realm whose name turns out to be this machine is not connected to (REG-02)', async () => {
    const inner = await start(bearer())
    const realm = `http://auth.good.example:${inner.host.split(':')[1]}/token`
    const registry = await start(bearer({ realm }))
    const host = `registry.good.example:${registry.host.split(':')[1]}`
    const client = clientWith(undefined, { lookup: everywhere, insecureHosts: [host] })
    await expect(client.resolve(parseReference(`${host}/app:1`))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_RESPONSE',
    })
    expect(inner.requests).toEqual([])
  })

  it('a redirect to another host takes no authorization along, nor gets it back at home (REG-03)', async () => {
    const cdn = await start()
    const registry = await start({ type: 'basic', ...user })
    const home = `http://${registry.host}/v2/app/blobs/${descriptor.digest}?back`
    cdn.fault({ act: ({ response }) => reply(response, 307, { location: home }) })
    const away = `http://${cdn.host}/elsewhere`
    const path = /blobs/
    registry.fault(
      { path, act: ({ next }) => next() },
      { path, act: ({ response }) => reply(response, 307, { location: away }) },
      { path: /\?back$/, act: ({ response }) => reply(response, 200, {}, layer) },
    )
    const sink = memorySink()
    await clientWith(asUser).downloadBlob(parseReference(`${registry.host}/app:1`), descriptor, sink)
    expect(sink.bytes().equals(layer)).toBe(true)
    expect(cdn.requests.map(({ authorization }) => authorization)).toEqual([undefined])
    expect(registry.requests.map(({ authorization }) => authorization)).toEqual([undefined, basic, undefined])
  })

  it('redirects end after ten', async () => {
    const registry = await start()
    const loop: Fault = {
      times: 50,
      act: ({ request, response }) => reply(response, 307, { location: request.url ?? '' }),
    }
    registry.fault(loop)
    const outcome = clientWith(undefined).resolve(parseReference(`${registry.host}/app:1`))
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_REGISTRY_RESPONSE' })
    expect(registry.requests).toHaveLength(11)
  })

  it.each([
    ['http://127.0.0.1:1/x', 'this machine'],
    ['https://169.254.169.254/x', 'this machine'],
    ['https://[fe80::1]/x', 'this machine'],
    ['http://cdn.example/x', 'leaves HTTPS'],
    ['ftp://cdn.example/x', 'neither'],
    ['https://me:pw@cdn.example/x', 'credentials'],
    ['https://', 'no URL'],
  ])('resolveLocation() refuses to go from a registry to %s (REG-04)', (location, why) => {
    const endpoint = endpointOf('registry.example', [])
    expect(() => resolveLocation(endpoint, endpoint.origin, location)).toThrow(
      expect.objectContaining({ code: 'ERR_REGISTRY_RESPONSE', message: expect.stringContaining(why) }),
    )
  })

  it('resolveLocation() takes its own host with http: for https:', () => {
    const endpoint = endpointOf('registry.example', [])
    const { href } = resolveLocation(endpoint, endpoint.origin, 'http://registry.example/v2/x?_state=1#y')
    expect(href).toBe('https://registry.example/v2/x?_state=1')
  })

  it('each registry gets its own credentials, by exact host and port (REG-05)', async () => {
    const registries = await Promise.all([1, 2, 3].map(() => start({ type: 'basic', ...user })))
    const [first, second, third] = registries.map(({ host }) => host)
    const auth = (password: string) => ({ auth: Buffer.from(`me:${password}`).toString('base64') })
    const config = {
      auths: { [first ?? '']: auth('hunter22'), '127.0.0.1': auth('no-port'), [`x${second}`]: auth('other') },
    }
    const client = createRegistryClient({ credentials: dockerConfigCredentials(JSON.stringify(config)) })
    cleanups.push(() => client.close())
    expect((await client.resolve(parseReference(`${first}/app:1`))).bytes.equals(manifest)).toBe(true)
    for (const host of [second, third]) {
      const outcome = client.resolve(parseReference(`${host}/app:1`))
      await expect(outcome).rejects.toMatchObject({ code: 'ERR_REGISTRY_AUTH' })
    }
    expect(registries.map(({ requests }) => requests.map(({ authorization }) => authorization))).toEqual([
      [undefined, basic],
      [undefined],
      [undefined],
    ])
  })

  it('no secret is shown when a registry sends it back in an error (REG-07)', async () => {
    const registry = await start(bearer({ user }))
    const echo: Fault = {
      method: 'PUT',
      act: ({ request, response }) =>
        replyError(
          response,
          400,
          'ECHO',
          `${request.headers.authorization} ${basic} hunter22 https://me:hunter22@x/`,
        ),
    }
    registry.fault({ method: 'PUT', act: ({ next }) => next() }, echo)
    const outcome = clientWith(asUser).putManifest(parseReference(`${registry.host}/app:1`), manifest, 'x/y')
    const error: unknown = await outcome.catch((reason) => reason)
    expect(error).toMatchObject({ code: 'ERR_REGISTRY_STATUS', message: expect.stringContaining('ECHO') })
    const shown = JSON.stringify(error) + (error instanceof Error ? `${error.message}${error.stack}` : '')
    for (const secret of ['hunter22', 'token-1', basic.slice(6)]) expect(shown).not.toContain(secret)
  })
})

describe('plain HTTP', () => {
  it('a registry that does not speak HTTPS is refused unless it is declared (REG-08)', async () => {
    const registry = await start()
    const host = `registry.good.example:${registry.host.split(':')[1]}`
    const reference = parseReference(`${host}/app:1`)
    await expect(clientWith(undefined, { lookup: everywhere }).resolve(reference)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_TLS',
      hints: [expect.stringContaining('insecure')],
    })
    expect(registry.requests).toEqual([])
    const allowed = clientWith(undefined, { lookup: everywhere, insecureHosts: [host] })
    expect((await allowed.resolve(reference)).bytes.equals(manifest)).toBe(true)
  })

  it.each([
    ['localhost:5000', 'http:'],
    ['127.1.2.3', 'http:'],
    ['[::1]:5000', 'http:'],
    ['registry.local', 'https:'],
    ['10.0.0.1:5000', 'https:'],
    ['localhost.example', 'https:'],
    ['docker.io', 'https:'],
  ])('endpointOf() speaks to %s in %s', (registry, protocol) => {
    expect(endpointOf(registry, []).origin.protocol).toBe(protocol)
  })

  it('endpointOf() speaks HTTPS first to what is declared insecure on another machine', () => {
    const declared = { plain: true, insecure: true, settled: false }
    for (const endpoint of [
      endpointOf('a.example', ['a.example']),
      endpointOf('a.example:5000', [], 'insecure'),
    ]) {
      expect(endpoint).toMatchObject(declared)
      expect(endpoint.origin.protocol).toBe('https:')
    }
    expect(endpointOf('a.example:5000', ['a.example']).plain).toBe(false)
    expect(endpointOf('a.example', [], 'unverified')).toMatchObject({
      plain: false,
      insecure: true,
      settled: true,
    })
  })

  it.each(['a.example:99999', '1.2.3.4.5', '[::g]'])('endpointOf() refuses %s', (registry) => {
    expect(() => endpointOf(registry, [])).toThrow(expect.objectContaining({ code: 'ERR_REFERENCE_INVALID' }))
  })

  it('endpointOf() knows where the Hub is', () => {
    expect(endpointOf('docker.io', []).origin.href).toBe('https://registry-1.docker.io/')
  })
})

it('createRegistryClient() hands on the error of a credential provider', async () => {
  const registry = await start({ type: 'basic', ...user })
  const failing = new EnvironmentError('ERR_TOOL_MISSING', 'no helper')
  const client = createRegistryClient({ credentials: () => Promise.reject(failing) })
  cleanups.push(() => client.close())
  await expect(client.resolve(parseReference(`${registry.host}/app:1`))).rejects.toBe(failing)
})
