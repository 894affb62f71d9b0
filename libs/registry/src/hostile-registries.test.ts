import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import type { IncomingHttpHeaders } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createAuthorizer } from './authorization.ts'
import { createRegistryClient } from './client.ts'
import { dockerConfigCredentials } from './docker-config.ts'
import { endpointOf } from './endpoint.ts'
import { type FakeRegistry, type Fault, memorySink, reply, startFakeRegistry } from './testing/index.ts'
import type { RegistryClientOptions } from './types.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const user = { username: 'me', password: 'hunter22' }
const known = { type: 'basic', ...user } as const
const basic = `Basic ${Buffer.from('me:hunter22').toString('base64')}`

const layer = Buffer.alloc(2 * 1024 * 1024, 'layer')
const descriptor = { mediaType: mediaTypes.ociLayer, digest: digestBytes(layer), size: layer.length }
const manifest = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: mediaTypes.ociConfig, digest: digestBytes('c'), size: 1 },
  layers: [descriptor],
  annotations: {},
})

async function start(options?: Parameters<typeof startFakeRegistry>[0]): Promise<FakeRegistry> {
  const registry = await startFakeRegistry(options)
  cleanups.push(registry.stop)
  registry.manifests.set('app:1', { bytes: manifest, mediaType: mediaTypes.ociManifest })
  registry.blobs.set(`app@${descriptor.digest}`, layer)
  return registry
}

const everywhere: RegistryClientOptions['lookup'] = (_name, { all }, callback) =>
  all === true ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4)

function clientWith(options: RegistryClientOptions) {
  const client = createRegistryClient({ sleep: async () => undefined, ...options })
  cleanups.push(() => client.close())
  return client
}

const portOf = ({ host }: FakeRegistry) => host.split(':')[1] ?? ''

/** Sends a challenge through an authorizer. @returns what the token server was sent */
async function answerChallenge(registry: string, realm: string, trustedRealms: readonly string[] = []) {
  const seen: { url: string; authorization: string | undefined }[] = []
  const authorizer = createAuthorizer({
    credentials: async () => known,
    trustedRealms,
    now: () => 0,
    sender: async (request) => {
      const { url, headers } = request()
      seen.push({ url: url.href, authorization: headers.authorization })
      const body = Readable.from([Buffer.from('{"token":"t"}')])
      return { status: 200, header: () => undefined, body, discard: async () => undefined }
    },
  })
  const endpoint = endpointOf(registry, [])
  const call = { scopes: ['repository:a/b:pull'], purpose: { what: 'pull', host: registry } }
  const header = `Bearer realm="${realm}",service="s",scope="repository:a/b:pull"`
  await authorizer.challenged(endpoint, header, undefined, call)
  return { seen, authorization: await authorizer.authorization(endpoint, call) }
}

