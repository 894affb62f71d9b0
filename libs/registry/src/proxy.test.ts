import { once } from 'node:events'
import { createServer, request as httpRequest } from 'node:http'
import { connect } from 'node:net'
import { digestBytes } from '@tsbuild/digest'
import type { ProxySettings } from '@tsbuild/http'
import { mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { startFakeRegistry } from './testing/index.ts'
import type { RegistryClientOptions } from './types.ts'

const manifest = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: mediaTypes.ociConfig, digest: digestBytes('c'), size: 1 },
  layers: [],
  annotations: {},
})

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

/** A proxy that leads every name to this machine and remembers what it was asked for. */
async function startProxy(tunnelStatus = 200) {
  const asked: string[] = []
  const authorizations: (string | undefined)[] = []
  const server = createServer((request, response) => {
    authorizations.push(request.headers['proxy-authorization'])
    const url = new URL(request.url ?? '')
    asked.push(url.host)
    const onward = httpRequest({ host: '127.0.0.1', port: url.port, path: url.pathname }, (answer) => {
      response.writeHead(answer.statusCode ?? 500, answer.headers)
      answer.pipe(response)
    })
    onward.end()
  })
  server.on('connect', (request, socket) => {
    asked.push(request.url ?? '')
    authorizations.push(request.headers['proxy-authorization'])
    if (tunnelStatus !== 200) {
      socket.end(`HTTP/1.1 ${tunnelStatus} no\r\n\r\n`)
      return
    }
    const onward = connect(Number(request.url?.split(':')[1]), '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(onward).pipe(socket)
    })
    for (const end of [socket, onward]) end.on('error', () => onward.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  cleanups.push(async () => {
    server.close()
    server.closeAllConnections()
  })
  return { url: `http://127.0.0.1:${address.port}`, asked, authorizations }
}

async function setUp(proxyOf: (url: string) => ProxySettings, tunnelStatus?: number) {
  const proxy = await startProxy(tunnelStatus)
  const registry = await startFakeRegistry()
  registry.manifests.set('app:1', { bytes: manifest, mediaType: mediaTypes.ociManifest })
  const port = registry.host.split(':')[1]
  const named = `registry.good.example:${port}`
  const lookup: RegistryClientOptions['lookup'] = (_name, { all }, callback) =>
    all === true ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4)
  const client = createRegistryClient({
    lookup,
    insecureHosts: [named],
    proxy: proxyOf(proxy.url),
    sleep: async () => undefined,
  })
  cleanups.push(() => client.close(), registry.stop)
  return {
    proxy,
    registry,
    named,
    loopback: registry.host,
    pull: (host: string) => client.resolve(parseReference(`${host}/app:1`)),
  }
}

describe('proxies', () => {
  it('a registry is asked through the proxy of its scheme', async () => {
    const { proxy, named, pull } = await setUp((url) => ({ httpProxy: url }))
    expect((await pull(named)).bytes.equals(manifest)).toBe(true)
    expect(proxy.asked).toEqual([named])
  })

  it('loopback, hosts of noProxy and other schemes are asked directly', async () => {
    const loopback = await setUp((url) => ({ httpProxy: url, httpsProxy: url }))
    await loopback.pull(loopback.loopback)
    const excepted = await setUp((url) => ({ httpProxy: url, noProxy: 'other.example,.good.example' }))
    await excepted.pull(excepted.named)
    const scheme = await setUp((url) => ({ httpsProxy: url }))
    await scheme.pull(scheme.named)
    expect([loopback, excepted].flatMap(({ proxy }) => proxy.asked)).toEqual([])
    // It was asked for a tunnel, in case the registry speaks HTTPS, and for nothing in plain HTTP.
    expect(scheme.proxy.asked).toEqual([scheme.named])
    expect(scheme.registry.requests).toHaveLength(1)
  })

  it('a proxy that refuses is no registry that refuses', async () => {
    const { named, pull } = await setUp((url) => ({ httpProxy: url }), 403)
    await expect(pull(named)).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_REGISTRY_/) })
  })
})

it('a proxy gets the user name and the password of its own address, and no registry does', async () => {
  const { proxy, named, registry, pull } = await setUp((url) => ({
    httpProxy: url.replace('//', '//proxy:hunter22@'),
  }))
  expect((await pull(named)).bytes.equals(manifest)).toBe(true)
  expect(proxy.authorizations).toEqual([`Basic ${Buffer.from('proxy:hunter22').toString('base64')}`])
  expect(registry.requests.map(({ authorization }) => authorization)).toEqual([undefined])
})

it('the address of a proxy that does not answer is shown without its password', async () => {
  const { named, pull } = await setUp(() => ({ httpProxy: 'http://proxy:hunter22@127.0.0.1:1' }))
  const error: unknown = await pull(named).catch((reason) => reason)
  expect(error).toMatchObject({ code: 'ERR_REGISTRY_UNREACHABLE' })
  expect(error instanceof Error ? `${error.message} ${error.stack}` : '').not.toContain('hunter22')
})
