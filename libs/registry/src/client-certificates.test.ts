import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { TLSSocket } from 'node:tls'
import { digestBytes } from '@tsbuild/digest'
import { mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { type HostCertificates, noHosts } from './hosts.ts'
import { memorySink, reply, startFakeRegistry } from './testing/index.ts'
import type { RegistryClientOptions } from './types.ts'

const layer = Buffer.from('a layer')
const descriptor = { mediaType: mediaTypes.ociLayer, digest: digestBytes(layer), size: layer.length }
const manifest = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: mediaTypes.ociConfig, digest: digestBytes('c'), size: 1 },
  layers: [descriptor],
  annotations: {},
})

interface Pair {
  readonly certificate: string
  readonly key: string
}

/** A certificate that proves itself, for names below `good.example`. */
function makePair(folder: string, name: string): Pair {
  const [cert, key] = [join(folder, `${name}.pem`), join(folder, `${name}.key`)]
  const subject = ['-subj', `/CN=${name}`, '-addext', 'subjectAltName=DNS:*.good.example']
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', cert], { stdio: 'ignore' })
  return { certificate: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
}

let [server, client, stranger]: readonly (Pair | undefined)[] = []
beforeAll(() => {
  const folder = mkdtempSync(join(tmpdir(), 'tsbuild-mtls-'))
  ;[server, client, stranger] = ['server', 'client', 'stranger'].map((name) => makePair(folder, name))
  rmSync(folder, { recursive: true })
})

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})

const lookup: RegistryClientOptions['lookup'] = (_name, { all }, callback) =>
  all === true ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4)

/** A registry that lets only `client` in. @returns its port */
async function startStrict() {
  const tls = { cert: server?.certificate ?? '', key: server?.key ?? '', clientCa: client?.certificate ?? '' }
  const registry = await startFakeRegistry({ tls })
  registry.manifests.set('app:1', { bytes: manifest, mediaType: mediaTypes.ociManifest })
  registry.blobs.set(`app@${descriptor.digest}`, layer)
  cleanups.push(registry.stop)
  return { registry, port: registry.host.split(':')[1] ?? '' }
}

function clientWith(
  certificates: Readonly<Record<string, HostCertificates>>,
  options: RegistryClientOptions = {},
) {
  const asked: string[] = []
  const hosts = async () => ({
    ...noHosts,
    certificates: async (host: string) => {
      asked.push(host)
      return certificates[host]
    },
  })
  const made = createRegistryClient({ lookup, hosts, sleep: async () => undefined, ...options })
  cleanups.push(() => made.close())
  return { asked, client: made }
}

const ca = () => [server?.certificate ?? '']

