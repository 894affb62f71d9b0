import { randomBytes } from 'node:crypto'
import { createServer, type Server, type Socket } from 'node:net'
import { networkInterfaces } from 'node:os'
import { Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { digestBytes } from '@tsbuild/digest'
import { type Descriptor, type ImageReference, mediaTypes, parseReference } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { type Answer, type Fault, fault, memorySink, reply, startFakeRegistry } from './testing/index.ts'
import type { RegistryClient, RegistryClientOptions } from './types.ts'

const layer = randomBytes(9 * 1024 * 1024)
const descriptor: Descriptor = {
  mediaType: mediaTypes.ociLayer,
  digest: digestBytes(layer),
  size: layer.length,
}
const get = { method: 'GET', path: /\/blobs\/sha256/ }

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

async function setUp(faults: readonly Fault[], options: RegistryClientOptions = {}, registryOptions = {}) {
  const registry = await startFakeRegistry(registryOptions)
  const client = createRegistryClient({ sleep: async () => undefined, ...options })
  cleanups.push(() => client.close(), registry.stop)
  registry.blobs.set(`app@${descriptor.digest}`, layer)
  registry.fault(...faults)
  const reference = parseReference(`${registry.host}/app:1`)
  const pull = async () => {
    const sink = memorySink()
    await client.downloadBlob(reference, descriptor, sink)
    return sink.bytes().equals(layer)
  }
  const push = (signal?: AbortSignal) =>
    client.uploadBlob({ ...reference, repository: 'other' }, descriptor, open, { signal })
  return { registry, client, reference, pull, push }
}

const open = (offset: number) =>
  Readable.from(
    (function* () {
      for (let at = offset; at < layer.length; at += 65_536) yield layer.subarray(at, at + 65_536)
    })(),
    { objectMode: false },
  )

/** The head of an answer as it goes over the line. */
const headOf = (version: string, { status, headers }: Answer) =>
  [
    `HTTP/${version} ${status} x`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
    '\r\n',
  ].join('\r\n')

describe('a registry that is odd (REGF-10)', () => {
  it.each([
    ['speaks HTTP/1.0', (answer: Answer) => headOf('1.0', answer)],
    [
      'speaks HTTP/1.0 without a length: the end of the connection is the end of the blob',
      (answer: Answer) => headOf('1.0', { ...answer, headers: {} }),
    ],
    [
      'closes each connection',
      (answer: Answer) => headOf('1.1', { ...answer, headers: { ...answer.headers, connection: 'close' } }),
    ],
    [
      'sends hints before its answer (103)',
      (answer: Answer) => `HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n${headOf('1.1', answer)}`,
    ],
  ])('is pulled from if it %s', async (_, head) => {
    const text = (answer: Answer) => Buffer.concat([Buffer.from(head(answer)), answer.body])
    const { registry, pull } = await setUp([fault(get, { type: 'raw', text })])
    expect(await pull()).toBe(true)
    expect(registry.requests).toHaveLength(1)
  })

  it('is refused by name if it says 100 Continue to somebody who did not ask for it', async () => {
    const text = (answer: Answer) =>
      Buffer.concat([Buffer.from(`HTTP/1.1 100 Continue\r\n\r\n${headOf('1.1', answer)}`), answer.body])
    const { pull } = await setUp([fault({ ...get, times: 9 }, { type: 'raw', text })])
    await expect(pull()).rejects.toMatchObject({
      code: 'ERR_REGISTRY_UNREACHABLE',
      message: expect.stringContaining('does not answer'),
    })
  })

  it('is pulled from if it says gzip of a layer that is only stored', async () => {
    const change = ({ status, headers, body }: Answer) => ({
      status,
      headers: { ...headers, 'content-encoding': 'gzip' },
      body,
    })
    const { pull } = await setUp([fault(get, { type: 'change', change })])
    expect(await pull()).toBe(true)
  })

  it('is refused by name if it compresses blobs on the way though it was asked not to', async () => {
    const change = ({ status, body }: Answer) => ({
      status,
      headers: { 'content-encoding': 'gzip' },
      body: gzipSync(body),
    })
    const { pull } = await setUp([fault({ ...get, times: 2 }, { type: 'change', change })])
    await expect(pull()).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_(SIZE|DIGEST)_MISMATCH$/),
    })
  })

  it.each([1, 5, 10])('is followed over %i redirects', async (hops) => {
    const { registry, pull } = await setUp([redirects(hops)])
    expect(await pull()).toBe(true)
    expect(registry.requests).toHaveLength(hops + 1)
  })

  it('is refused by name after ten', async () => {
    const { registry, pull } = await setUp([redirects(11)])
    await expect(pull()).rejects.toMatchObject({ code: 'ERR_REGISTRY_RESPONSE' })
    expect(registry.requests).toHaveLength(11)
  })

  const hasIpv6 = Object.values(networkInterfaces())
    .flat()
    .some((entry) => entry?.address === '::1')
  it.skipIf(!hasIpv6)('is found if it has an IPv6 address only', async () => {
    const { pull, push } = await setUp([], {}, { address: '::1' })
    expect(await pull()).toBe(true)
    expect(await push()).toBe('uploaded')
  })

  it.each([
    ['refuses it', 'HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n'],
    ['answers nonsense', 'SSH-2.0-OpenSSH_9.2\r\n'],
    ['hangs up', ''],
  ])('is unreachable, by name, if the proxy %s instead of connecting', async (_, answer) => {
    let asked = 0
    const proxy = await listen((socket) => {
      socket.once('data', () => {
        asked++
        socket.end(answer)
      })
    })
    const client = createRegistryClient({
      sleep: async () => undefined,
      proxy: { httpsProxy: `http://127.0.0.1:${proxy}` },
    })
    cleanups.push(() => client.close())
    await expect(client.resolve(parseReference('registry.example/app:1'))).rejects.toMatchObject({
      code: expect.stringMatching(/^ERR_REGISTRY_(UNREACHABLE|TLS)$/),
    })
    expect(asked).toBeGreaterThan(0)
    expect(asked).toBeLessThanOrEqual(6)
  })
})

