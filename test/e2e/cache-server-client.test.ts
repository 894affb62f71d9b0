import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import type { Vertex } from '@tsbuild/graph'
import { type Route, sendJson } from '@tsbuild/http-server'
import {
  cacheOpeners,
  createServerAnswers,
  type ExportedStep,
  type ExportTools,
  type OpenTools,
  type ServerPlace,
} from '@tsbuild/remote-cache'

import { type CachedLayerRef, type LayerRef, parseCachedLayer } from '@tsbuild/snapshot'
import {
  type CacheRecord,
  definitionKey,
  layerKey,
  type PlannedStep,
  type RecordedInput,
} from '@tsbuild/solver'
import { formatPublicKey, type Grant, nobody, parseScope, type Scope, signingKeyOf } from '@tsbuild/trust'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import {
  type InProcessOptions,
  type InProcessServer,
  startInProcessServer,
} from '../support/cache-server-in-process.ts'

const folders: string[] = []
const servers: InProcessServer[] = []
let folder = ''

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-cache-client-'))
  folders.push(folder)
})
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close()
  for (const each of folders.splice(0)) rmSync(each, { recursive: true })
})

const start = async (options?: InProcessOptions) => {
  const server = await startInProcessServer(options)
  servers.push(server)
  return server
}

const signal = new AbortController().signal
const base: RecordedInput = { kind: 'source', key: { image: 'debian' } }

/** A chain of steps, each upon the one before: as it is planned, and as it comes out. */
function chainOf(names: readonly string[], made: (name: string) => string = (name) => name) {
  const planned: PlannedStep[] = []
  const exported: ExportedStep[] = []
  const layers: LayerRef[] = []
  let below: RecordedInput = base
  for (const name of names) {
    const vertex = vertexOf(name)
    const before = planned.at(-1)
    const inputs = before === undefined ? [base] : [{ kind: 'step' as const, vertex: before.vertex.digest }]
    planned.push({ vertex, kind: 'step', op: { run: name }, inputs, inputNames: ['below'] })
    const key = definitionKey({ run: name }, [below])
    const outputKey = layerKey([below], digestBytes(made(name)))
    const layer: LayerRef = { kind: 'snapshot', id: made(name) as never, createdAt: 1 }
    layers.push(layer)
    const record: CacheRecord = {
      ...{ outputKey, name: `[1/2] RUN ${name}`, op: { run: name }, inputs: [below], inputNames: ['below'] },
      ...{ stored: { snapshot: made(name) }, createdAt: 1_750_000_000_000, durationMs: 5 },
    }
    const step = { vertex: vertex.digest, keys: [key], record, layers: [...layers], inImage: true }
    exported.push({ ...step, form: undefined })
    below = { kind: 'result', key: outputKey }
  }
  return { planned, exported }
}

function vertexOf(name: string): Vertex {
  const digest = digestBytes(`vertex ${name}`)
  return { digest, op: { kind: 'local', name }, inputs: [], name, source: null, ignoreCache: false }
}

const bytesOf = (layer: LayerRef) =>
  Buffer.from(layer.kind === 'snapshot' ? `the layer of ${layer.id}` : 'none')

/** An agent: what it says, and its caches on a server. */
function agentOf(place: ServerPlace, more: Partial<OpenTools> = {}) {
  const warnings: string[] = []
  const lines: string[] = []
  const tools: OpenTools = {
    store: undefined as never,
    registry: () => {
      throw new Error('the registry of the build is not asked')
    },
    now: () => 1_750_000_000_000,
    builder: 'tsbuild/test',
    warn: (message) => warnings.push(message),
    tell: (line) => lines.push(line),
    ...more,
  }
  const using: ExportTools = {
    signal,
    status: (line) => lines.push(line),
    blobOf: async (layer) => {
      const bytes = bytesOf(layer)
      const digest = digestBytes(bytes)
      const mediaType = 'application/vnd.oci.image.layer.v1.tar'
      const blob = { mediaType, digest, size: bytes.length, diffId: parseDiffId(digest), form: undefined }
      return { layer: blob, open: (offset) => Readable.from([bytes.subarray(offset)]), places: [] }
    },
  }
  const source = { type: 'server', ...place } as const
  return {
    ...{ warnings, lines },
    importer: () => cacheOpeners.importer(source, tools),
    async find(
      planned: readonly PlannedStep[],
      known: (key: Digest) => CacheRecord | undefined = () => undefined,
    ) {
      const importer = await cacheOpeners.importer(source, tools)
      try {
        return await importer.plan(planned, known, signal)
      } finally {
        await importer.close()
      }
    },
    async export(steps: readonly ExportedStep[], meanwhile: () => Promise<void> = async () => {}) {
      const exporter = await cacheOpeners.exporter(source, tools, using)
      for (const step of steps) exporter.add(step)
      await meanwhile()
      return await exporter.finish({ graph: { vertices: [], targets: [] }, steps })
    },
  }
}