describe('client certificates', () => {
  it('let in who has the right one, and ask for it once', async () => {
    const { port } = await startStrict()
    const host = `registry.good.example:${port}`
    const { asked, client: made } = clientWith({ [host]: { ca: ca(), client } })
    const reference = parseReference(`${host}/app:1`)
    expect((await made.resolve(reference)).bytes.equals(manifest)).toBe(true)
    await made.downloadBlob(reference, descriptor, memorySink())
    expect(asked).toEqual([host])
  })

  it.each([
    ['none', () => undefined],
    ['that of somebody else', () => stranger],
  ])('with %s nothing is asked for', async (_, pair) => {
    const { registry, port } = await startStrict()
    const host = `registry.good.example:${port}`
    const { client: made } = clientWith({ [host]: { ca: ca(), client: pair() } })
    // Servers of Node.js hang up without a word.
    await expect(made.resolve(parseReference(`${host}/app:1`))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_UNREACHABLE',
      hints: [expect.stringContaining('If it wants a client certificate')],
    })
    expect(registry.requests).toEqual([])
  })

  it('the alert of a server of TLS 1.2 that misses one is said in words, and nothing is tried again', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'tsbuild-mtls-'))
    const file = (name: string, text = '') => {
      writeFileSync(join(folder, name), text)
      return join(folder, name)
    }
    const proof = ['-cert', file('cert', server?.certificate), '-key', file('key', server?.key)]
    const demand = ['-Verify', '1', '-verify_return_error', '-CAfile', file('ca', client?.certificate)]
    const openssl = spawn('openssl', ['s_server', '-tls1_2', '-accept', '127.0.0.1:0', ...proof, ...demand])
    cleanups.push(async () => {
      openssl.kill('SIGKILL')
      rmSync(folder, { recursive: true })
    })
    let port = ''
    for await (const line of createInterface({ input: openssl.stdout })) {
      port = /^ACCEPT .*:(\d+)$/.exec(line)?.[1] ?? ''
      if (port !== '') break
    }
    let pauses = 0
    const sleep = async () => {
      pauses++
    }
    const host = `registry.good.example:${port}`
    const { client: made } = clientWith({ [host]: { ca: ca(), client: undefined } }, { sleep })
    await expect(made.resolve(parseReference(`${host}/app:1`))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_TLS',
      message: expect.stringContaining('wants a client certificate'),
      hints: [expect.stringContaining('certs.d')],
    })
    expect(pauses).toBe(0)
  })

  it('are shown to no other host, redirects of theirs included', async () => {
    const [home, other] = [await startStrict(), await startStrict()]
    const host = `registry.good.example:${home.port}`
    const location = `https://cdn.good.example:${other.port}/v2/app/blobs/${descriptor.digest}`
    home.registry.fault({ path: /blobs/, act: ({ response }) => reply(response, 307, { location }) })
    const { client: made } = clientWith(
      { [host]: { ca: [], client } },
      { ca: ca(), lookup: (name, options, callback) => lookup(name, options, callback) },
    )
    const outcome = made.downloadBlob(parseReference(`${host}/app:1`), descriptor, memorySink())
    // The other host is this machine, so what fails first is that; what matters is that it saw nothing.
    await expect(outcome).rejects.toMatchObject({ code: expect.stringMatching(/^ERR_REGISTRY_/) })
    expect(other.registry.requests).toEqual([])
  })

  it('go through a proxy', async () => {
    const { port } = await startStrict()
    const proxy = createServer()
    const tunnels: string[] = []
    proxy.on('connect', (request, socket) => {
      tunnels.push(request.url ?? '')
      const onward = connect(Number(port), '127.0.0.1', () => {
        socket.write('HTTP/1.1 200 OK\r\n\r\n')
        socket.pipe(onward).pipe(socket)
      })
      for (const end of [socket, onward]) end.on('error', () => onward.destroy())
    })
    proxy.listen(0, '127.0.0.1')
    await once(proxy, 'listening')
    cleanups.push(async () => {
      proxy.close()
      proxy.closeAllConnections()
    })
    const address = proxy.address()
    const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : ''}`
    const host = `registry.good.example:${port}`
    const { client: made } = clientWith({ [host]: { ca: ca(), client } }, { proxy: { httpsProxy: url } })
    expect((await made.resolve(parseReference(`${host}/app:1`))).bytes.equals(manifest)).toBe(true)
    expect(tunnels).toEqual([host])
  })
})

describe('authorities', () => {
  it('of one host are not trusted for another', async () => {
    const { port } = await startStrict()
    const host = `registry.good.example:${port}`
    const { client: made } = clientWith({ [host]: { ca: ca(), client } })
    await expect(made.resolve(parseReference(`other.good.example:${port}/app:1`))).rejects.toMatchObject({
      code: 'ERR_REGISTRY_TLS',
      message: expect.stringContaining('cannot be trusted'),
    })
  })

  it('of a registry are trusted for the token server that it names, which sees no client certificate', async () => {
    const asked: string[] = []
    const tokens = createTlsServer(
      {
        cert: server?.certificate,
        key: server?.key,
        ca: client?.certificate,
        requestCert: true,
        rejectUnauthorized: false,
      },
      (request, response) => {
        const { socket } = request
        const shown = socket instanceof TLSSocket && Object.keys(socket.getPeerCertificate()).length > 0
        asked.push(`${request.url?.split('?')[0]} ${shown ? 'with' : 'without'} a certificate`)
        response.end('{"token":"t"}')
      },
    )
    tokens.listen(0, '127.0.0.1')
    await once(tokens, 'listening')
    cleanups.push(async () => {
      tokens.close()
      tokens.closeAllConnections()
    })
    const { registry, port } = await startStrict()
    const at = tokens.address()
    const realm = `https://auth.good.example:${typeof at === 'object' ? at?.port : ''}/token`
    registry.fault({
      act: ({ response }) => reply(response, 401, { 'www-authenticate': `Bearer realm="${realm}"` }),
    })
    const host = `registry.good.example:${port}`
    const certificates = { [host]: { ca: ca(), client } }
    // The two are one machine here, which no registry may lead us to unless the user says so.
    const trustedRealms = ['auth.good.example']
    await clientWith(certificates, { trustedRealms }).client.resolve(parseReference(`${host}/app:1`))
    expect(asked).toEqual(['/token without a certificate'])
  })

  it('unverified trust takes any certificate, and no plain HTTP', async () => {
    const tls = { cert: server?.certificate ?? '', key: server?.key ?? '' }
    const [secure, plain] = [await startFakeRegistry({ tls }), await startFakeRegistry()]
    for (const registry of [secure, plain]) {
      registry.manifests.set('app:1', { bytes: manifest, mediaType: mediaTypes.ociManifest })
      cleanups.push(registry.stop)
    }
    const rule = { location: undefined, mirrors: [], trust: 'unverified', blocked: false, file: 'f' } as const
    const hosts = async () => ({ ...noHosts, rules: [{ ...rule, prefix: '*.other.example' }] })
    const { client: made } = clientWith({}, { hosts })
    const at = (host: string) => parseReference(`a.other.example:${host.split(':')[1]}/app:1`)
    expect((await made.resolve(at(secure.host))).bytes.equals(manifest)).toBe(true)
    await expect(made.resolve(at(plain.host))).rejects.toMatchObject({ code: 'ERR_REGISTRY_TLS' })
    expect(plain.requests).toEqual([])
  })
})
