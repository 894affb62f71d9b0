import { digestBytes } from '@tsbuild/digest'
import {
  type Descriptor,
  type ImageReference,
  mediaTypes,
  parseIndex,
  parseReference,
  serializeManifest,
} from '@tsbuild/oci'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import {
  type FakeRegistry,
  hasDockerRegistry,
  type RealRegistry,
  reply,
  startDockerRegistry,
  startFakeRegistry,
} from './testing/index.ts'
import type { RegistryClient } from './types.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function start(referrers: boolean): Promise<FakeRegistry> {
  const registry = await startFakeRegistry({ lists: { referrers } })
  cleanups.push(registry.stop)
  return registry
}

function newClient(): RegistryClient {
  const client = createRegistryClient({ sleep: async () => undefined })
  cleanups.push(() => client.close())
  return client
}

const empty = { mediaType: mediaTypes.ociEmpty, digest: digestBytes('{}'), size: 2 }
const image = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: empty,
  layers: [],
  annotations: { made: 'for this test' },
})
const subject: Descriptor = {
  mediaType: mediaTypes.ociManifest,
  digest: digestBytes(image),
  size: image.length,
}
const tag = subject.digest.replace(':', '-')

function about(name: string, artifactType = 'application/x.test'): Buffer {
  return serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: empty,
    layers: [],
    annotations: { name },
    artifactType,
    subject,
  })
}

const put = (client: RegistryClient, host: string, bytes: Buffer) =>
  client.putManifest(parseReference(`${host}/app`), bytes, mediaTypes.ociManifest)

const subjectAt = (host: string): ImageReference => parseReference(`${host}/app@${subject.digest}`)

describe('referrers()', () => {
  it('asks a registry that lists them, and filters what it did not filter', async () => {
    const registry = await start(true)
    const client = newClient()
    const first = await put(client, registry.host, about('one'))
    await put(client, registry.host, about('two', 'application/x.other'))
    const all = await client.referrers(subjectAt(registry.host))
    expect(all.map(({ artifactType }) => artifactType)).toEqual(['application/x.test', 'application/x.other'])
    const some = await client.referrers(subjectAt(registry.host), { artifactType: 'application/x.test' })
    expect(some.map(({ digest }) => digest)).toEqual([first.digest])
    expect(registry.requests.at(-1)?.path).toBe(
      `/v2/app/referrers/${subject.digest}?artifactType=application%2Fx.test`,
    )
    expect(registry.manifests.has(`app:${tag}`)).toBe(false)
  })

  it('reads the tag of a registry that does not list them', async () => {
    const registry = await start(false)
    const client = newClient()
    expect(await client.referrers(subjectAt(registry.host))).toEqual([])
    const pushed = await put(client, registry.host, about('one'))
    expect(await client.referrers(subjectAt(registry.host))).toEqual([
      { ...pushed, artifactType: 'application/x.test', annotations: { name: 'one' } },
    ])
    expect(await client.referrers(subjectAt(registry.host), { artifactType: 'x' })).toEqual([])
  })

  it.each([
    ['a page for people', { 'content-type': 'text/html' }, 200, '<html>'],
    ['status 405', {}, 405, ''],
    ['status 400', {}, 400, ''],
  ])('takes %s for a registry that does not list them', async (_, headers, status, body) => {
    const registry = await start(false)
    const client = newClient()
    await put(client, registry.host, about('one'))
    registry.fault({ path: /referrers/, act: ({ response }) => reply(response, status, headers, body) })
    expect(await client.referrers(subjectAt(registry.host))).toHaveLength(1)
  })

  it('does not take a refusal for an empty list', async () => {
    const registry = await start(false)
    registry.fault({ path: /referrers/, act: ({ response }) => reply(response, 403) })
    await expect(newClient().referrers(subjectAt(registry.host))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
    })
  })
})

