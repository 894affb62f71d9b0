import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDigest } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { isSnapshotId } from './layout.ts'
import { openStore } from './open-store.ts'
import { canTrace, readTrace, traced } from './testing/strace.ts'
import { storeOptions, temporaryDirectory } from './testing/temporary-store.ts'
import { verifyStore } from './testing/verify-store.ts'
import { type WriterProcess, writerProcesses } from './testing/writer-process.ts'
import {
  recordText,
  sourceData,
  sourceText,
  type WriterReport,
  type WriterTask,
} from './testing/writer-protocol.ts'

const spawnWriter = writerProcesses()
const steps = 2

/** One kind of fault at every call of a kind. */
interface Fault {
  readonly syscall: string
  /** For strace's `inject`. */
  readonly effect: 'signal=SIGKILL' | 'error=EIO' | 'error=ENOSPC'
  /** What the writer must say where it is not killed. */
  readonly code?: 'ERR_STORE_IO' | 'ERR_STORE_NO_SPACE'
}

const killAt = (syscall: string): Fault => ({ syscall, effect: 'signal=SIGKILL' })
const fullAt = (syscall: string): Fault => ({ syscall, effect: 'error=ENOSPC', code: 'ERR_STORE_NO_SPACE' })
const brokenAt = (syscall: string): Fault => ({ syscall, effect: 'error=EIO', code: 'ERR_STORE_IO' })

/** The system calls that make, fill, name, sync, lock and delete. */
const whileMaking = ['mkdir', 'openat', 'write', 'link', 'unlink', 'fcntl', 'rmdir']
const whileWriting = [...whileMaking, 'fchmod', 'fsync', 'rename']
/** Not `openat` and `write`: the runtime's own calls of that number would fail. A small disk does it for those. */
const failing = ['mkdir', 'link', 'rename']

const strace = canTrace()

/** What a writer said is durable is there after it died, and nothing is half there. */
async function expectIntact(root: string, reports: readonly WriterReport[]): Promise<void> {
  const store = await openStore(storeOptions(root))
  await store.close()
  verifyStore(store)
  for (const report of reports) {
    switch (report.type) {
      case 'blob':
        expect(await store.blobs.size(parseDigest(report.digest))).toBeGreaterThan(0)
        break
      case 'snapshot':
        expect(isSnapshotId(report.id) && store.snapshots.has(report.id)).toBe(true)
        for (const key of report.keys) expect(store.records.get(parseDigest(key))).toBe(recordText(report.id))
        break
      case 'source':
        expect(store.sources.get(report.name)).toEqual({ path: report.path, text: sourceText(report.name) })
        expect(readFileSync(join(report.path, 'data'), 'utf8')).toBe(sourceData(report.name))
        break
      case 'failure':
        expect(store.failures.list().some(({ ref }) => ref >= report.ref)).toBe(true)
        break
      case 'image':
        expect(await store.images.get(report.name)).toBeDefined()
        break
    }
  }
  await expectUsable(root)
}

/** The same work is done again over what the dead writer left. */
async function expectUsable(root: string): Promise<void> {
  const store = await openStore(storeOptions(root))
  const blob = await store.blobs.put(Buffer.from('blob 0'))
  expect((await store.blobs.read(blob.digest)).toString()).toBe('blob 0')
  await store.images.set(['docker.io/library/image:0'], { mediaType: 'm', ...blob })
  await store.close()
}

/** How a writer ended; strace ends with the signal or the code of its program. */
async function endOf(writer: WriterProcess): Promise<'finished' | 'killed' | 'failed'> {
  const { code, signal } = await writer.ended
  if (code === 0) return 'finished'
  return signal === 'SIGKILL' ? 'killed' : 'failed'
}