describe('a registry that is slow (REGF-04)', () => {
  const timeouts = { headersMs: 200, bodyMs: 200 }

  it('is asked again if it accepts and never answers, in a bounded number of tries', async () => {
    let asked = 0
    const port = await listen((socket) => socket.once('data', () => asked++))
    const client = createRegistryClient({
      sleep: async () => undefined,
      timeouts: { headersMs: 100, bodyMs: 100 },
    })
    cleanups.push(() => client.close())
    await expect(client.resolve(parseReference(`127.0.0.1:${port}/app:1`))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_UNREACHABLE',
    })
    expect(asked).toBe(3)
  })

  it.each([0, 1, 100_000])('is left after %i bytes and asked for the rest', async (after) => {
    const { registry, pull } = await setUp([fault(get, { type: 'silence', after })], { timeouts })
    expect(await pull()).toBe(true)
    expect(registry.requests).toHaveLength(2)
  })

  it('is left if it takes no more of a body, and gets the rest in another request', async () => {
    const stopsReading: Fault = { method: 'PATCH', act: ({ request }) => void request.pause() }
    const { registry, push } = await setUp([stopsReading], { timeouts })
    expect(await push()).toBe('uploaded')
    expect(registry.requests.filter(({ method }) => method === 'PATCH').length).toBeGreaterThan(1)
  })
})

describe('a call whose signal fires (REGF-04)', () => {
  const blobs = /\/blobs\/sha256/
  const silent = (which: Partial<Fault>) => fault(which, { type: 'silence' })
  type Call = (client: RegistryClient, reference: ImageReference, signal: AbortSignal) => Promise<unknown>
  const pull: Call = (client, reference, signal) =>
    client.downloadBlob(reference, descriptor, memorySink(), { signal })
  const push: Call = (client, reference, signal) =>
    client.uploadBlob({ ...reference, repository: 'other' }, descriptor, open, { signal })
  const resolve: Call = (client, reference, signal) => client.resolve(reference, { signal })
  const bearer = { access: { type: 'bearer', tokens: new Set<string>() } }

  it.each([
    ['before anything came back', resolve, [silent({ path: /manifests/ })], {}],
    ['in the middle of a blob', pull, [fault({ path: blobs }, { type: 'silence', after: 5_000_000 })], {}],
    ['while a token is fetched', resolve, [silent({ path: /^\/token/ })], bearer],
    ['while a redirect is followed', pull, [redirects(1), silent({ path: /hop/ })], {}],
    ['while the registry is asked for a blob', push, [silent({ method: 'HEAD' })], {}],
    ['while an upload is begun', push, [silent({ method: 'POST' })], {}],
    ['while bytes are sent', push, [silent({ method: 'PATCH' })], {}],
    ['while the registry is asked how far it is', push, [cutPatch(), silent({ path: /uploads\/.+/ })], {}],
    ['while an upload is closed', push, [silent({ method: 'PUT' })], {}],
  ] as const)('ends at once %s', async (_, call, faults, registryOptions) => {
    const { registry, client, reference } = await setUp(faults, {}, registryOptions)
    const controller = new AbortController()
    const outcome = call(client, reference, controller.signal)
    outcome.catch(() => undefined)
    await until(() => registry.pendingFaults() === 0)
    const before = registry.requests.length
    controller.abort()
    await expect(outcome).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    await until(() => registry.openConnections() === 0)
    expect(registry.requests).toHaveLength(before)
  })

  it('ends at once while it waits before another try', async () => {
    const controller = new AbortController()
    const sleep = (_ms: number, signal: AbortSignal | undefined) =>
      new Promise<void>((_, reject) => {
        signal?.addEventListener('abort', () => reject(signal.reason), { once: true })
        controller.abort()
      })
    const failing = fault({ ...get, times: 9 }, { type: 'answer', status: 503 })
    const { registry, client, reference } = await setUp([failing], { sleep })
    await expect(pull(client, reference, controller.signal)).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    expect(registry.requests).toHaveLength(1)
  })

  it('ends at once while it waits for its turn', async () => {
    const { client, reference } = await setUp([silent({ path: /manifests/ })], { concurrency: 1 })
    const first = new AbortController()
    const blocking = resolve(client, reference, first.signal)
    const second = new AbortController()
    const waiting = resolve(client, reference, second.signal)
    second.abort()
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    first.abort()
    await expect(blocking).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
  })
})

function redirects(times: number): Fault {
  let hop = 0
  return {
    method: 'GET',
    path: /\/blobs\/sha256/,
    times,
    act: ({ request, response }) =>
      reply(response, 307, { location: `${request.url?.replace(/\?.*/, '')}?hop=${++hop}` }),
  }
}

function cutPatch(): Fault {
  return fault({ method: 'PATCH' }, { type: 'cut-request', after: 5_000_000 })
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve))
}

/** A server without a protocol; its port. */
async function listen(onConnection: (socket: Socket) => void): Promise<number> {
  const sockets = new Set<Socket>()
  const server: Server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    onConnection(socket)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  cleanups.push(async () => {
    for (const socket of sockets) socket.destroy()
    await new Promise((resolve) => server.close(resolve))
  })
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
