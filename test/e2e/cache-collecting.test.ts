import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodePayload, type StepPayload, stepPayloadType } from '@tsbuild/cache-protocol'
import { Collector, openRecordService, type RecordService, type Retention } from '@tsbuild/cache-service'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import {
  blobLinkKey,
  type ContentDigest,
  contentKey,
  parseContentDigest,
  promiseMs,
  Repositories,
  repositoryKeeper,
} from '@tsbuild/distribution'
import { type OpenObjectStore, openFsStore } from '@tsbuild/object-store'
import { parseScope, repositoryOfScope, signingKeyOf } from '@tsbuild/trust'
import { describe, expect, it, onTestFinished } from 'vitest'

const graceMs = 3_600_000
/** Hours pass in seconds. */
const timesFaster = 10_000
const seconds = process.env.TSBUILD_SOAK === '1' ? 600 : 4
const scope = parseScope('acme/app:ref/main')
const repository = repositoryOfScope(scope)
const digestOf = (text: string) => parseContentDigest(digestBytes(text)) as ContentDigest

/** One server's part of everything, on a directory that others use too. */
interface Server {
  readonly store: OpenObjectStore
  readonly repositories: Repositories
  readonly records: RecordService
  readonly collector: Collector
}

async function openServer(root: string, now: () => number, id: string): Promise<Server> {
  const randomId = () => randomBytes(16).toString('hex')
  const store = await openFsStore({ root, now, randomId, durability: 'none' })
  onTestFinished(() => store.close())
  const repositories = new Repositories(store, now)
  const records = await openRecordService({
    store,
    now,
    key: signingKeyOf(Buffer.alloc(32, 1)),
    hasBlob: async (name, text) =>
      (await repositories.findBlob(name, parseContentDigest(text) as ContentDigest)) !== undefined,
  })
  const cached: Retention = { kind: 'cached', forMs: 4 * graceMs }
  const linkKey = (name: string, digest: string) =>
    blobLinkKey(name, parseContentDigest(digest) as ContentDigest)
  const keepers = [
    records.keeper({ linkKey, retentionOf: () => cached }),
    repositoryKeeper<Retention>({
      store,
      kept: { kind: 'kept' },
      retentionOf: () => cached,
      waitMs: () => 0,
    }),
  ]
  const space = { maxBytes: 60_000, highBytes: 40_000, lowBytes: 20_000 }
  const collector = new Collector({ store, keepers, graceMs, promiseMs, now, id, space: () => space })
  return { store, repositories, records, collector }
}

function payloadOf(name: string, blob: string): StepPayload {
  const key: Digest = digestBytes(`key of ${name}`)
  const layer = {
    mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
    digest: digestBytes(blob),
    size: blob.length,
    diffId: parseDiffId(digestBytes(`tar ${blob}`)),
    form: { format: 'gzip', level: 6, clampMtime: null } as const,
  }
  return {
    v: 1,
    key,
    scope,
    result: {
      keys: [key],
      outputKey: digestBytes(`output ${name}`),
      name,
      layer: [layer],
      createdAt: 1_750_000_000_000,
      durationMs: 1,
    },
    identity: { build: digestBytes('build'), stage: undefined, platform: 'linux/amd64' },
    inputs: [],
    producer: { subject: 'test', builder: 'tsbuild/0.1.0', run: undefined },
  }
}

describe('Collector on what servers really have', () => {
  it(
    'loses nothing that anybody was told of, while two servers work and collect without a pause',
    async () => {
      const root = mkdtempSync(join(tmpdir(), 'tsbuild-collecting-'))
      onTestFinished(() => rmSync(root, { recursive: true, force: true }))
      const begunMs = Date.now()
      const now = () => begunMs + (performance.now() - startedAt) * timesFaster
      const startedAt = performance.now()
      const servers = [await openServer(root, now, 'one'), await openServer(root, now, 'two')]
      const names = Array.from({ length: 120 }, (_, number) => `blob ${number} ${'x'.repeat(1000)}`)
      /** Until when each blob was promised last, unix ms. */
      const promised = new Map<string, number>()
      const lost: string[] = []
      const counts = { promises: 0, checks: 0, evicted: 0, expired: 0, swept: 0, runs: 0 }
      const promise = (blob: string, toldMs: number) => {
        counts.promises += 1
        promised.set(blob, Math.max(promised.get(blob) ?? 0, toldMs + graceMs))
      }
      let isOver = false
      /** Some are in use for a while; others come back when they are about to go. */
      const pick = (turn: number) => {
        const current = Math.floor(now() / (graceMs / 4)) * 5 + ((turn * 7919) % 15)
        return names[(turn % 10 === 9 ? Math.floor(Math.random() * 120) : current) % names.length] ?? ''
      }
      const client = async ({ store, repositories, records }: Server, seed: number) => {
        for (let turn = seed; !isOver; turn += 1) {
          const blob = pick(turn)
          const digest = digestOf(blob)
          const toldMs = now()
          switch (turn % 5) {
            case 0: {
              const sha256 = createHash('sha256').update(blob).digest('hex')
              await store.putIfAbsent(contentKey(digest), Buffer.from(blob), { sha256, size: blob.length })
              await repositories.linkBlob(repository, digest, blob.length)
              promise(blob, toldMs)
              break
            }
            case 1: {
              const payload = Buffer.from(encodePayload(payloadOf(blob.slice(0, 8), blob))).toString('base64')
              const record = { envelope: { payloadType: stepPayloadType, payload, signatures: [] } }
              const [put] = await records.put([{ record, subject: 'test', mayWrite: () => true }])
              if (put?.outcome === 'stored' || put?.outcome === 'same') promise(blob, toldMs)
              break
            }
            case 2: {
              const [found] = await records.lookUp([scope], [payloadOf(blob.slice(0, 8), blob).key])
              // What was asked for half a minute ago counts as asked for: that is in the ten minutes.
              if (found !== undefined) promise(blob, toldMs)
              break
            }
            default:
              if ((await repositories.findBlob(repository, digest)) !== undefined) promise(blob, toldMs)
          }
          await check(store)
        }
      }
      const check = async (store: OpenObjectStore) => {
        const blob = [...promised.keys()][Math.floor(Math.random() * promised.size)] ?? ''
        const untilMs = promised.get(blob) ?? 0
        const link = await store.head(blobLinkKey(repository, digestOf(blob)))
        const content = await store.head(contentKey(digestOf(blob)))
        if (now() > untilMs) return
        counts.checks += 1
        if (link === undefined || content === undefined) lost.push(blob.slice(0, 8))
      }
      const collect = async ({ collector, records }: Server) => {
        while (!isOver) {
          const report = await collector.run(new AbortController().signal)
          for (const count of ['evicted', 'expired', 'swept'] as const) counts[count] += report[count]
          if (report.hadTurn) counts.runs += 1
          await records.maintain()
          await new Promise((resolve) => setTimeout(resolve, 5))
        }
      }
      const working = servers.flatMap((server, number) => [
        client(server, number),
        client(server, number + 2),
        collect(server),
      ])
      await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
      isOver = true
      await Promise.all(working)
      expect(lost, JSON.stringify(counts)).toEqual([])
      // Not because nothing went: the cache is too small for all of it.
      expect(counts.swept, JSON.stringify(counts)).toBeGreaterThan(0)
      expect(counts.checks).toBeGreaterThan(100)
    },
    (seconds + 60) * 1000,
  )
})
