import type { RecordService, Upkeep } from '@tsbuild/cache-service'
import { addUpkeepMetrics } from '@tsbuild/cache-service'
import { distributionHeaders } from '@tsbuild/distribution'
import { type AccessEntry, HttpError, type HttpServerOptions } from '@tsbuild/http-server'
import type { OpenObjectStore } from '@tsbuild/object-store'
import { parseUrl } from '@tsbuild/shape'
import { createAuthenticator, decide, loopbackGrant, nobody } from '@tsbuild/trust'
import type { Host } from '../host.ts'
import type { Log } from '../log/log.ts'
import { formatAddress } from '../settings/address.ts'
import { isPrivate } from '../settings/check-settings.ts'
import type { Settings } from '../settings/read-settings.ts'
import { tokenParties } from '../tokens/claims.ts'
import { directoryOf, openStore } from '../with-store.ts'
import { type LiveTrust, openLiveTrust } from './live-trust.ts'
import { type Routes, routesOf } from './routes.ts'
import { challengesOf, readerGrant } from './sign-in.ts'
import { createUpkeep, startUpkeep } from './upkeep.ts'

/** Everything behind the sockets. */
export interface Service {
  /** What each listener is made with. */
  readonly http: Omit<HttpServerOptions, 'tls'>
  /** Collects and scrubs; for commands that want it now. */
  readonly upkeep: Upkeep
  readonly records: RecordService
  readonly store: OpenObjectStore
  /** Reads keys and revocations again. */
  reload(): Promise<void>
  /** From now on `/readyz` says that nobody new should come. */
  startEnding(): void
  /** Ends what runs beside requests, and closes the store. No request may be under way. */
  close(): Promise<void>
}

/** What the server is put together of. */
export interface ServiceParts {
  readonly settings: Settings
  readonly host: Host
  readonly log: Log
}

/** The composition root: opens the store and the keys, and makes the table of routes. */
export async function openService({ settings, host, log }: ServiceParts): Promise<Service> {
  const store = await openStore(settings, host)
  try {
    await store.probe(AbortSignal.timeout(30_000))
    const upkeep = createUpkeep({ store, settings, log, now: host.now })
    const trust = await openLiveTrust(directoryOf(settings), store, log)
    let ending = false
    const routes = await routesOf({
      store: upkeep.store,
      trust,
      settings,
      host,
      log,
      now: host.now,
      isEnding: () => ending,
    })
    const stopMaintaining = everyMinute(() => routes.maintain(), log)
    addUpkeepMetrics(routes.metrics.registry, upkeep)
    startUpkeep(upkeep, { store, settings }, routes.records)
    return {
      http: await httpOptions(settings, trust, routes, host, log),
      upkeep,
      records: routes.records,
      store,
      reload: () => trust.refresh(),
      startEnding: () => {
        ending = true
      },
      close: async () => {
        await upkeep.close()
        await stopMaintaining()
        trust.close()
        await routes.close()
        await store.close()
      },
    }
  } catch (error) {
    await closeQuietly(store)
    throw error
  }
}

/** Does something each minute, never twice at once. @returns what ends it, once it is done with the one under way */
function everyMinute(act: () => Promise<void>, log: Log): () => Promise<void> {
  let underWay: Promise<void> | undefined
  const timer = setInterval(() => {
    underWay ??= act()
      .catch((error: unknown) => log.warn({ reason: String(error) }, 'Upkeep failed, and is tried again'))
      .finally(() => {
        underWay = undefined
      })
  }, 60_000)
  timer.unref()
  return async () => {
    clearInterval(timer)
    await underWay
  }
}

/** What failed first is what is reported. */
async function closeQuietly(store: OpenObjectStore): Promise<void> {
  await store.close().catch(() => {})
}

async function httpOptions(
  settings: Settings,
  trust: LiveTrust,
  routes: Routes,
  host: Host,
  log: Log,
): Promise<Omit<HttpServerOptions, 'tls'>> {
  const isOpen = settings.auth !== 'tokens'
  const verify = createAuthenticator({
    ...tokenParties,
    keys: () => trust.keys(),
    isRevoked: (id) => trust.isRevoked(id),
    now: host.now,
    anonymous: isOpen ? loopbackGrant : settings.publicRead === true ? readerGrant(settings) : nobody,
  })
  return {
    routes: routes.table,
    decide: (grant, needs, target) => decide(grant ?? nobody, needs, target),
    async authenticate(request) {
      const verdict = await verify(request.headers.authorization)
      if (verdict.grant !== undefined) return verdict.grant
      log.info({ remote: request.socket.remoteAddress, reason: verdict.reason }, 'A token was refused')
      throw new HttpError(401, 'UNAUTHORIZED', verdict.told ?? 'the token is not valid')
    },
    ...(routes.signIn === undefined ? {} : { challenges: challengesOf(settings) }),
    headers: distributionHeaders,
    limits: limitsOf(settings),
    base: settings.basePath,
    hosts: isOpen && (await isPrivate(settings.listen)) ? ownNames(settings) : undefined,
    now: host.now,
    onRequest(entry) {
      routes.onRequest(entry)
      if (settings['log.access']) logAccess(log, entry)
    },
    onError: (error, entry) =>
      log.error(
        {
          method: entry.method,
          path: entry.path,
          reason: error instanceof Error ? error.stack : String(error),
        },
        'A request failed, and nobody expected it',
      ),
  }
}

/**
 * What a server that asks nobody who they are answers to. A page of the web can make a browser of this machine send requests to a
 * loopback address under a name of its own; it cannot choose the Host header.
 */
function ownNames({ listen, publicUrl }: Settings): readonly string[] {
  const listening = listen.flatMap((address) =>
    address.kind === 'tcp' ? [formatAddress(address).replace(/:\d+$/, '').toLowerCase()] : [],
  )
  const named = publicUrl === undefined ? undefined : parseUrl(publicUrl)?.hostname
  return ['localhost', '127.0.0.1', '[::1]', ...listening, ...(named === undefined ? [] : [named])]
}

function limitsOf(settings: Settings): HttpServerOptions['limits'] {
  return {
    headersMs: settings['limits.headersTimeout'],
    idleMs: settings['limits.idleTimeout'],
    connections: settings['limits.connections'],
    inFlight: settings['limits.requests'],
  }
}

function logAccess(log: Log, entry: AccessEntry): void {
  const { method, path, status, durationMs, bytesIn, bytesOut, remote, subject, grantId, userAgent } = entry
  const fields = {
    remote,
    method,
    path,
    status,
    ms: Math.round(durationMs * 10) / 10,
    in: bytesIn,
    out: bytesOut,
    subject,
    token: grantId,
    agent: userAgent,
    failure: entry.failure,
    ...(entry.complete ? {} : { broken: true }),
  }
  log.info(fields, 'request')
}
