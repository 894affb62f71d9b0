import { digestBytes } from '@tsbuild/digest'
import { mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { nextLink } from './pages.ts'
import { type FakeRegistry, type FakeRegistryOptions, reply, startFakeRegistry } from './testing/index.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const bytes = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: mediaTypes.ociConfig, digest: digestBytes('c'), size: 1 },
  layers: [],
  annotations: {},
})

async function start(names: readonly string[], options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const registry = await startFakeRegistry(options)
  for (const name of names) registry.manifests.set(name, { bytes, mediaType: mediaTypes.ociManifest })
  cleanups.push(registry.stop)
  return registry
}

function newClient() {
  const client = createRegistryClient({ sleep: async () => undefined })
  cleanups.push(() => client.close())
  return client
}

describe('listTags() and listRepositories()', () => {
  it('read all pages in order', async () => {
    const names = Array.from({ length: 7 }, (_, index) => `app:1.${index}`)
    const registry = await start([...names, 'team/other:x'], { lists: { pageSize: 3 } })
    const client = newClient()
    expect(await client.listTags(parseReference(`${registry.host}/app`))).toEqual(
      names.map((name) => name.slice(4)),
    )
    expect(registry.requests.map(({ path }) => path)).toEqual([
      '/v2/app/tags/list?n=1000',
      '/v2/app/tags/list?last=1.2&n=3',
      '/v2/app/tags/list?last=1.5&n=3',
    ])
    expect(await client.listRepositories(registry.host)).toEqual(['app', 'team/other'])
  })

  it('leave out names that no reference could have', async () => {
    const registry = await start([])
    const tags = ['1.0', '-x', '', 'a b', '\u001b[2J', '../x', 'ok']
    registry.fault({
      path: /tags/,
      act: ({ response }) => reply(response, 200, {}, JSON.stringify({ tags })),
    })
    expect(await newClient().listTags(parseReference(`${registry.host}/app`))).toEqual(['1.0', 'ok'])
  })

  it.each(['{"name":"app"}', '{"tags":null}', '{"tags":[]}'])('take %s for an empty list', async (body) => {
    const registry = await start([])
    registry.fault({ path: /tags/, act: ({ response }) => reply(response, 200, {}, body) })
    expect(await newClient().listTags(parseReference(`${registry.host}/app`))).toEqual([])
  })

  it.each(['<html>', '[]x', '{"tags":"a"}', '{"tags":[1]}', '"tags"', '{"tags":{"length":1}}'])(
    'refuse %s',
    async (body) => {
      const registry = await start([])
      registry.fault({ path: /tags/, act: ({ response }) => reply(response, 200, {}, body) })
      await expect(newClient().listTags(parseReference(`${registry.host}/app`))).rejects.toMatchObject({
        code: 'ERR_REGISTRY_RESPONSE',
      })
    },
  )

  it('take a page of more names than a call has arguments', async () => {
    const registry = await start([])
    const tags = Array.from({ length: 200_000 }, () => 't')
    registry.fault({
      path: /tags/,
      act: ({ response }) => reply(response, 200, {}, JSON.stringify({ name: 'app', tags })),
    })
    expect(await newClient().listTags(parseReference(`${registry.host}/app`))).toHaveLength(200_000)
  })

  it('refuse what is announced to be too long before they read it, and say whose answer it was', async () => {
    const registry = await start([])
    registry.fault({
      path: /tags/,
      act: ({ response }) => {
        response.writeHead(200, { 'content-length': String(2 ** 43) })
        response.write('{')
      },
    })
    await expect(newClient().listTags(parseReference(`${registry.host}/app`))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_RESPONSE',
      message: `Cannot list the tags of ${registry.host}/app: ${registry.host} answers with more than 16777216 bytes`,
    })
  })

  it('say what the registry does not have', async () => {
    const registry = await start(['app:1'])
    await expect(newClient().listTags(parseReference(`${registry.host}/missing`))).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      message: expect.stringContaining(`${registry.host}/missing`),
    })
    for (const status of [404, 405, 501]) {
      registry.fault({ path: /_catalog/, act: ({ response }) => reply(response, status) })
      await expect(newClient().listRepositories(registry.host)).rejects.toMatchObject({
        code: 'ERR_UNSUPPORTED',
        message: expect.stringContaining('no catalogue'),
      })
    }
  })
})

/** The lists that come in pages, by how they are asked for. */
const lists = [
  ['tags', /tags/, (host: string) => newClient().listTags(parseReference(`${host}/app`))],
  ['repositories', /_catalog/, (host: string) => newClient().listRepositories(host)],
  [
    'referrers',
    /referrers/,
    (host: string) => newClient().referrers(parseReference(`${host}/app@${digestBytes('subject')}`)),
  ],
] as const

const page = JSON.stringify({ tags: ['a'], repositories: ['a'], schemaVersion: 2, manifests: [] })

describe('pages lead to the registry itself only', () => {
  it.each(lists)('REG-06: a page of %s on another host or port is not asked for', async (_, path, list) => {
    const thief = await start(['app:secret'])
    const registry = await start([])
    const other = `http://${thief.host}/v2/app/tags/list`
    for (const link of [other, other.replace('127.0.0.1', 'localhost'), `//${thief.host}/x`]) {
      const headers = { 'content-type': mediaTypes.ociIndex, link: `<${link}>; rel="next"` }
      registry.fault({ path, act: ({ response }) => reply(response, 200, headers, page) })
      await expect(list(registry.host)).rejects.toMatchObject({
        code: 'ERR_REGISTRY_RESPONSE',
        message: expect.stringContaining('a next page on'),
      })
    }
    expect(thief.requests).toEqual([])
  })

  it.each(lists)('a page of %s that leads back ends the list', async (_, path, list) => {
    const registry = await start([])
    const headers = {
      'content-type': mediaTypes.ociIndex,
      link: '</v2/again/_catalog/tags/referrers>; rel=next',
    }
    registry.fault({ path, times: 9, act: ({ response }) => reply(response, 200, headers, page) })
    await expect(list(registry.host)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_RESPONSE',
      message: expect.stringContaining('read before'),
    })
    expect(registry.requests).toHaveLength(2)
  })

  it.each([
    [undefined, undefined],
    ['</a>; rel="next"', '/a'],
    ['</a>;rel=next', '/a'],
    ['</a>; rel="prev", </b>; rel="next"', '/b'],
    ['</a>; title="x"; rel="last next"', '/a'],
    ['</a?x=1,2>; rel="next"', '/a?x=1,2'],
    ['</a>; rel="nextish"', undefined],
    ['</a>', undefined],
    ['rel="next"', undefined],
  ])('nextLink(%j) is %j', (header, link) => {
    expect(nextLink(header)).toBe(link)
  })
})
