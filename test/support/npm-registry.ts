import { createHash } from 'node:crypto'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { gzipSync } from 'node:zlib'
import { makeTar } from './tar.ts'

/** A package that the registry has, in one version. */
export interface NpmPackage {
  /** `@scope/name` */
  readonly name: string
  readonly version: string
  /** Its files besides package.json. */
  readonly files: Readonly<Record<string, string>>
}

/** A running registry that serves nobody without its token. */
export interface NpmRegistry {
  /** `127.0.0.1:port` */
  readonly host: string
  /** Every request since the start: `GET path status`. */
  readonly requests: () => readonly string[]
  readonly stop: () => Promise<void>
}

/** Starts a registry on a loopback port. */
export async function startNpmRegistry(token: string, packages: readonly NpmPackage[]): Promise<NpmRegistry> {
  const requests: string[] = []
  let host = ''
  const server = createServer((request, response) => {
    const status = answer({ request, response, host, token, packages })
    requests.push(`${request.method} ${decodeURIComponent(request.url ?? '')} ${status}`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the registry has no port')
  host = `127.0.0.1:${address.port}`
  return {
    host,
    requests: () => requests,
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly host: string
  readonly token: string
  readonly packages: readonly NpmPackage[]
}

/** Sends the answer; gives its status. */
function answer({ request, response, host, token, packages }: Exchange): number {
  const send = (status: number, type: string, body: string | Buffer) => {
    response.writeHead(status, { 'content-type': type, 'cache-control': 'max-age=300' }).end(body)
    return status
  }
  if (request.headers.authorization !== `Bearer ${token}`) return send(401, 'application/json', '{}')
  const path = decodeURIComponent(request.url ?? '')
  for (const one of packages) {
    const tarball = `/${one.name}/-/${one.version}.tgz`
    const packed = packNpm(one)
    if (path === tarball) return send(200, 'application/octet-stream', packed)
    if (path === `/${one.name}`)
      return send(
        200,
        'application/json',
        JSON.stringify(packumentOf(one, packed, `http://${host}${tarball}`)),
      )
  }
  return send(404, 'application/json', '{}')
}

/** The archive of a package. */
export function packNpm({ name, version, files }: NpmPackage): Buffer {
  const all = { 'package.json': JSON.stringify({ name, version }), ...files }
  const entries = Object.entries(all).map(([path, data]) => ({ name: `package/${path}`, data }))
  return gzipSync(makeTar(entries))
}

/** What the registry says of a package, whose archive is at `tarball`. */
export function packumentOf({ name, version }: NpmPackage, packed: Buffer, tarball: string): object {
  const integrity = `sha512-${createHash('sha512').update(packed).digest('base64')}`
  const dist = { tarball, integrity, shasum: createHash('sha1').update(packed).digest('hex') }
  return { name, 'dist-tags': { latest: version }, versions: { [version]: { name, version, dist } } }
}