describe('REG-01: the realm of a token server', () => {
  it.each([
    ['docker.io', 'https://auth.docker.io/token'],
    ['ghcr.io', 'https://ghcr.io/token'],
    ['quay.io', 'https://quay.io/v2/auth'],
    ['registry.gitlab.com', 'https://gitlab.com/jwt/auth'],
    ['gcr.io', 'https://gcr.io/v2/token'],
    ['europe-docker.pkg.dev', 'https://europe-docker.pkg.dev/v2/token'],
    ['public.ecr.aws', 'https://public.ecr.aws/token/'],
    ['team.azurecr.io', 'https://team.azurecr.io/oauth2/token'],
    ['registry.redhat.io', 'https://registry.redhat.io/auth/realms/rhcc/protocol/redhat-docker-v2/auth'],
    ['registry.connect.redhat.com', 'https://sso.redhat.com/auth/realms/rhcc/protocol/redhat-docker-v2/auth'],
    ['nvcr.io', 'https://nvcr.io/proxy_auth'],
    ['us.icr.io', 'https://us.icr.io/oauth/token'],
    ['registry.digitalocean.com', 'https://api.digitalocean.com/v2/registry/auth'],
    ['registry.suse.com', 'https://scc.suse.com/api/registry/authorize'],
    ['docker.elastic.co', 'https://docker-auth.elastic.co/auth'],
    ['codeberg.org', 'https://codeberg.org/v2/token'],
    ['team.jfrog.io', 'https://team.jfrog.io/artifactory/api/docker/docker/v2/token'],
    ['demo.goharbor.io', 'https://demo.goharbor.io/service/token'],
  ])('REG-01: %s may send to %s', async (registry, realm) => {
    const { seen, authorization } = await answerChallenge(registry, realm)
    expect(seen.map((one) => one.url.startsWith(realm) && one.authorization)).toEqual([basic])
    expect(authorization).toBe('Bearer t')
  })

  it.each([
    ['registry.good.example', 'https://auth.evil.example/token'],
    ['docker.io', 'https://auth.docker.io.evil.example/token'],
    ['docker.io', 'https://evildocker.io/token'],
    ['team.azurecr.io', 'https://other.azurecr.io/oauth2/token'],
    ['team.jfrog.io', 'https://other.jfrog.io/token'],
    ['1.dkr.ecr.eu-west-1.amazonaws.com', 'https://bucket.s3.amazonaws.com/token'],
    ['good.co.uk', 'https://evil.co.uk/token'],
    ['203.0.113.1', 'https://203.0.113.2/token'],
  ])('REG-01: %s may not send to %s, unless it is named', async (registry, realm) => {
    const { hostname } = new URL(realm)
    await expect(answerChallenge(registry, realm)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
      hints: [expect.stringContaining(`"${hostname}" in "trustedRealms"`)],
    })
    const { seen } = await answerChallenge(registry, realm, [hostname])
    expect(seen.map(({ authorization }) => authorization)).toEqual([basic])
  })
})

it.each(['file:///etc/passwd', 'data:,x', 'ftp://good.example/token', 'nothing'])(
  'REG-02: %s is the address of no token server',
  async (realm) => {
    await expect(answerChallenge('good.example', realm)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
      message: expect.stringContaining('its token server has no valid address'),
    })
  },
)

it('REG-02: a token server that redirects is not followed', async () => {
  const canary = await start()
  const registry = await start({ access: { type: 'bearer', user, tokens: new Set() } })
  const away: Fault = {
    path: /^\/token/,
    times: 9,
    act: ({ response }) => reply(response, 307, { location: `http://localhost:${portOf(canary)}/token` }),
  }
  registry.fault(away)
  const client = clientWith({ credentials: async () => known })
  await expect(client.resolve(parseReference(`${registry.host}/app:1`))).rejects.toMatchObject({
    code: 'ERR_REGISTRY_STATUS',
  })
  expect(canary.requests).toEqual([])
})

function selfSigned(): { readonly cert: string; readonly key: string } {
  const folder = mkdtempSync(join(tmpdir(), 'tsbuild-hostile-'))
  const [cert, key] = [join(folder, 'cert'), join(folder, 'key')]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', ...kind, '-subj', '/CN=x', '-keyout', key, '-out', cert], {
    stdio: 'ignore',
  })
  const made = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  rmSync(folder, { recursive: true })
  return made
}

