import { createSign, randomUUID } from 'node:crypto'
import { mkdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { join } from 'node:path'
import type { RegistryAuth } from './registry-process.ts'
import { check } from './tsbuild.ts'

/** A running token service for `docker-registry`, after the distribution project's token specification. */
export interface TokenServer {
  /** For `startRegistry`. */
  readonly registryAuth: RegistryAuth
  /** The scopes that were asked for, in order. */
  readonly scopes: () => readonly string[]
  readonly stop: () => Promise<void>
}

/** Starts a token service that knows one user; its key is made in `folder`. */
export async function startTokenServer(
  folder: string,
  known: { readonly user: string; readonly password: string },
): Promise<TokenServer> {
  const { key, certificate, certificates } = await makeKey(folder)
  const asked: string[] = []
  const expected = `Basic ${Buffer.from(`${known.user}:${known.password}`).toString('base64')}`
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const scopes = url.searchParams.getAll('scope').flatMap((scope) => scope.split(' '))
    asked.push(...scopes)
    if (request.headers.authorization !== expected) {
      response
        .writeHead(401, { 'content-type': 'application/json' })
        .end('{"details":"incorrect username or password"}')
      return
    }
    const token = signToken(key, certificate, known.user, scopes)
    response
      .writeHead(200, { 'content-type': 'application/json' })
      .end(JSON.stringify({ token, expires_in: 300 }))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the token server has no port')
  return {
    registryAuth: {
      type: 'token',
      realm: `http://127.0.0.1:${address.port}/token`,
      service: 'test-registry',
      issuer: 'test-issuer',
      certificates,
    },
    scopes: () => asked,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function makeKey(folder: string) {
  mkdirSync(folder, { recursive: true })
  const keyPath = join(folder, 'key.pem')
  const certificates = join(folder, 'certificate.pem')
  await check('openssl', [
    ...[
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '2',
      '-subj',
      '/CN=token service of a test',
    ],
    ...['-keyout', keyPath, '-out', certificates],
  ])
  const certificate = readFileSync(certificates, 'utf8').replace(/-----[A-Z ]+-----|\s/g, '')
  return { key: readFileSync(keyPath, 'utf8'), certificate, certificates }
}

function signToken(key: string, certificate: string, subject: string, scopes: readonly string[]): string {
  const now = Math.floor(Date.now() / 1000)
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const access = scopes.map((scope) => {
    const [type, name, actions] = scope.split(':')
    return { type, name, actions: actions?.split(',') ?? [] }
  })
  const signed = [
    encode({ typ: 'JWT', alg: 'RS256', x5c: [certificate] }),
    encode({
      iss: 'test-issuer',
      aud: 'test-registry',
      sub: subject,
      nbf: now - 10,
      iat: now,
      exp: now + 300,
      jti: randomUUID(),
      access,
    }),
  ].join('.')
  return `${signed}.${createSign('RSA-SHA256').update(signed).sign(key, 'base64url')}`
}
