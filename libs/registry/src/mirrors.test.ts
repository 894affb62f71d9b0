import { digestBytes } from '@tsbuild/digest'
import { mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import type { MirrorRule, RegistryHosts, RegistryRule } from './hosts.ts'
import { noHosts } from './hosts.ts'
import { type FakeRegistry, memorySink, reply, replyError, startFakeRegistry } from './testing/index.ts'
import type { RegistryClientOptions } from './types.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const layer = Buffer.alloc(100_000, 'layer')
const descriptor = { mediaType: mediaTypes.ociLayer, digest: digestBytes(layer), size: layer.length }
const manifest = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: mediaTypes.ociConfig, digest: digestBytes('c'), size: 1 },
  layers: [descriptor],
  annotations: {},
})

/** A registry that has the image as `<path>/app:1`. */
async function start(path: string, access?: Parameters<typeof startFakeRegistry>[0]): Promise<FakeRegistry> {
  const registry = await startFakeRegistry(access)
  cleanups.push(registry.stop)
  const stored = { bytes: manifest, mediaType: mediaTypes.ociManifest }
  registry.manifests.set(`${path}app:1`, stored)
  registry.manifests.set(`${path}app@${digestBytes(manifest)}`, stored)
  registry.blobs.set(`${path}app@${descriptor.digest}`, layer)
  return registry
}

function clientWith(rule: Partial<RegistryRule>, options: RegistryClientOptions = {}) {
  const complete = { location: undefined, mirrors: [], trust: 'verified', blocked: false, file: 'f' } as const
  const hosts: RegistryHosts = { ...noHosts, rules: [{ prefix: 'good.example', ...complete, ...rule }] }
  const client = createRegistryClient({ hosts: async () => hosts, sleep: async () => undefined, ...options })
  cleanups.push(() => client.close())
  return client
}

const all = (location: string): MirrorRule => ({ location, pull: 'all', trust: 'insecure' })
const image = parseReference('good.example/app:1')
const paths = ({ requests }: FakeRegistry) => requests.map(({ method, path }) => `${method} ${path}`)

/** Where nobody listens. */
async function deadHost(): Promise<string> {
  const registry = await startFakeRegistry()
  await registry.stop()
  return registry.host
}

describe('pulls', () => {
  it('ask mirrors in order and go to the next for whatever reason', async () => {
    const [empty, broken, full] = [await startFakeRegistry(), await start('m/'), await start('')]
    cleanups.push(empty.stop)
    broken.fault({ times: 99, act: ({ response }) => reply(response, 503) })
    const mirrors = [all(empty.host), all(`${broken.host}/m`), all(full.host)]
    const client = clientWith({ mirrors })
    expect((await client.resolve(image)).bytes.equals(manifest)).toBe(true)
    const sink = memorySink()
    await client.downloadBlob(image, descriptor, sink)
    expect(sink.bytes().equals(layer)).toBe(true)
    // One try each, though every status of theirs is worth six where nobody else can be asked.
    expect(paths(broken)).toEqual(['GET /v2/m/app/manifests/1', `GET /v2/m/app/blobs/${descriptor.digest}`])
    expect(empty.requests).toHaveLength(2)
  })

  it('come to the location when no mirror has it, and say what the mirrors said', async () => {
    const [empty, origin] = [await startFakeRegistry(), await start('team/')]
    cleanups.push(empty.stop)
    const client = clientWith({ mirrors: [all(empty.host)], location: `${origin.host}/team` })
    expect((await client.resolve(image)).bytes.equals(manifest)).toBe(true)
    await expect(client.resolve(parseReference('good.example/app:2'))).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      message: expect.stringContaining(`${origin.host}/team/app:2`),
      hints: [expect.stringContaining(`${empty.host}/app:2`)],
    })
    expect(await client.resolveDescriptor(parseReference('good.example/app:2'))).toBeUndefined()
    expect((await client.resolveDescriptor(image))?.digest).toBe(digestBytes(manifest))
  })

  it('a mirror that is down is asked once a minute', async () => {
    const [down, origin] = [await deadHost(), await start('')]
    let [connects, minutes] = [0, 0]
    const lookup: RegistryClientOptions['lookup'] = (name, { all: every }, callback) => {
      if (name === 'mirror.example') connects++
      if (every === true) callback(null, [{ address: '127.0.0.1', family: 4 }])
      else callback(null, '127.0.0.1', 4)
    }
    const port = down.split(':')[1]
    const client = clientWith(
      { mirrors: [all(`mirror.example:${port}`)], location: origin.host },
      { lookup, now: () => minutes * 60_000 },
    )
    for (let round = 0; round < 3; round++) await client.resolve(image)
    await client.downloadBlob(image, descriptor, memorySink())
    expect(connects).toBe(1)
    minutes = 1
    await client.resolve(image)
    expect(connects).toBe(2)
  })

  it('a wrong digest of a mirror is refused and the next is asked', async () => {
    const [liar, origin] = [await start(''), await start('')]
    const other = Buffer.from(manifest.toString().replace('"size":1}', '"size":2}'))
    const digest = digestBytes(manifest)
    const fake = { bytes: other, mediaType: mediaTypes.ociManifest }
    liar.manifests.set(`app@${digest}`, fake)
    liar.blobs.set(`app@${descriptor.digest}`, Buffer.alloc(layer.length, 'x'))
    const client = clientWith({ mirrors: [all(liar.host)], location: origin.host })
    const byDigest = parseReference(`good.example/app@${digest}`)
    expect((await client.resolve(byDigest)).bytes.equals(manifest)).toBe(true)
    const sink = memorySink()
    await client.downloadBlob(byDigest, descriptor, sink)
    expect(sink.bytes().equals(layer)).toBe(true)
    expect(paths(origin)).toEqual([
      `GET /v2/app/manifests/${digest}`,
      `GET /v2/app/blobs/${descriptor.digest}`,
    ])
  })

  it('a full disk is no fault of a mirror', async () => {
    const [mirror, origin] = [await start(''), await start('')]
    const client = clientWith({ mirrors: [all(mirror.host)], location: origin.host })
    const full = new Error('ENOSPC')
    const sink = { write: async () => Promise.reject(full) }
    await expect(client.downloadBlob(image, descriptor, sink)).rejects.toBe(full)
    expect(origin.requests).toEqual([])
  })

  it('a signal ends them all', async () => {
    const [mirror, origin] = [await start(''), await start('')]
    const abort = new AbortController()
    mirror.fault({ act: () => abort.abort() })
    const client = clientWith({ mirrors: [all(mirror.host)], location: origin.host })
    await expect(client.resolve(image, { signal: abort.signal })).rejects.toMatchObject({
      code: 'ERR_CANCELLED',
    })
    expect(origin.requests).toEqual([])
  })
})

