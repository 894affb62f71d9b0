import { randomBytes, randomUUID } from 'node:crypto'
import { statfsSync } from 'node:fs'
import {
  cacheRoutes,
  createMetrics,
  defaultQuota,
  healthRoutes,
  type Metrics,
  openRecordService,
  Quota,
  type RecordService,
} from '@tsbuild/cache-service'
import {
  createDiskRoom,
  type Distribution,
  distributionRoutes,
  parseContentDigest,
  type SignIn,
} from '@tsbuild/distribution'
import type { AccessEntry, Route } from '@tsbuild/http-server'
import type { OpenObjectStore } from '@tsbuild/object-store'
import type { Host } from '../host.ts'
import type { Log } from '../log/log.ts'
import type { Settings } from '../settings/read-settings.ts'
import { tokenParties } from '../tokens/claims.ts'
import type { LiveTrust } from './live-trust.ts'
import { proxyOf } from './proxy.ts'
import { signInOf } from './sign-in.ts'

/** What the routes of all libs are made with. */
export interface RouteParts {
  readonly store: OpenObjectStore
  readonly trust: LiveTrust
  readonly settings: Settings
  readonly log: Log
  readonly host: Pick<Host, 'env'>
  readonly now: () => number
  readonly isEnding: () => boolean
}

/** The table of routes, and what goes with it. */
export interface Routes {
  readonly table: readonly Route[]
  readonly records: RecordService
  readonly metrics: Metrics
  /** Undefined where nobody may read without a token. */
  readonly signIn: SignIn | undefined
  /** To be told of each request that has ended. */
  onRequest(entry: AccessEntry): void
  /** What is done each minute. */
  maintain(): Promise<void>
  close(): Promise<void>
}

/** Puts the routes of all libs together: `/v2` of distribution, `/v1` of cache-service and token-exchange, and those about health. */
export async function routesOf(parts: RouteParts): Promise<Routes> {
  const { settings, trust, now } = parts
  const signIn = signInOf(settings, trust, now)
  const distribution = openDistribution(parts, signIn)
  const records = await openRecords(parts, distribution)
  const metrics = createMetrics(records)
  const quota = new Quota(quotaOf(settings), now, records.tally)
  const table = [
    ...distribution.routes,
    ...cacheRoutes({ service: records, maxBlobBytes: settings['limits.blobSize'] }),
    ...(await exchangeRoutesOf(parts)),
    ...healthOf(parts, metrics),
  ]
  return {
    table: quota.guard(table),
    records,
    metrics,
    signIn,
    onRequest(entry) {
      metrics.onRequest(entry)
      quota.onRequest(entry)
    },
    async maintain() {
      await records.maintain()
      await distribution.uploads.expire(settings['limits.uploadAge'])
    },
    close: () => records.close(),
  }
}

function healthOf({ store, settings, now, isEnding }: RouteParts, { registry }: Metrics): readonly Route[] {
  return healthRoutes({
    probe: (signal) => store.probe(signal),
    isEnding,
    registry,
    publicMetrics: settings.publicMetrics === true,
    now,
  })
}

function openDistribution({ store, settings, now }: RouteParts, signIn: SignIn | undefined): Distribution {
  const room = createDiskRoom(() => freeBytes(store.scratch), settings['limits.minFree'])
  return distributionRoutes({
    store,
    now,
    signIn,
    randomHex: (digits) =>
      randomBytes(Math.ceil(digits / 2))
        .toString('hex')
        .slice(0, digits),
    limits: {
      blobBytes: settings['limits.blobSize'],
      uploads: settings['limits.uploads'],
      uploadsPerToken: settings['limits.uploadsPerToken'],
    },
    room,
    allowance: {
      left(grant) {
        room.reserve(0).release()
        return grant.maxBytes ?? Number.POSITIVE_INFINITY
      },
      sent() {},
    },
  })
}

function freeBytes(directory: string): number {
  const { bavail, bsize } = statfsSync(directory)
  return bavail * bsize
}

async function openRecords(
  { store, trust, settings, log, now }: RouteParts,
  { repositories }: Distribution,
): Promise<RecordService> {
  return await openRecordService({
    store,
    now,
    async hasBlob(repository, text) {
      const digest = parseContentDigest(text)
      return digest !== undefined && (await repositories.findBlob(repository, digest)) !== undefined
    },
    // As they are now: `keys rotate` and `keys remove` are for a server that runs.
    get key() {
      return trust.signingKey()
    },
    get formerKeys() {
      return trust.signingKeys().slice(1)
    },
    recordLimits: { all: settings['limits.records'], perScope: settings['limits.recordsPerScope'] },
    onRebuilt: (count, ms) => log.info({ records: count, ms }, 'The index of records was made anew'),
  })
}

function quotaOf(settings: Settings) {
  return {
    ...defaultQuota,
    requestsPerSecond: settings['quota.requestsPerSecond'],
    burst: settings['quota.burst'],
    maxBytes: settings['quota.tokenBytes'],
  }
}

/** Loaded where an issuer is configured: most servers have none. */
async function exchangeRoutesOf({ trust, settings, host, log, now }: RouteParts): Promise<readonly Route[]> {
  if (settings.oidc === undefined) return []
  const { createFetchJson, createKeySets, exchangeRoutes, readExchangeConfig } = await import(
    '@tsbuild/token-exchange'
  )
  const { createTransport } = await import('@tsbuild/http')
  const issuers = readExchangeConfig(settings.oidc, settings.file ?? 'oidc')
  const transport = createTransport({ proxy: proxyOf(host.env) })
  return exchangeRoutes({
    ...tokenParties,
    issuers,
    findKey: createKeySets({ fetchJson: createFetchJson(transport), now }),
    get key() {
      return trust.signingKey()
    },
    now,
    newId: randomUUID,
    onExchange: ({ outcome, ...facts }) => log.info(facts, `An identity token was ${outcome}`),
  })
}