it.each([
  ['another port', (host: string) => `http://${host}`, undefined],
  ['another name of this machine', (host: string) => `http://localhost:${host.split(':')[1]}`, undefined],
  ['another scheme', (host: string) => `https://${host}`, selfSigned],
])(
  'REG-03: a redirect to %s takes neither authorization nor cookies along, nor are they back at home',
  async (_, urlOf, tls) => {
    const cdn = await start({ tls: tls?.() })
    const registry = await start({ access: { type: 'basic', ...user } })
    const headers: IncomingHttpHeaders[] = []
    const home = `http://${registry.host}/v2/app/blobs/${descriptor.digest}?back`
    cdn.fault({
      act: ({ request, response }) => {
        headers.push(request.headers)
        reply(response, 307, { location: home, 'set-cookie': 'b=2' })
      },
    })
    registry.fault(
      { path: /blobs/, act: ({ next }) => next() },
      {
        path: /blobs/,
        act: ({ response }) =>
          reply(response, 307, { location: `${urlOf(cdn.host)}/x`, 'set-cookie': 'a=1' }),
      },
      {
        path: /\?back$/,
        act: ({ request, response }) => {
          headers.push(request.headers)
          reply(response, 200, {}, layer)
        },
      },
    )
    const client = clientWith({ credentials: async () => known })
    const sink = memorySink()
    await client.downloadBlob(parseReference(`${registry.host}/app:1`), descriptor, sink)
    expect(sink.bytes().equals(layer)).toBe(true)
    expect(headers.map(({ authorization, cookie }) => ({ authorization, cookie }))).toEqual([{}, {}])
  },
)

it.each([
  ['POST', 1000],
  ['POST', layer.length],
  ['PATCH', layer.length],
])('REG-04: the Location of a %s that leads to this machine is refused (%i bytes)', async (method, size) => {
  const canary = await start()
  const registry = await start()
  const named = `registry.good.example:${portOf(registry)}`
  const bytes = Buffer.alloc(size, 'fresh')
  const locations = [
    `http://127.0.0.1:${portOf(canary)}/latest`,
    `http://localhost:${portOf(canary)}/`,
    `http://[::1]:${portOf(canary)}/`,
    `http://metadata.good.example:${portOf(canary)}/`,
  ]
  for (const location of locations) {
    registry.fault({
      method,
      path: /uploads/,
      times: 9,
      act: async ({ response, body }) => {
        await body()
        reply(response, 202, { location, range: `0-${size - 1}` })
      },
    })
  }
  const client = clientWith({ insecureHosts: [named], lookup: everywhere })
  for (const _ of locations) {
    const digest = digestBytes(bytes)
    const outcome = client.uploadBlob(
      parseReference(`${named}/app:1`),
      { mediaType: mediaTypes.ociLayer, digest, size },
      (offset) => Readable.from([bytes.subarray(offset)]),
    )
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_REGISTRY_RESPONSE' })
  }
  expect(canary.requests).toEqual([])
})

it('REG-05: of five registries each gets its own credentials and no other', async () => {
  const registries = await Promise.all(
    [1, 2, 3, 4, 5].map(() => start({ access: { type: 'basic', ...user } })),
  )
  const [own, path, bare, otherPort, none] = registries.map(({ host }) => host)
  const authOf = (name: string) => ({ auth: Buffer.from(`${name}:hunter22`).toString('base64') })
  const auths = {
    'https://index.docker.io/v1/': authOf('hub'),
    [`${own}`]: authOf('me'),
    [`${path}/team`]: authOf('team'),
    [`${path}/team/app`]: authOf('me'),
    [`${bare}`.replace(/:.*/, '')]: authOf('bare'),
    [`${otherPort}0`]: authOf('port'),
    [`${none}.evil.example`]: authOf('longer'),
  }
  for (const registry of registries) {
    registry.manifests.set('team/app:1', { bytes: manifest, mediaType: mediaTypes.ociManifest })
  }
  const client = clientWith({ credentials: dockerConfigCredentials(JSON.stringify({ auths })) })
  await client.resolve(parseReference(`${own}/app:1`))
  await client.resolve(parseReference(`${path}/team/app:1`))
  const refused = [
    `${path}/team/other:1`,
    `${path}/app:1`,
    `${bare}/app:1`,
    `${otherPort}/app:1`,
    `${none}/app:1`,
  ]
  for (const reference of refused) {
    await expect(client.resolve(parseReference(reference))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
    })
  }
  const users = registries.map(({ requests }) =>
    requests.flatMap(({ authorization }) =>
      authorization === undefined
        ? []
        : [Buffer.from(authorization.slice(6), 'base64').toString().split(':')[0]],
    ),
  )
  expect(users).toEqual([['me'], ['me', 'team'], [], [], []])
})