describe('putManifest() of a manifest with a subject', () => {
  it('keeps every entry of the tag when many are put at once', async () => {
    const registry = await start(false)
    const client = newClient()
    const names = ['a', 'b', 'c', 'd', 'e']
    await Promise.all(names.map((name) => put(client, registry.host, about(name))))
    await put(client, registry.host, about('a'))
    const listed = await client.referrers(subjectAt(registry.host))
    expect(listed.map(({ annotations }) => annotations?.name).sort()).toEqual(names)
  })

  it('is written again when another client overwrote the list', async () => {
    const registry = await start(false)
    const [client, other] = [newClient(), newClient()]
    await put(other, registry.host, about('theirs'))
    const theirs = registry.manifests.get(`app:${tag}`)
    registry.fault({
      method: 'PUT',
      path: /sha256-/,
      act: async ({ next }) => {
        await next()
        if (theirs !== undefined) registry.manifests.set(`app:${tag}`, theirs)
      },
    })
    await put(client, registry.host, about('ours'))
    const listed = await client.referrers(subjectAt(registry.host))
    expect(listed.map(({ annotations }) => annotations?.name)).toEqual(['theirs', 'ours'])
  })

  it('does not overwrite a tag that is no list', async () => {
    const registry = await start(false)
    registry.manifests.set(`app:${tag}`, { bytes: image, mediaType: mediaTypes.ociManifest })
    await expect(put(newClient(), registry.host, about('one'))).rejects.toMatchObject({
      code: 'ERR_MANIFEST_INVALID',
    })
    expect(registry.manifests.get(`app:${tag}`)?.bytes.equals(image)).toBe(true)
  })

  it('an image without a subject costs one request', async () => {
    const registry = await start(false)
    await put(newClient(), registry.host, image)
    expect(registry.requests.map(({ method }) => method)).toEqual(['PUT'])
  })
})

describe('deleteManifest()', () => {
  it('takes a manifest out of the list of referrers', async () => {
    const registry = await start(false)
    const client = newClient()
    const [one, two] = [
      await put(client, registry.host, about('1')),
      await put(client, registry.host, about('2')),
    ]
    await client.deleteManifest({ ...subjectAt(registry.host), digest: one.digest })
    expect((await client.referrers(subjectAt(registry.host))).map(({ digest }) => digest)).toEqual([
      two.digest,
    ])
  })

  it('deletes a tag and leaves its manifest', async () => {
    const registry = await start(false)
    const client = newClient()
    const reference = parseReference(`${registry.host}/app:1`)
    const { digest } = await client.putManifest(reference, image, mediaTypes.ociManifest)
    await client.deleteManifest(reference)
    expect([...registry.manifests.keys()]).toEqual([`app@${digest}`])
  })

  it.each([
    [405, 'ERR_UNSUPPORTED', 'does not allow it'],
    [400, 'ERR_UNSUPPORTED', 'does not allow it'],
    [404, 'ERR_IMAGE_NOT_FOUND', 'does not have it'],
    [403, 'ERR_REGISTRY_AUTH', 'status 403'],
  ])('says what status %i means', async (status, code, why) => {
    const registry = await start(false)
    registry.fault({ method: 'DELETE', act: ({ response }) => reply(response, status) })
    await expect(newClient().deleteManifest(parseReference(`${registry.host}/app:1`))).rejects.toMatchObject({
      code,
      message: expect.stringContaining(why),
    })
  })
})

describe.skipIf(!hasDockerRegistry())('with docker-registry, which knows no referrers', () => {
  let registry: RealRegistry
  let client: RegistryClient
  beforeAll(async () => {
    registry = await startDockerRegistry()
    client = createRegistryClient()
    const config = Buffer.from('{}')
    const { Readable } = await import('node:stream')
    const open = (offset: number) => Readable.from([config.subarray(offset)])
    await client.uploadBlob(parseReference(`${registry.host}/app`), empty, open)
    await client.putManifest(parseReference(`${registry.host}/app:1.0`), image, mediaTypes.ociManifest)
  })
  afterAll(async () => {
    await client.close()
    await registry.stop()
  })

  it('referrers(), listTags(), listRepositories() and deleteManifest() agree', async () => {
    const [one, two] = [
      await put(client, registry.host, about('1')),
      await put(client, registry.host, about('2')),
    ]
    expect((await client.referrers(subjectAt(registry.host))).map(({ digest }) => digest)).toEqual([
      one.digest,
      two.digest,
    ])
    expect([...(await client.listTags(parseReference(`${registry.host}/app`)))].sort()).toEqual(['1.0', tag])
    expect(await client.listRepositories(registry.host)).toEqual(['app'])
    for (const { digest } of [one, two]) {
      await client.deleteManifest({ ...subjectAt(registry.host), digest })
    }
    expect(await client.referrers(subjectAt(registry.host))).toEqual([])
    const { bytes } = await client.resolve(parseReference(`${registry.host}/app:${tag}`))
    expect(parseIndex(bytes).manifests).toEqual([])
    // It deletes by digest only.
    await expect(client.deleteManifest(parseReference(`${registry.host}/app:1.0`))).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      hints: [expect.stringContaining('digest')],
    })
  })
})
