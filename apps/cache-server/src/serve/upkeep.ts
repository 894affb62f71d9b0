import { randomUUID } from 'node:crypto'
import { statfsSync } from 'node:fs'
import { uptime } from 'node:os'
import { type RecordService, type Retention, type ScrubTarget, Upkeep } from '@tsbuild/cache-service'
import {
  blobLinkKey,
  contentPrefix,
  parseContentDigest,
  parseDistributionKey,
  promiseMs,
  repositoryKeeper,
} from '@tsbuild/distribution'
import type { OpenObjectStore } from '@tsbuild/object-store'
import { type Scope, scopeOfRepository, scopeParts } from '@tsbuild/trust'
import type { Log } from '../log/log.ts'
import type { Space } from '../settings/forms.ts'
import type { Settings } from '../settings/read-settings.ts'

/** What upkeep is made with. */
export interface UpkeepParts {
  readonly store: OpenObjectStore
  readonly settings: Settings
  readonly log: Log
  readonly now: () => number
}

/** A push of an image may be slow: so long its blobs wait for the manifest. */
const pushMs = 24 * 3_600_000

/** Makes what collects and scrubs; {@link startUpkeep} begins. */
export function createUpkeep({ store, settings, log, now }: UpkeepParts): Upkeep {
  return new Upkeep({
    store,
    now,
    id: randomUUID(),
    promiseMs,
    intervalMs: settings['gc.interval'],
    graceMs: settings['gc.grace'],
    bootedMs: now() - uptime() * 1000,
    maxBytes: (bytes) => bytesOf(settings['gc.maxSize'], store.scratch, bytes, settings['limits.minFree']),
    scrubPerDay: (bytes) => scrubBytes(settings['scrub.perDay'], bytes),
    onCollected: (report, ms) => log.info({ ...report, ms }, 'Garbage was collected'),
    onDamage: (damage) => log.error({ ...damage }, 'An object was damaged, and is taken away'),
    onFailure: (what, error) =>
      log.warn({ what, reason: String(error) }, 'Upkeep failed, and is tried again'),
  })
}

/** Begins to collect and to scrub. */
export function startUpkeep(
  upkeep: Upkeep,
  { store, settings }: Pick<UpkeepParts, 'store' | 'settings'>,
  records: RecordService,
): void {
  const retentionOf = (scope: Scope): Retention => ({
    kind: 'cached',
    forMs: settings[scopeParts(scope)?.kind === 'pr' ? 'gc.pullRequestAge' : 'gc.recordAge'],
  })
  const kept: Retention = { kind: 'kept' }
  const repositories = repositoryKeeper<Retention>({
    store,
    kept,
    // What has a tag, and is of no scope, is somebody's image and his to delete.
    retentionOf: (repository, isTagged) => {
      const scope = scopeOfRepository(repository)
      if (scope !== undefined) return retentionOf(scope)
      return isTagged ? kept : { kind: 'cached', forMs: settings['gc.recordAge'] }
    },
    waitMs: (repository) => (scopeOfRepository(repository) === undefined ? pushMs : 0),
  })
  const linkKey = (repository: string, text: string) => {
    const digest = parseContentDigest(text)
    if (digest === undefined) throw new TypeError(`a record names ${text}`)
    return blobLinkKey(repository, digest)
  }
  upkeep.start({ keepers: [records.keeper({ linkKey, retentionOf }), repositories], targets: [contents] })
}

/** Everything that is named by what its bytes hash to. */
export const contents: ScrubTarget = {
  prefix: contentPrefix,
  digestOf: (key) => {
    const parsed = parseDistributionKey(key)
    return parsed?.kind === 'content' ? parsed.digest : undefined
  },
}

/** A share is of the whole file system; whatever is asked for, so much of it stays free. */
function bytesOf(space: Space, directory: string, usedBytes: number, minFree: number): number | undefined {
  const { bsize, blocks, bavail } = statfsSync(directory)
  const possible = Math.max(0, usedBytes + bavail * bsize - minFree)
  if (space === 'unlimited') return possible
  const wanted = 'bytes' in space ? space.bytes : (blocks * bsize * space.percent) / 100
  return Math.min(Math.floor(wanted), possible)
}

/** Each day a share of what there is, or so many bytes. */
function scrubBytes(space: Space, usedBytes: number): number {
  if (space === 'unlimited') return Number.POSITIVE_INFINITY
  return 'bytes' in space ? space.bytes : (usedBytes * space.percent) / 100
}
