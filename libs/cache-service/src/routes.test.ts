import {
  bitmapType,
  type Capabilities,
  decodeBitmap,
  parseCapabilities,
  parseLookupReply,
  parseMissingReply,
  parsePutOutcome,
  parsePutRecordsReply,
  type StepRecord,
} from '@tsbuild/cache-protocol'
import { digestBytes } from '@tsbuild/digest'
import { createHttpServer, type HttpServer } from '@tsbuild/http-server'
import { memoryStore } from '@tsbuild/object-store/testing'
import { decide, type Grant, keyIdOf, nobody, type Scope } from '@tsbuild/trust'
import { afterEach, describe, expect, it, vi } from 'vitest'
import {
  cacheRoutes,
  createMetrics,
  defaultQuota,
  healthRoutes,
  Quota,
  type QuotaLimits,
  type RecordLimits,
} from './index.ts'
import { blobWorld, openService, recordOf, scopes, serverKey } from './testing/index.ts'

const { main, pr, other } = scopes

const grantOf = (id: string, read: readonly Scope[], write: Scope, more: Partial<Grant> = {}): Grant => ({
  ...nobody,
  authenticated: true,
  subject: `token:${id}`,
  read,
  write,
  operations: ['pull', 'push'],
  id,
  ...more,
})
const grants: Readonly<Record<string, Grant>> = {
  main: grantOf('main', [main], main),
  pr: grantOf('pr', [pr, main], pr),
  other: grantOf('other', [other], other),
  reader: grantOf('reader', [main], main, { operations: ['pull'] }),
  admin: grantOf('admin', [main], main, { operations: ['admin'] }),
  small: grantOf('small', [main], main, { maxBytes: 3000 }),
  // As the exchange gives them to one job, time after time.
  first: grantOf('first', [main], main, { maxBytes: 3000, account: 'run/17', expiresAt: 1_750_003_600 }),
  again: grantOf('again', [main], main, { maxBytes: 3000, account: 'run/17', expiresAt: 1_750_007_200 }),
  job: grantOf('job', [main], main, { account: 'run/18' }),
  rerun: grantOf('rerun', [main], main, { account: 'run/18' }),
  // A token by itself, whose id is what that account is called.
  namesake: grantOf('run/17', [main], main, { maxBytes: 3000 }),
}

const servers: HttpServer[] = []
afterEach(async () => {
  for (const server of servers.splice(0)) await server.close(0)
})

