import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import { mediaTypes, parseReference, serializeManifest } from '@tsbuild/oci'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { createRegistryClient } from './client.ts'
import { type FakeRegistry, type FakeRegistryOptions, startFakeRegistry } from './testing/index.ts'
import type { RegistryClientOptions } from './types.ts'

const name = 'registry.good.example'
const manifest = serializeManifest({
  mediaType: mediaTypes.ociManifest,
  config: { mediaType: mediaTypes.ociConfig, digest: digestBytes('c'), size: 1 },
  layers: [],
  annotations: {},
})

let tls: { cert: string; key: string }
beforeAll(() => {
  const directory = mkdtempSync(join(tmpdir(), 'tsbuild-tls-'))
  const [cert, key] = [join(directory, 'cert'), join(directory, 'key')]
  const subject = ['-subj', `/CN=${name}`, '-addext', `subjectAltName=DNS:${name}`]
  const files = ['-keyout', key, '-out', cert]
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', ...kind, ...subject, ...files], { stdio: 'ignore' })
  tls = { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') }
  rmSync(directory, { recursive: true })
})

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0)) await cleanup()
})
afterAll(() => expect(cleanups).toEqual([]))

/** @param optionsOf of a client, given the port of the registry */
async function setUp(
  optionsOf: RegistryClientOptions | ((port: string) => RegistryClientOptions) = {},
  access?: FakeRegistryOptions['access'],
) {
  const registry: FakeRegistry = await startFakeRegistry({ tls, access })
  registry.manifests.set('app:1', { bytes: manifest, mediaType: mediaTypes.ociManifest })
  const lookup: RegistryClientOptions['lookup'] = (_name, { all }, callback) =>
    all === true ? callback(null, [{ address: '127.0.0.1', family: 4 }]) : callback(null, '127.0.0.1', 4)
  const port = registry.host.split(':')[1] ?? ''
  const options = typeof optionsOf === 'function' ? optionsOf(port) : optionsOf
  const client = createRegistryClient({ lookup, sleep: async () => undefined, ...options })
  cleanups.push(() => client.close(), registry.stop)
  const pull = (host: string) => client.resolve(parseReference(`${host}:${port}/app:1`))
  return { registry, pull }
}

describe('TLS', () => {
  it('a registry whose authority is given is trusted', async () => {
    const { pull } = await setUp({ ca: [tls.cert] })
    expect((await pull(name)).bytes.equals(manifest)).toBe(true)
  })

  it('a registry whose authority is unknown is not, and nothing is tried again', async () => {
    const { registry, pull } = await setUp()
    await expect(pull(name)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_TLS',
      hints: [expect.stringContaining('authority')],
    })
    expect(registry.requests).toEqual([])
  })

  it('a certificate for another name is not trusted', async () => {
    const { pull } = await setUp({ ca: [tls.cert] })
    await expect(pull('registry.other.example')).rejects.toMatchObject({ code: 'ERR_REGISTRY_TLS' })
  })

  it('a registry that is declared insecure may prove nothing', async () => {
    const { pull } = await setUp((port) => ({ insecureHosts: [`${name}:${port}`] }))
    expect((await pull(name)).bytes.equals(manifest)).toBe(true)
  })

  it.each(['resolve', 'hasBlob'] as const)(
    '%s() finds HTTPS on loopback behind a server that says 400 to HTTP, as nginx does',
    async (call) => {
      const { registry } = await setUp({ ca: [tls.cert] })
      const server = await startLikeNginx(registry.host)
      cleanups.push(server.stop)
      const client = createRegistryClient({ sleep: async () => undefined })
      cleanups.push(() => client.close())
      const reference = parseReference(`${server.host}/app:1`)
      const blob = { mediaType: mediaTypes.ociLayer, digest: digestBytes('none'), size: 4 }
      if (call === 'hasBlob') expect(await client.hasBlob(reference, blob)).toBe(false)
      else expect((await client.resolve(reference)).bytes.equals(manifest)).toBe(true)
    },
  )

  it('a registry behind HTTPS cannot send its credentials through HTTP (REG-02)', async () => {
    const realm = 'http://auth.good.example/token'
    const { pull } = await setUp({ ca: [tls.cert] }, { type: 'bearer', realm, tokens: new Set() })
    await expect(pull(name)).rejects.toMatchObject({
      code: 'ERR_REGISTRY_AUTH',
      message: expect.stringContaining('does not speak HTTPS'),
    })
  })
})

/** Hands TLS on to another server and answers anything else with a 400, of which a HEAD sees no text. */
async function startLikeNginx(behind: string) {
  const [address = '', port = ''] = behind.split(':')
  const server = createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', (first) => {
      if (first[0] === 0x16) {
        const upstream = connect(Number(port), address)
        upstream.on('error', () => undefined)
        upstream.write(first)
        socket.pipe(upstream).pipe(socket)
        return
      }
      const text = 'The plain HTTP request was sent to HTTPS port'
      const head = `HTTP/1.1 400 Bad Request\r\ncontent-type: text/html\r\ncontent-length: ${text.length}\r\n\r\n`
      socket.end(first.toString().startsWith('HEAD') ? head : head + text)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const own = server.address()
  if (own === null || typeof own === 'string') throw new Error('no port')
  const stop = () => new Promise<void>((resolve) => void server.close(() => resolve()))
  return { host: `127.0.0.1:${own.port}`, stop }
}
