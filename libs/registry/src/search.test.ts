import { createTransport, sleepFor } from '@tsbuild/http'
import { afterEach, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { createConnection } from './connection.ts'
import { searchIndex } from './search.ts'
import { reply, startFakeRegistry } from './testing/index.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function start() {
  const registry = await startFakeRegistry()
  cleanups.push(registry.stop)
  return registry
}

function connect() {
  const transport = createTransport({})
  cleanups.push(() => transport.close())
  return createConnection({
    transport,
    credentials: async () => undefined,
    trustedRealms: [],
    insecureHosts: [],
    trust: 'verified',
    basePath: '',
    userAgent: 'test',
    retry: { settings: { attempts: 1 }, random: () => 0, sleep: sleepFor },
    now: () => 0,
    onThrottled: () => undefined,
  })
}

it("searchIndex() reads the Hub's answer", async () => {
  const registry = await start()
  const results = [
    { name: 'debian', description: 'Debian \u001b[31m', star_count: 5000, is_official: true },
    { name: 'me/debian', description: '', star_count: 'many' },
    { name: 'third' },
  ]
  registry.fault({ path: /v1/, act: ({ response }) => reply(response, 200, {}, JSON.stringify({ results })) })
  expect(await searchIndex(connect(), registry.host, 'de bian&x=1', { limit: 2 })).toEqual([
    { name: 'debian', description: 'Debian \u001b[31m', stars: 5000, official: true },
    { name: 'me/debian', description: undefined, stars: undefined, official: false },
  ])
  expect(registry.requests[0]?.path).toBe('/v1/search?q=de+bian%26x%3D1&n=2')
})

it.each(['', '{}', '[]', '{"results":{}}', '{"results":[{}]}', '{"results":[null]}'])(
  'searchIndex() refuses %j',
  async (body) => {
    const registry = await start()
    registry.fault({ path: /v1/, act: ({ response }) => reply(response, 200, {}, body) })
    await expect(searchIndex(connect(), registry.host, 'x', { limit: 500 })).rejects.toMatchObject({
      code: 'ERR_REGISTRY_RESPONSE',
    })
    expect(registry.requests[0]?.path).toContain('n=100')
  },
)

it('search() filters the catalogue of other registries', async () => {
  const registry = await start()
  const manifest = { bytes: Buffer.from('{}'), mediaType: 'x' }
  for (const name of ['team/web', 'team/api', 'web', 'webs']) registry.manifests.set(`${name}:1`, manifest)
  const client = createRegistryClient()
  cleanups.push(() => client.close())
  const names = async (term: string, limit?: number) =>
    (await client.search(registry.host, term, { limit })).map(({ name }) => name)
  expect(await names('WEB')).toEqual(['team/web', 'web', 'webs'])
  expect(await names('web', 1)).toEqual(['team/web'])
  expect(await names('')).toHaveLength(4)
})