describe('a writer that is killed', () => {
  it('leaves a whole store when nobody kills it', async () => {
    const root = temporaryDirectory()
    const writer = spawnWriter(root, { do: 'write', steps })
    expect(await endOf(writer)).toBe('finished')
    expect(writer.reports.map(({ type }) => type).toSorted()).toEqual([
      'blob',
      'blob',
      'end',
      'image',
      'image',
      'snapshot',
      'snapshot',
      'source',
      'source',
    ])
    await expectIntact(root, writer.reports)
  }, 30_000)

  it.each([
    [1, false],
    [1, true],
    [2, false],
    [2, true],
    [3, false],
    [3, true],
  ])(
    'at sync %i (done: %s) keeps what it reported',
    async (call, after) => {
      const root = temporaryDirectory()
      const writer = spawnWriter(root, { do: 'write', steps, killAtSync: { call, after } })
      expect(await endOf(writer)).toBe('killed')
      await expectIntact(root, writer.reports)
    },
    30_000,
  )
})

/**
 * Runs the task to its end and tells which of the calls change the store: strace counts each thread's calls on their
 * own, so these are numbers within a thread.
 */
async function pointsOf(fault: Fault, root: string, task: WriterTask): Promise<readonly number[]> {
  const log = join(temporaryDirectory('trace-'), 'log')
  const writer = spawnWriter(root, task, traced([fault.syscall], log))
  expect(await endOf(writer)).toBe('finished')
  const counts = new Map<string, number>()
  const points = new Set<number>()
  for (const { thread, text } of readTrace(log)) {
    const number = (counts.get(thread) ?? 0) + 1
    counts.set(thread, number)
    if (isOurs(fault, text, root)) points.add(number)
  }
  return [...points]
}

/** Opening without making changes nothing; `fs/data` is what the test itself writes into a draft. */
function isOurs({ syscall }: Fault, call: string, root: string): boolean {
  return (
    call.includes(root) && !call.includes('/fs/data') && (syscall !== 'openat' || call.includes('O_CREAT'))
  )
}

/** The runtime makes one or two calls more or less of its own in each run, so the last point is not always there. */
async function reachPoint(fault: Fault, task: WriterTask, prepare: () => Promise<string>, inject: string) {
  for (let attempt = 1; ; attempt++) {
    const root = await prepare()
    const writer = spawnWriter(root, task, traced([fault.syscall], '/dev/null', inject))
    const end = await endOf(writer)
    if (end !== 'finished' || attempt === 10) return { root, writer, end }
  }
}

async function expectSurvival(fault: Fault, task: WriterTask, prepare: () => Promise<string>): Promise<void> {
  const points = await pointsOf(fault, await prepare(), task)
  expect(points.length).toBeGreaterThan(0)
  for (const when of points) {
    const inject = `${fault.syscall}:${fault.effect}:when=${when}`
    const { root, writer, end } = await reachPoint(fault, task, prepare, inject)
    // Where the `sync` process has a call of that number too, its death makes the writer fail: as good a test.
    expect(end, inject).not.toBe('finished')
    if (fault.code !== undefined) expect(writer.errorText(), inject).toContain(fault.code)
    await expectIntact(root, writer.reports)
  }
}

describe.skipIf(!strace)('a writer that meets a fault at any system call on the store', () => {
  const inEmpty = async () => temporaryDirectory()
  const inStore = async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    return root
  }
  const writing = [...whileWriting.map(killAt), ...failing.map(fullAt), brokenAt('fsync')]

  it.each(writing)(
    'leaves what it reported and nothing half done when it writes and has $effect at $syscall',
    (fault) => expectSurvival(fault, { do: 'write', steps }, inStore),
    120_000,
  )

  it.each(['mkdir', 'openat', 'write', 'rename', 'unlink', 'fcntl', 'rmdir'].map(killAt))(
    'leaves whole failures and nothing half done when it keeps them and has $effect at $syscall',
    (fault) => expectSurvival(fault, { do: 'fail', times: 3 }, inStore),
    120_000,
  )

  it.each(whileMaking.map(killAt))(
    'leaves a store that can be finished when it makes one and has $effect at $syscall',
    (fault) => expectSurvival(fault, { do: 'write', steps: 0 }, inEmpty),
    120_000,
  )
})