const namesOf = (found: readonly { readonly record: CacheRecord }[]) => found.map(({ record }) => record.name)
const shown = (names: readonly string[]) => names.map((name) => `[1/2] RUN ${name}`)
const names = ['a', 'b', 'c', 'd', 'e']

describe('a cache-server, as builds use it', () => {
  it('a second agent with everything cached asks two requests, and its export none', async () => {
    const server = await start()
    const { planned, exported } = chainOf(names)
    const summary = await agentOf({ url: server.url }).export(exported)
    expect(summary).toMatchObject({ records: 5, sentBlobs: 5, skippedBlobs: 0 })
    const sent = server.requests()
    expect(sent.filter((request) => request.includes('/v1/')).toSorted()).toEqual([
      'GET /v1/capabilities 200',
      'POST /v1/missing 200',
      'POST /v1/records 200',
    ])
    // What /v1/missing said is not asked again for each blob.
    expect(sent.filter((request) => request.startsWith('HEAD'))).toEqual([])
    const agent = agentOf({ url: server.url })
    const found = await agent.find(planned)
    expect(namesOf(found)).toEqual(shown(names))
    expect(found.map(({ record }) => record.outputKey)).toEqual(
      exported.map(({ record }) => record.outputKey),
    )
    expect(server.requests().toSorted()).toEqual(['GET /v1/capabilities 200', 'POST /v1/plan 200'])
    const there = exported.map((step) => ({ ...step, isThere: true }))
    expect(await agent.export(there)).toMatchObject({ records: 0, sentBlobs: 0 })
    expect(server.requests()).toEqual([])
  })

  it('a build that reads and fills one server asks what it is once for each token', async () => {
    const server = await start({ grants })
    const { planned, exported } = chainOf(names)
    const servers = createServerAnswers()
    const capabilities = () => server.requests().filter((request) => request.includes('/v1/capabilities'))
    const agent = agentOf(placeOf(server, 'main-token'), { servers })
    expect(await agent.find(planned)).toEqual([])
    expect(await agent.export(exported)).toMatchObject({ records: 5 })
    expect(capabilities()).toEqual(['GET /v1/capabilities 200'])
    const ofRequest = agentOf(placeOf(server, 'pr-token'), { servers })
    expect(namesOf(await ofRequest.find(planned))).toEqual(shown(names))
    expect(capabilities()).toEqual(['GET /v1/capabilities 200'])
    const stranger = agentOf(placeOf(server, 'no-token'), { servers })
    for (const _ of ['first', 'second'])
      await expect(stranger.find(planned)).rejects.toMatchObject({ code: 'ERR_CACHE_SERVER' })
    expect(capabilities()).toEqual(['GET /v1/capabilities 401', 'GET /v1/capabilities 401'])
  })

  it('what another agent sent is not sent again', async () => {
    const server = await start()
    const { exported } = chainOf(names)
    await agentOf({ url: server.url }).export(exported)
    server.requests()
    const again = await agentOf({ url: server.url }).export(exported)
    expect(again).toEqual({ records: 5, sentBlobs: 0, sentBytes: 0, skippedBlobs: 5 })
    expect(server.requests()).toEqual([
      'GET /v1/capabilities 200',
      'POST /v1/missing 200',
      'POST /v1/records 200',
    ])
  })

  it('a chain goes on over what is known here, and asks for nothing that is', async () => {
    const server = await start()
    const { planned, exported } = chainOf(names)
    await agentOf({ url: server.url }).export(exported.filter((_, index) => index !== 2))
    const at = (index: number) => exported[index]?.record as CacheRecord
    const keyAt = (index: number) => exported[index]?.keys[0] as Digest
    const agent = agentOf({ url: server.url })
    expect(namesOf(await agent.find(planned))).toEqual(shown(['a', 'b']))
    server.requests()
    const known = new Map([
      [keyAt(0), at(0)],
      [keyAt(2), at(2)],
    ])
    expect(namesOf(await agent.find(planned, (key) => known.get(key)))).toEqual(shown(['b', 'd', 'e']))
    // The third step is known upon what the first request found.
    expect(server.requests().filter((request) => request.includes('plan'))).toHaveLength(2)
    const all = new Map(exported.map(({ record }, index) => [keyAt(index), record]))
    expect(await agent.find(planned, (key) => all.get(key))).toEqual([])
    expect(server.requests()).toEqual([])
  })

  it('keys that come to be known later are looked up, and blobs read from any offset', async () => {
    const server = await start()
    const { exported } = chainOf(names)
    await agentOf({ url: server.url }).export(exported)
    const importer = await agentOf({ url: server.url }).importer()
    const step = exported[1] as ExportedStep
    const { op, inputs } = step.record
    const wanted = { op, inputs, inputNames: ['below'], vertex: vertexOf('b') }
    const nowhere = digestBytes('nowhere')
    const found = await importer.find(
      [
        { ...wanted, key: nowhere },
        { ...wanted, key: step.keys[0] as Digest },
      ],
      signal,
    )
    expect(namesOf(found)).toEqual(shown(['b']))
    const stored = found[0]?.record.stored as { cached: never }
    const layer = parseCachedLayer(stored.cached) as CachedLayerRef
    expect(layer.places).toEqual([server.url, `${server.url.slice(7)}/cache/local__ref/main`])
    const blob = layer.blobs[0] as CachedLayerRef['blobs'][number]
    const read = async (offset: number) => {
      const body = await importer.openBlob(layer, blob, offset, signal)
      return body && (await buffer(body)).toString()
    }
    expect(await read(0)).toBe('the layer of b')
    expect(await read(4)).toBe('layer of b')
    for await (const { key } of server.store.list(''))
      if (key.includes(blob.digest.slice(7))) await server.store.delete(key)
    expect(await read(0)).toBeUndefined()
    await importer.close()
  })

  it('blobs that are gone by the time of their records are sent again', async () => {
    const server = await start()
    const { planned, exported } = chainOf(['a', 'b'])
    await agentOf({ url: server.url }).export(exported)
    const gone = digestBytes(bytesOf(exported[0]?.layers[0] as LayerRef)).slice(7)
    const agent = agentOf({ url: server.url })
    const records = server.records
    const put = records.put.bind(records)
    records.put = async (requests) => {
      records.put = put
      for await (const { key } of server.store.list(''))
        if (key.includes(gone)) await server.store.delete(key)
      return await put(requests)
    }
    expect(await agent.export(exported)).toMatchObject({ records: 2, sentBlobs: 1, skippedBlobs: 2 })
    expect(namesOf(await agent.find(planned))).toEqual(shown(['a', 'b']))
  })

  it('another result of the same inputs is one warning with the name of the step, and changes nothing', async () => {
    const server = await start()
    const { planned, exported } = chainOf(['a'])
    await agentOf({ url: server.url }).export(exported)
    const agent = agentOf({ url: server.url })
    const other = chainOf(['a'], () => 'what the weather is')
    expect(await agent.export(other.exported)).toMatchObject({ records: 0 })
    expect(agent.warnings).toEqual([expect.stringContaining('"[1/2] RUN a" gave another result')])
    const [found] = await agent.find(planned)
    expect(found?.record.outputKey).toBe(exported[0]?.record.outputKey)
  })

  it('a server with as many records as it may have is full, and gives what it has', async () => {
    const server = await start({ recordLimits: { all: 1, perScope: 1 } })
    const [first, second] = [chainOf(['a']), chainOf(['b'])]
    expect(await agentOf({ url: server.url }).export(first.exported)).toMatchObject({ records: 1 })
    const agent = agentOf({ url: server.url })
    await expect(agent.export(second.exported)).rejects.toMatchObject({
      code: 'ERR_CACHE_SERVER',
      message: expect.stringContaining('it is full: the server has 1 records'),
    })
    expect(namesOf(await agent.find(first.planned))).toEqual(shown(['a']))
  })

  it('works below a base path', async () => {
    const server = await start({ base: '/ci/cache' })
    const { planned, exported } = chainOf(names)
    await agentOf({ url: `${server.url}/` }).export(exported)
    expect(namesOf(await agentOf({ url: server.url }).find(planned))).toEqual(shown(names))
    expect(server.requests().every((request) => / \/ci\/cache\/v[12]\//.test(request))).toBe(true)
  })
})

const main = parseScope('acme/app:ref/main')
const pr = parseScope('acme/app:pr/7')
const grantOf = (id: string, read: readonly Scope[], write: Scope): Grant => ({
  ...nobody,
  ...{ authenticated: true, subject: `token:${id}`, id, read, write, operations: ['pull', 'push'] },
})
const grants = { 'main-token': grantOf('main', [main], main), 'pr-token': grantOf('pr', [pr, main], pr) }
const placeOf = (server: InProcessServer, token: string): ServerPlace => ({
  url: server.url,
  token: async () => token,
})

describe('trust', () => {
  it('a pull request finds what main has, and what it writes itself main does not find', async () => {
    const server = await start({ grants })
    const { planned, exported } = chainOf(names)
    await agentOf(placeOf(server, 'main-token')).export(exported.slice(0, 3))
    const agent = agentOf(placeOf(server, 'pr-token'))
    expect(namesOf(await agent.find(planned))).toEqual(shown(names.slice(0, 3)))
    await agent.export(exported.slice(3))
    expect(namesOf(await agent.find(planned))).toEqual(shown(names))
    expect(namesOf(await agentOf(placeOf(server, 'main-token')).find(planned))).toEqual(
      shown(names.slice(0, 3)),
    )
  })

  it('a file of keys that does not have the key of the server finds nothing, and says so once', async () => {
    const server = await start()
    const { planned, exported } = chainOf(names)
    await agentOf({ url: server.url }).export(exported)
    const file = join(folder, 'keys')
    const agent = agentOf({ url: server.url, policy: { file } })
    writeFileSync(file, `** ${formatPublicKey(signingKeyOf(Buffer.alloc(32, 7)))}\n`)
    expect(await agent.find(planned)).toEqual([])
    expect(agent.warnings).toEqual([expect.stringContaining('not signed for their scope')])
    writeFileSync(file, `local:ref/* ${formatPublicKey(signingKeyOf(Buffer.alloc(32, 1)))}\n`)
    expect(namesOf(await agent.find(planned))).toEqual(shown(names))
    rmSync(file)
    await expect(agent.find(planned)).rejects.toMatchObject({ code: 'ERR_CACHE_KEYS_FILE' })
  })

  it('the key of the first contact is remembered, and another one later is refused', async () => {
    const file = join(folder, 'config', 'known.json')
    const tools = { knownServers: file }
    const server = await start()
    const { planned, exported } = chainOf(names)
    const agent = agentOf({ url: server.url }, tools)
    await agent.export(exported)
    expect(agent.lines.filter((line) => line.includes('is trusted from now on'))).toHaveLength(1)
    const remembered = readFileSync(file, 'utf8')
    expect(JSON.parse(remembered)).toMatchObject({
      v: 1,
      servers: { [server.url]: { since: expect.any(Number) } },
    })
    expect(namesOf(await agent.find(planned))).toEqual(shown(names))
    expect(agent.lines.filter((line) => line.includes('is trusted from now on'))).toHaveLength(1)
    const [port] = /\d+$/.exec(server.url) ?? []
    const other = formatPublicKey(signingKeyOf(Buffer.alloc(32, 9)))
    writeFileSync(
      file,
      JSON.stringify({ v: 1, servers: { [`http://127.0.0.1:${port}`]: { keys: [other], since: 1 } } }),
    )
    await expect(agent.find(planned)).rejects.toMatchObject({ code: 'ERR_CACHE_SERVER_KEY' })
    writeFileSync(file, '{"v":2}')
    await expect(agent.find(planned)).rejects.toMatchObject({ code: 'ERR_CACHE_KEYS_FILE' })
    expect(existsSync(file)).toBe(true)
  })

  it('a token that ended is asked for once more, and is in no message', async () => {
    const server = await start({ grants })
    const { planned } = chainOf(names)
    const tokens = ['an-ended-token', 'main-token']
    const agent = agentOf({ url: server.url, token: async () => tokens.shift() ?? 'main-token' })
    expect(await agent.find(planned)).toEqual([])
    const error = await agentOf(placeOf(server, 'secret-token'))
      .find(planned)
      .catch((why: unknown) => why)
    expect(error).toMatchObject({ code: 'ERR_CACHE_SERVER', message: expect.stringContaining('401') })
    expect(JSON.stringify(error)).not.toContain('secret-token')
  })

  it.each(['github', 'gitlab'] as const)(
    'a CI job of %s exchanges what it has for a token',
    async (provider) => {
      const asked: unknown[] = []
      const target = () => ({ kind: 'server' }) as const
      const routes: readonly Route[] = [
        {
          ...{ method: 'GET', path: '/id', needs: 'public', target },
          handle: async ({ request, query, response }) => {
            asked.push([request.headers.authorization, query.get('audience'), query.get('api-version')])
            sendJson(response, 200, { value: 'an-identity' })
          },
        },
        {
          ...{ method: 'POST', path: '/v1/auth/exchange', needs: 'public', target },
          handle: async (exchange) => {
            asked.push(JSON.parse((await exchange.readBody(1000)).toString()))
            sendJson(exchange.response, 200, {
              token: 'pr-token',
              expiresAt: 1,
              subject: 'x',
              read: [],
              write: null,
              operations: [],
            })
          },
        },
      ]
      const server = await start({ grants, routes })
      const { planned, exported } = chainOf(['a'])
      await agentOf(placeOf(server, 'main-token')).export(exported)
      const identity =
        provider === 'gitlab'
          ? ({ provider, idToken: 'an-identity' } as const)
          : ({ provider, requestUrl: `${server.url}/id?api-version=2`, requestToken: 'of-the-job' } as const)
      expect(namesOf(await agentOf({ url: server.url, identity }).find(planned))).toEqual(shown(['a']))
      const github = provider === 'github' ? [['Bearer of-the-job', server.url, '2']] : []
      expect(asked).toEqual([...github, { token: 'an-identity' }])
    },
  )
})

describe('a cache-server of which nothing is wanted, by a build that fails without it', () => {
  const nothing = async (place: ServerPlace) => {
    const agent = agentOf(place, { required: true })
    return await Promise.allSettled([agent.find([]), agent.export([])])
  }
  const failed = { status: 'rejected', reason: expect.objectContaining({ code: 'ERR_CACHE_SERVER' }) }

  it('is asked once for each direction whether it knows the token, and by another build not at all', async () => {
    const server = await start({ grants })
    const outcomes = await nothing(placeOf(server, 'main-token'))
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled'])
    expect(server.requests()).toEqual(['GET /v1/capabilities 200', 'GET /v1/capabilities 200'])
    await agentOf(placeOf(server, 'no-token')).find([])
    expect(server.requests()).toEqual([])
  })

  it('is an error where it refuses the token, and where it is not there', async () => {
    const server = await start({ grants })
    expect(await nothing(placeOf(server, 'no-token'))).toEqual([failed, failed])
    expect(await nothing({ url: `${server.url}/elsewhere` })).toEqual([failed, failed])
  })
})

describe('what is no cache-server', () => {
  it.each(['ftp://host', 'http://user:secret@host', 'nonsense', 'http://host?x=1'])(
    '%s is no URL of one',
    async (url) => {
      await expect(agentOf({ url }).find(chainOf(['a']).planned)).rejects.toMatchObject({
        code: 'ERR_CACHE_SERVER_URL',
      })
    },
  )

  it('nobody there, and something else there, are errors that say so', async () => {
    const { planned } = chainOf(['a'])
    const server = await start()
    await expect(agentOf({ url: `${server.url}/elsewhere` }).find(planned)).rejects.toMatchObject({
      code: 'ERR_CACHE_SERVER',
      message: expect.stringContaining('it answers 404'),
    })
    await server.close()
    servers.length = 0
    await expect(agentOf({ url: server.url }).find(planned)).rejects.toMatchObject({
      code: 'ERR_CACHE_SERVER',
      message: expect.stringContaining('it cannot be reached'),
    })
  })
})
