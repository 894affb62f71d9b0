import { execFileSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { memoryHost } from '../test-support/memory-host.ts'
import { run as login } from './login.ts'
import { run as search } from './search.ts'

/** Stands for all machines of the Hub, behind a proxy that leads every name here. */
let folder: string
let proxy: string
const servers: Server[] = []
const seen: string[] = []
beforeEach(() => seen.splice(0))

const auth = Buffer.from('me:hunter22').toString('base64')

function answer(request: IncomingMessage, response: ServerResponse): void {
  const { host = '', authorization = 'nobody' } = request.headers
  const url = new URL(request.url ?? '', `https://${host}`)
  seen.push(`${host}${url.pathname} ${authorization}`)
  if (host === 'auth.docker.io') {
    response.writeHead(authorization === `Basic ${auth}` ? 200 : 401).end('{"token":"a-token"}')
  } else if (host === 'index.docker.io') {
    const results = [
      {
        name: 'debian',
        description: 'Debian\nis a Linux \u001b[31mdistribution',
        star_count: 5000,
        is_official: true,
      },
      { name: 'me/debian', description: 'x'.repeat(60), star_count: 1, is_official: false },
    ]
    response.end(JSON.stringify({ results: url.searchParams.get('q') === 'debian' ? results : [] }))
  } else if (authorization === 'Bearer a-token') response.end('{}')
  else {
    const challenge = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
    response.writeHead(401, { 'www-authenticate': challenge }).end()
  }
}

async function listen(server: Server): Promise<number> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-hub-'))
  const subject = ['-subj', '/CN=hub', '-addext', 'subjectAltName=DNS:*.docker.io']
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2']
  execFileSync('openssl', ['req', ...kind, ...subject, '-keyout', 'key.pem', '-out', 'ca.pem'], {
    cwd: folder,
    stdio: 'ignore',
  })
  const read = (name: string) => readFileSync(join(folder, name))
  const port = await listen(createSecureServer({ cert: read('ca.pem'), key: read('key.pem') }, answer))
  const tunnel = createServer().on('connect', (_, socket) => {
    const onward = connect(port, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 OK\r\n\r\n')
      socket.pipe(onward).pipe(socket)
    })
    for (const end of [socket, onward]) end.on('error', () => onward.destroy())
  })
  proxy = `http://127.0.0.1:${await listen(tunnel)}`
})
afterAll(() => {
  for (const server of servers) server.close()
  rmSync(folder, { recursive: true })
})

const hostWith = (input = '') =>
  Object.assign(memoryHost({ env: { HOME: folder, HTTPS_PROXY: proxy }, cwd: folder }), {
    stdin: Readable.from(input === '' ? [] : [input]),
  })

it('tsbuild search asks the search of the Hub, and shows what it says without its control characters', async () => {
  const host = hostWith()
  expect(await search(['--trust-ca', 'ca.pem', 'debian'], host)).toBe(0)
  const [, first, second] = host.out().split('\n')
  expect(first?.split(/ {3,}/)).toEqual([
    'debian',
    expect.stringMatching(/^Debian is a Linux /),
    '5000',
    '[OK]',
  ])
  expect(second?.split(/ {3,}/)).toEqual(['me/debian', `${'x'.repeat(44)}…`, '1'])
  expect(host.out()).not.toContain('\u001b')
  expect(seen).toEqual(['index.docker.io/v1/search nobody'])
  const filtered = hostWith()
  await search(
    ['--trust-ca', 'ca.pem', '--filter', 'stars=2', '--format', 'json', 'docker.io/debian'],
    filtered,
  )
  expect(JSON.parse(filtered.out())).toMatchObject([
    { registry: 'docker.io', name: 'debian', official: true },
  ])
})

it('tsbuild login shows the password of the Hub to its token server alone', async () => {
  const argv = ['--trust-ca', 'ca.pem', '-u', 'me', '--password-stdin']
  await expect(login(argv, hostWith('wrong'))).rejects.toMatchObject({ code: 'ERR_REGISTRY_AUTH' })
  seen.splice(0)
  expect(await login(argv, hostWith('hunter22'))).toBe(0)
  expect(seen).toEqual([
    'registry-1.docker.io/v2/ nobody',
    `auth.docker.io/token Basic ${auth}`,
    'registry-1.docker.io/v2/ Bearer a-token',
  ])
  const { auths } = JSON.parse(readFileSync(join(folder, '.docker', 'config.json'), 'utf8'))
  expect(auths).toEqual({ 'https://index.docker.io/v1/': { auth } })
})
