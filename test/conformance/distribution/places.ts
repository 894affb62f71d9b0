import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type DistributionServer, startDistribution } from '@tsbuild/distribution/testing'
import { makeAuthority } from '../../support/https-site.ts'
import { type Front, startNginx } from '../../support/nginx.ts'

/** Where `/v2` is asked. */
export type PlaceName = 'plain' | 'behind nginx with TLS and a base path'

/** One address of a server. */
export interface Place {
  /** What comes before `/v2`. */
  readonly url: string
  /** The PEM file of the authority of its certificate. */
  readonly authority: string | undefined
  readonly ask: (method: string, path: string, options?: AskOptions) => Promise<Answer>
}

/** What a request has besides its method and path. */
export interface AskOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string | undefined
  /** Without a length, in chunks. */
  readonly chunked?: boolean
}

/** What came back. */
export interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: Buffer
}

/** Servers for one test file. */
export interface Places {
  readonly folder: string
  readonly of: (name: PlaceName) => Place
  readonly close: () => Promise<void>
}

/**
 * Starts a server as it is, and one with a base path behind nginx with TLS.
 * @param base another base path; empty: none
 */
export async function openPlaces(name: string, base = '/some/cache'): Promise<Places> {
  const folder = mkdtempSync(join(tmpdir(), `tsbuild-distribution-${name}-`))
  const plain = await startDistribution(join(folder, 'plain'), { durability: 'none' })
  const based = await startDistribution(join(folder, 'based'), {
    durability: 'none',
    http: { base },
  })
  const authority = await makeAuthority(join(folder, 'authority'))
  const front = await startNginx(join(folder, 'nginx'), {
    upstream: based.host,
    authority,
    buffering: 'off',
    maxBodySize: '0',
  })
  const pem = join(authority.folder, 'ca.pem')
  const places: Record<PlaceName, Place> = {
    plain: placeOf(`http://${plain.host}`, undefined),
    'behind nginx with TLS and a base path': placeOf(`https://${front.host}${base}`, pem),
  }
  return { folder, of: (one) => places[one], close: () => close(folder, [plain, based], front) }
}

async function close(folder: string, servers: readonly DistributionServer[], front: Front): Promise<void> {
  await front.stop()
  for (const server of servers) {
    await server.stop()
    if (server.errors.length > 0) throw new Error('The server failed', { cause: server.errors[0] })
  }
  rmSync(folder, { recursive: true, force: true })
}

/** A `Location` is given as it came: a path begins at the host. */
function placeOf(url: string, authority: string | undefined): Place {
  const ca = authority === undefined ? undefined : readFileSync(authority)
  const { origin } = new URL(url)
  const ask: Place['ask'] = (method, path, { headers = {}, body, chunked = false } = {}) =>
    new Promise((resolve, reject) => {
      const address = path.startsWith('/v2') ? `${url}${path}` : `${origin}${path}`
      const length = body === undefined || chunked ? {} : { 'content-length': `${Buffer.byteLength(body)}` }
      const send = ca === undefined ? httpRequest : httpsRequest
      const request = send(address, {
        method,
        headers: { ...length, ...headers },
        ...(ca === undefined ? {} : { ca }),
      })
      request.on('error', reject).on('response', (response) => {
        const parts: Buffer[] = []
        response.on('error', reject).on('data', (part) => parts.push(part))
        response.on('end', () => {
          const all = response.headers as Record<string, string | undefined>
          resolve({ status: response.statusCode ?? 0, headers: all, body: Buffer.concat(parts) })
        })
      })
      request.end(body)
    })
  return { url, authority, ask }
}