/** A server over an empty storage. `ask` sends as the grant of a name. */
async function start(
  limits: Partial<QuotaLimits> = {},
  probe: () => Promise<void> = async () => {},
  recordLimits?: RecordLimits,
) {
  const blobs = blobWorld()
  const clock = { now: 1_750_000_000_000 }
  const now = () => clock.now
  const service = await openService({ store: memoryStore({ now }), now, hasBlob: blobs.has, recordLimits })
  const quota = new Quota({ ...defaultQuota, ...limits }, now, service.tally)
  const metrics = createMetrics(service)
  const health = { probe, isEnding: () => false, registry: metrics.registry, publicMetrics: false, now }
  const routes = [...cacheRoutes({ service, maxBlobBytes: 1000 }), ...healthRoutes(health)]
  const server = createHttpServer({
    routes: quota.guard(routes),
    authenticate: ({ headers }) => grants[headers.authorization?.slice('Bearer '.length) ?? ''],
    decide: (grant = nobody, needs, target) => decide(grant, needs, target),
    now,
    onRequest: (entry) => {
      quota.onRequest(entry)
      metrics.onRequest(entry)
    },
  })
  servers.push(server)
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  const port = typeof address === 'string' ? 0 : address.port
  const ask = async (method: string, path: string, as?: string, body?: unknown, headers = {}) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, {
      method,
      headers: {
        ...(as === undefined ? {} : { Authorization: `Bearer ${as}` }),
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    return { status: response.status, headers: response.headers, bytes, text: bytes.toString() }
  }
  return { ask, blobs, service, clock }
}

const pathOf = (scope: Scope, name: string) => `/v1/records/${scope}/${digestBytes(`key of ${name}`)}`
const keys = (...names: string[]) => ({ keys: names.map((name) => digestBytes(`key of ${name}`)) })

describe('PUT /v1/records/{scope}/{key}', () => {
  it('has a status for each outcome: 201, 200, 409, 403, 404, 422, 424', async () => {
    const { ask, blobs } = await start()
    const put = (as: string, record: StepRecord, path = pathOf(main, 'a')) => ask('PUT', path, as, record)
    const record = recordOf({ name: 'a' })
    expect((await put('main', record)).status).toBe(424)
    blobs.add(main, 'a', 'b')
    expect((await put('main', record)).status).toBe(201)
    expect((await put('main', record)).status).toBe(200)
    const different = await put('main', recordOf({ name: 'a', made: 'b' }))
    expect(different.status).toBe(409)
    expect(parsePutOutcome(different.text)).toMatchObject({ outcome: 'different' })
    expect((await put('pr', record)).status).toBe(403)
    expect((await put('other', record)).status).toBe(403)
    expect((await put('reader', record)).status).toBe(403)
    expect((await ask('PUT', pathOf(main, 'a'), undefined, record)).status).toBe(401)
    expect((await put('main', recordOf({ name: 'b' }))).status).toBe(422)
    expect((await put('main', record, '/v1/records/no scope/sha256:x')).status).toBe(404)
    const escaped = pathOf(main, 'a').replace('app:ref', 'app%3Aref')
    expect((await put('main', record, escaped)).status).toBe(200)
  })

  it('takes JSON that says to be JSON, and no more of it than a record may have', async () => {
    const { ask } = await start()
    const text = { 'Content-Type': 'text/plain' }
    expect((await ask('PUT', pathOf(main, 'a'), 'main', '{}', text)).status).toBe(415)
    expect((await ask('PUT', pathOf(main, 'a'), 'main', '{}')).status).toBe(400)
    expect((await ask('PUT', pathOf(main, 'a'), 'main', ' '.repeat(100_000))).status).toBe(413)
  })
})

describe('POST /v1/records, /v1/lookup, /v1/missing', () => {
  it('a batch has an outcome for each record, also where the token may not write', async () => {
    const { ask, blobs } = await start()
    blobs.add(main, 'a')
    blobs.add(pr, 'a')
    const records = [
      recordOf({ name: 'a' }),
      recordOf({ name: 'a', scope: pr }),
      recordOf({ name: 'b', scope: pr }),
    ]
    const { status, text } = await ask('POST', '/v1/records', 'pr', { records })
    expect(status).toBe(200)
    const outcomes = parsePutRecordsReply(text, 3)?.outcomes.map(({ outcome }) => outcome)
    expect(outcomes).toEqual(['forbidden', 'stored', 'missing'])
  })

  it('a look-up reads the chain of the token and nothing else', async () => {
    const { ask, blobs } = await start()
    blobs.add(main, 'a')
    blobs.add(pr, 'b')
    await ask('PUT', pathOf(main, 'a'), 'main', recordOf({ name: 'a' }))
    await ask('PUT', pathOf(pr, 'b'), 'pr', recordOf({ name: 'b', scope: pr }))
    const found = async (as: string) => {
      const { text } = await ask('POST', '/v1/lookup', as, keys('a', 'b', 'c'))
      return parseLookupReply(text, 3)?.records.map((record) => record !== null)
    }
    expect(await found('pr')).toEqual([true, true, false])
    expect(await found('main')).toEqual([true, false, false])
    expect(await found('other')).toEqual([false, false, false])
    const { bytes, headers } = await ask('POST', '/v1/lookup', 'pr', keys('a', 'b', 'c'), {
      Accept: bitmapType,
    })
    expect(headers.get('content-type')).toBe(bitmapType)
    expect(decodeBitmap(bytes, 3)).toEqual([true, true, false])
    expect((await ask('POST', '/v1/lookup', 'admin', keys('a'))).status).toBe(403)
    expect((await ask('POST', '/v1/lookup', 'pr', { keys: ['x'] })).status).toBe(400)
    expect((await ask('POST', '/v1/lookup', undefined, keys('a'))).status).toBe(401)
  })

  it('missing tells of the scope that is written alone', async () => {
    const { ask, blobs } = await start()
    blobs.add(main, 'a')
    const digests = [digestBytes('blob b'), digestBytes('blob a'), digestBytes('blob b')]
    const reply = await ask('POST', '/v1/missing', 'main', { scope: main, digests })
    expect(parseMissingReply(reply.text, 3)?.missing).toEqual([0, 2])
    const bitmap = await ask('POST', '/v1/missing', 'main', { scope: main, digests }, { Accept: bitmapType })
    expect(decodeBitmap(bitmap.bytes, 3)).toEqual([true, false, true])
    for (const as of ['pr', 'other', 'reader'])
      expect((await ask('POST', '/v1/missing', as, { scope: main, digests })).status).toBe(403)
  })

  it('a plan is answered in one request', async () => {
    const { ask } = await start()
    const steps = [{ kind: 'step', op: 'a', inputs: [] }]
    const { status, text } = await ask('POST', '/v1/plan', 'main', { steps })
    expect([status, text]).toEqual([200, '{"records":[null]}'])
    expect((await ask('POST', '/v1/plan', 'main', { steps: [{ kind: 'step' }] })).status).toBe(400)
  })
})

describe('GET', () => {
  it('capabilities tell what the token may, and by which key the server signs', async () => {
    const { ask } = await start()
    const { text } = await ask('GET', '/v1/capabilities', 'pr')
    const capabilities = parseCapabilities(text)
    expect(capabilities).toMatchObject({
      subject: 'token:pr',
      read: [pr, main],
      write: pr,
      repositories: { [main]: 'cache/acme/app__ref/main', [pr]: 'cache/acme/app__pr/7' },
      maxBlobBytes: 1000,
    } satisfies Partial<Capabilities>)
    const [key] = capabilities?.keys ?? []
    expect(key?.id).toBe(serverKey.id)
    expect(keyIdOf(Buffer.from(key?.publicKey ?? '', 'base64'))).toBe(serverKey.id)
    expect((await ask('GET', '/v1/capabilities')).status).toBe(401)
  })

  it('stats tell of scopes that the token reads', async () => {
    const { ask, blobs } = await start()
    blobs.add(main, 'a')
    await ask('PUT', pathOf(main, 'a'), 'main', recordOf({ name: 'a' }))
    await ask('POST', '/v1/lookup', 'main', keys('a', 'b'))
    const stats = JSON.parse((await ask('GET', '/v1/stats', 'main')).text)
    expect(stats).toMatchObject({ v: 1, records: 1, hits: 1, misses: 1, scopes: { [main]: { records: 1 } } })
    expect(JSON.parse((await ask('GET', '/v1/stats', 'other')).text).scopes).toEqual({})
  })

  it('metrics are for admins, and count what happened', async () => {
    const { ask } = await start()
    await ask('POST', '/v1/lookup', 'main', keys('a', 'b'))
    expect((await ask('GET', '/metrics')).status).toBe(401)
    expect((await ask('GET', '/metrics', 'main')).status).toBe(403)
    const { text, headers } = await ask('GET', '/metrics', 'admin')
    expect(headers.get('content-type')).toContain('text/plain')
    expect(text).toContain('cache_server_keys_total{result="miss"} 2')
    expect(text).toMatch(/cache_server_request_seconds_count\{route="POST \/v1\/lookup",status="200"\} 1/)
    expect(text).toContain('process_resident_memory_bytes')
  })

  it('healthz answers everybody; readyz only while the storage does, asked once for many callers', async () => {
    let probes = 0
    let isBroken = true
    const { ask, clock } = await start({}, async () => {
      probes++
      if (isBroken) throw new Error('EIO /secret/path')
    })
    expect((await ask('GET', '/healthz')).status).toBe(200)
    const replies = await Promise.all([1, 2, 3].map(() => ask('GET', '/readyz')))
    expect(replies.map(({ status }) => status)).toEqual([503, 503, 503])
    expect(replies[0]?.text).not.toContain('secret')
    expect(probes).toBe(1)
    isBroken = false
    clock.now += 1000
    expect((await ask('GET', '/readyz')).status).toBe(200)
  })
})

describe('plans of one account', () => {
  it('of which two are gone through and 32 wait are 429 beyond that, and other accounts do not notice', async () => {
    const { ask, service } = await start()
    let go = () => {}
    const held = new Promise<readonly undefined[]>((resolve) => {
      go = () => resolve([])
    })
    const plan = vi
      .spyOn(service, 'plan')
      .mockImplementation(([scope]) => (scope === pr ? Promise.resolve([]) : held))
    const refused: string[] = []
    const asked = Array.from({ length: 40 }, async (_, at) => {
      const reply = await ask('POST', '/v1/plan', at % 2 === 0 ? 'job' : 'rerun', { steps: [] })
      if (reply.status === 429 && refused.push(reply.headers.get('retry-after') ?? '') === 6) done()
      return reply.status
    })
    let done = () => {}
    await new Promise<void>((resolve) => {
      done = resolve
    })
    expect(plan).toHaveBeenCalledTimes(2)
    expect((await ask('POST', '/v1/plan', 'pr', { steps: [] })).status).toBe(200)
    go()
    const statuses = await Promise.all(asked)
    expect(statuses.filter((status) => status === 200)).toHaveLength(34)
    expect(refused).toEqual(Array(6).fill('1'))
  })

  it('may have 8 MiB', async () => {
    const { ask } = await start()
    const steps = [{ kind: 'view', op: 'x'.repeat(8 * 1024 * 1024), inputs: [] }]
    expect((await ask('POST', '/v1/plan', 'main', { steps })).status).toBe(413)
  })
})

describe('a scope with as many records as it may have', () => {
  it('is 507 in PUT and an outcome among many, counted, and goes on answering', async () => {
    const { ask, blobs } = await start({}, undefined, { all: 10, perScope: 1 })
    blobs.add(main, 'a', 'b')
    expect((await ask('PUT', pathOf(main, 'a'), 'main', recordOf({ name: 'a' }))).status).toBe(201)
    const refused = await ask('PUT', pathOf(main, 'b'), 'main', recordOf({ name: 'b' }))
    expect([refused.status, parsePutOutcome(refused.text)]).toEqual([
      507,
      { outcome: 'full', reason: `${main} has 1 records, which is as many as it may` },
    ])
    const records = [recordOf({ name: 'b' }), recordOf({ name: 'a' })]
    const many = await ask('POST', '/v1/records', 'main', { records })
    const { outcomes } = parsePutRecordsReply(many.text, 2) ?? { outcomes: [] }
    expect([many.status, ...outcomes.map(({ outcome }) => outcome)]).toEqual([200, 'full', 'same'])
    const metrics = await ask('GET', '/metrics', 'admin')
    expect(metrics.text).toContain('cache_server_record_puts_total{outcome="full"} 2')
  })
})

describe('quotas', () => {
  it('more requests than a token may make are 429 with the time to wait, and no other token notices', async () => {
    const { ask, clock } = await start({ requestsPerSecond: 2, burst: 3 })
    const statuses: number[] = []
    for (let time = 0; time < 4; time++) statuses.push((await ask('GET', '/v1/stats', 'main')).status)
    expect(statuses).toEqual([200, 200, 200, 429])
    const refused = await ask('GET', '/v1/stats', 'main')
    expect(refused.headers.get('retry-after')).toBe('1')
    expect(refused.text).toContain('TOOMANYREQUESTS')
    expect((await ask('GET', '/v1/stats', 'pr')).status).toBe(200)
    clock.now += 500
    expect((await ask('GET', '/v1/stats', 'main')).status).toBe(200)
    expect((await ask('GET', '/v1/stats', 'main')).status).toBe(429)
  })

  it('bytes that a token may not send are refused before they are read', async () => {
    const { ask, blobs, service } = await start()
    blobs.add(main, 'a', 'b')
    const put = async (name: string) => {
      const { status, headers } = await ask('PUT', pathOf(main, name), 'small', recordOf({ name }))
      return [status, headers.get('retry-after')]
    }
    expect(await put('a')).toEqual([201, null])
    expect(await put('a')).toEqual([200, null])
    expect(await put('b')).toEqual([429, '3600'])
    expect((await ask('GET', '/v1/stats', 'small')).status).toBe(200)
    expect(service.tally.refusedBytes).toBe(1)
  })

  it('tokens of one account are counted together, until the first of them has ended', async () => {
    const { ask, blobs, clock } = await start({ requestsPerSecond: 1, burst: 4 })
    blobs.add(main, 'a')
    const put = async (as: string) =>
      (await ask('PUT', pathOf(main, 'a'), as, recordOf({ name: 'a' }))).status
    expect([await put('first'), await put('again')]).toEqual([201, 200])
    expect([await put('again'), await put('first')]).toEqual([429, 429])
    // The bytes of another account, and this one's requests.
    expect(await put('namesake')).toBe(200)
    expect((await ask('GET', '/v1/stats', 'again')).headers.get('retry-after')).toBe('1')
    clock.now = 1_750_003_599_000
    expect(await put('again')).toBe(429)
    clock.now += 1000
    expect([await put('again'), await put('again'), await put('again')]).toEqual([200, 200, 429])
  })
})
