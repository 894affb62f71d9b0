import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cacheRoutes, openRecordService, type RecordLimits, type RecordService } from '@tsbuild/cache-service'
import { distributionRoutes, parseContentDigest } from '@tsbuild/distribution'
import { type AccessEntry, createHttpServer, type Route } from '@tsbuild/http-server'
import { memoryStore } from '@tsbuild/object-store/testing'
import { decide, type Grant, loopbackGrant, nobody, type SigningKey, signingKeyOf } from '@tsbuild/trust'

/** A cache-server in the process of a test, with everything in memory. */
export interface InProcessServer {
  readonly url: string
  readonly store: ReturnType<typeof memoryStore>
  readonly records: RecordService
  /** `GET /v1/capabilities 200` of each request since this was asked last. */
  requests(): readonly string[]
  close(): Promise<void>
}

/** See {@link startInProcessServer}. */
export interface InProcessOptions {
  /** Grants by token. Undefined: everybody is the local user. */
  readonly grants?: Readonly<Record<string, Grant>> | undefined
  readonly base?: string | undefined
  readonly key?: SigningKey | undefined
  readonly routes?: readonly Route[] | undefined
  readonly recordLimits?: RecordLimits | undefined
}

/** Starts a server on a free port of the loopback address. */
export async function startInProcessServer(options: InProcessOptions = {}): Promise<InProcessServer> {
  const { grants, base = '', key = signingKeyOf(Buffer.alloc(32, 1)), routes = [] } = options
  const scratch = await mkdtemp(join(tmpdir(), 'tsbuild-in-process-'))
  const store = memoryStore({ scratch })
  const now = Date.now
  const randomHex = (digits: number) => randomBytes(digits).toString('hex').slice(0, digits)
  const distribution = distributionRoutes({ store, now, randomHex })
  const records = await openRecordService({
    store,
    now,
    key,
    staleMs: 0,
    presenceMs: 0,
    recordLimits: options.recordLimits,
    async hasBlob(repository, text) {
      const digest = parseContentDigest(text)
      return (
        digest !== undefined && (await distribution.repositories.findBlob(repository, digest)) !== undefined
      )
    },
  })
  const log: AccessEntry[] = []
  const server = createHttpServer({
    routes: [...distribution.routes, ...cacheRoutes({ service: records, maxBlobBytes: 2 ** 36 }), ...routes],
    authenticate: ({ headers: { authorization = '' } }) =>
      grants === undefined ? loopbackGrant : grants[tokenIn(authorization)],
    decide: (grant = nobody, needs, target) => decide(grant, needs, target),
    base,
    now,
    onRequest: (entry) => log.push(entry),
  })
  const address = await server.listen({ host: '127.0.0.1', port: 0 })
  const port = typeof address === 'string' ? 0 : address.port
  return {
    url: `http://127.0.0.1:${port}${base}`,
    store,
    records,
    requests: () =>
      log
        .splice(0)
        .map(({ method, path, status }) => `${method} ${path.replace(/[0-9a-f]{32,}.*/, '…')} ${status}`),
    async close() {
      await server.close(0)
      await rm(scratch, { recursive: true })
    },
  }
}

/** As Bearer, or as the password of Basic. */
function tokenIn(authorization: string): string {
  const [scheme, value = ''] = authorization.split(' ')
  if (scheme === 'Bearer') return value
  return Buffer.from(value, 'base64')
    .toString()
    .replace(/^[^:]*:/, '')
}