describe('who is asked for what', () => {
  it('credentials go to the host they belong to', async () => {
    const user = { username: 'me', password: 'hunter22' }
    const mirror = await start('', { access: { type: 'basic', ...user } })
    const asked: string[] = []
    const credentials = async (host: string) => {
      asked.push(host)
      return host === mirror.host ? ({ type: 'basic', ...user } as const) : undefined
    }
    const client = clientWith({ mirrors: [all(mirror.host)] }, { credentials })
    expect((await client.resolve(image)).bytes.equals(manifest)).toBe(true)
    expect(asked).toEqual([mirror.host])
  })

  it('a push never goes to a mirror or a location', async () => {
    const [mirror, location, origin] = [await start(''), await start(''), await start('')]
    const client = clientWith({ prefix: origin.host, mirrors: [all(mirror.host)], location: location.host })
    const reference = parseReference(`${origin.host}/app:2`)
    expect(await client.hasBlob(reference, descriptor)).toBe(true)
    await client.putManifest(reference, manifest, mediaTypes.ociManifest)
    await client.deleteManifest(reference)
    expect([...mirror.requests, ...location.requests]).toEqual([])
    expect(paths(origin).map((path) => path.split(' ')[0])).toEqual(['HEAD', 'PUT', 'DELETE'])
  })

  it('lists go to the location, not to a mirror', async () => {
    const [mirror, origin] = [await start(''), await start('x/')]
    const client = clientWith({ mirrors: [all(mirror.host)], location: `${origin.host}/x` })
    expect(await client.listTags(image)).toEqual(['1'])
    expect(mirror.requests).toEqual([])
  })

  it('a mirror that is not declared insecure has to speak HTTPS, whatever another entry says', async () => {
    const mirror = await start('')
    const lookup: RegistryClientOptions['lookup'] = (_, { all: every }, callback) =>
      every === true ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4)
    const named = `mirror.example:${mirror.host.split(':')[1]}`
    const strict = { location: named, pull: 'all', trust: 'verified' } as const
    const origin = await start('')
    const client = clientWith({ mirrors: [strict], location: origin.host }, { lookup })
    await client.resolve(image)
    expect(mirror.requests).toEqual([])
    const lenient = clientWith({ mirrors: [strict, all(named)], location: origin.host }, { lookup })
    await lenient.resolve(image)
    expect(mirror.requests).toHaveLength(1)
  })

  it('configuration that cannot be read fails every call with its own error', async () => {
    const broken = new Error('cannot read')
    const client = createRegistryClient({ hosts: () => Promise.reject(broken) })
    cleanups.push(() => client.close())
    await expect(client.resolve(image)).rejects.toBe(broken)
    await expect(client.listRepositories('a.io')).rejects.toBe(broken)
  })
})

it('a mirror that refuses is passed over', async () => {
  const [mirror, origin] = [await start(''), await start('')]
  mirror.fault({ times: 9, act: ({ response }) => replyError(response, 403, 'DENIED') })
  const client = clientWith({ mirrors: [all(mirror.host)], location: origin.host })
  expect((await client.resolve(image)).bytes.equals(manifest)).toBe(true)
})
