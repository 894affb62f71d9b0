import { randomBytes } from 'node:crypto'
import type { AddressInfo } from 'node:net'
import {
  type AccessEntry,
  createHttpServer,
  type HttpServer,
  type HttpServerOptions,
} from '@tsbuild/http-server'
import { type OpenObjectStore, openFsStore } from '@tsbuild/object-store'
import { decide, type Grant, loopbackGrant } from '@tsbuild/trust'
import {
  type Distribution,
  type DistributionOptions,
  distributionHeaders,
  distributionRoutes,
} from '../routes.ts'

/** A server of `/v2` in this process, on the real engine and the real decisions. */
export interface DistributionServer {
  /** `127.0.0.1:port` */
  readonly host: string
  readonly port: number
  readonly server: HttpServer
  readonly store: OpenObjectStore
  readonly distribution: Distribution
  readonly log: readonly AccessEntry[]
  /** What nobody expected. A test that ends with some has failed. */
  readonly errors: readonly unknown[]
  readonly stop: () => Promise<void>
}

/** How a server differs from one that anybody may use. */
export interface DistributionServerOptions {
  readonly http?: Partial<HttpServerOptions> | undefined
  readonly distribution?: Partial<DistributionOptions> | undefined
  readonly port?: number | undefined
  readonly durability?: 'full' | 'none' | undefined
  /** Who shows a token, by token; everybody else is nobody. Default: everybody may do everything. */
  readonly grants?: Readonly<Record<string, Grant>> | undefined
}

/** Starts a server with its objects in `folder`. */
export async function startDistribution(
  folder: string,
  options: DistributionServerOptions = {},
): Promise<DistributionServer> {
  const log: AccessEntry[] = []
  const errors: unknown[] = []
  const store = await openFsStore({
    root: folder,
    now: Date.now,
    randomId: () => randomHex(32),
    durability: options.durability ?? 'full',
  })
  const distribution = distributionRoutes({
    store,
    now: Date.now,
    randomHex,
    ...options.distribution,
  })
  const { grants } = options
  const server = createHttpServer({
    routes: distribution.routes,
    headers: distributionHeaders,
    decide,
    authenticate: ({ headers }) =>
      grants === undefined ? loopbackGrant : grants[tokenOf(headers.authorization)],
    now: Date.now,
    onRequest: (entry) => log.push(entry),
    onError: (error) => errors.push(error),
    ...options.http,
  })
  const { port } = (await server.listen({ host: '127.0.0.1', port: options.port ?? 0 })) as AddressInfo
  const stop = async () => {
    await server.close(0)
    await store.close()
  }
  return { host: `127.0.0.1:${port}`, port, server, store, distribution, log, errors, stop }
}

const randomHex = (digits: number) => randomBytes(digits / 2).toString('hex')

function tokenOf(authorization: string | undefined): string {
  const [scheme = '', value = ''] = (authorization ?? '').split(' ')
  if (scheme === 'Bearer') return value
  return Buffer.from(value, 'base64').toString().split(':').slice(1).join(':')
}
