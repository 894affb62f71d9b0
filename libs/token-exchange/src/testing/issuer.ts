import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A key of an issuer. */
export interface IssuerKey {
  readonly kid: string
  readonly alg: string
  readonly privateKey: KeyObject
  /** As it stands in the set. */
  readonly jwk: Readonly<Record<string, unknown>>
}

/** A CI service of the test's own, which serves its discovery document and its keys over loopback. */
export interface TestIssuer {
  readonly url: string
  /** What its set holds now. */
  keys: readonly Readonly<Record<string, unknown>>[]
  /** What is answered instead, for a path. */
  readonly instead: Map<string, (request: IncomingMessage, response: ServerResponse) => void>
  /** The paths that were asked for. */
  readonly asked: string[]
  close(): Promise<void>
}

const kinds = {
  RS256: () => generateKeyPairSync('rsa', { modulusLength: 2048 }),
  ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
  EdDSA: () => generateKeyPairSync('ed25519'),
}

/** Makes a key for an algorithm. */
export function issuerKey(kid: string, alg: keyof typeof kinds = 'RS256'): IssuerKey {
  const { publicKey, privateKey } = kinds[alg]()
  return { kid, alg, privateKey, jwk: { ...publicKey.export({ format: 'jwk' }), kid, alg, use: 'sig' } }
}

/** Starts an issuer on a free port. */
export async function startIssuer(keys: readonly IssuerKey[]): Promise<TestIssuer> {
  const instead: TestIssuer['instead'] = new Map()
  const asked: string[] = []
  const server = createServer((request, response) => {
    const path = request.url ?? ''
    asked.push(path)
    const answer = instead.get(path)
    if (answer !== undefined) return answer(request, response)
    const documents: Readonly<Record<string, unknown>> = {
      '/.well-known/openid-configuration': { issuer: issuer.url, jwks_uri: `${issuer.url}/keys` },
      '/keys': { keys: issuer.keys },
    }
    const found = documents[path]
    response.writeHead(found === undefined ? 404 : 200, { 'content-type': 'application/json' })
    response.end(JSON.stringify(found ?? {}))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const issuer: TestIssuer = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    keys: keys.map(({ jwk }) => jwk),
    instead,
    asked,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return issuer
}

/** A JWT of any header and claims, signed by any means. */
export function forgeToken(header: object, payload: object, signer: (input: Buffer) => Buffer): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const input = `${encode(header)}.${encode(payload)}`
  return `${input}.${signer(Buffer.from(input)).toString('base64url')}`
}

/** Signs as the key's algorithm does. */
export function signerOf({ alg, privateKey }: IssuerKey): (input: Buffer) => Buffer {
  if (alg === 'EdDSA') return (input) => sign(null, input, privateKey)
  return (input) => sign('sha256', input, { key: privateKey, dsaEncoding: 'ieee-p1363' })
}

/** An identity token as an issuer makes it. */
export function idToken(key: IssuerKey, claims: object, header: object = {}): string {
  return forgeToken({ alg: key.alg, kid: key.kid, typ: 'JWT', ...header }, claims, signerOf(key))
}
