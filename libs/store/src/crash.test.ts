import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseDigest } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { isSnapshotId } from './layout.ts'
import { openStore } from './open-store.ts'
import { storeOptions, temporaryDirectory } from './testing/temporary-store.ts'
import { verifyStore } from './testing/verify-store.ts'
import { type WriterProcess, writerProcesses } from './testing/writer-process.ts'
import { recordText, type WriterReport, type WriterTask } from './testing/writer-protocol.ts'

const spawnWriter = writerProcesses()
const steps = 2

/** The system calls that make, fill, name, sync, lock and delete: before each one a writer is killed. */
const syscalls = ['mkdir', 'openat', 'write', 'fchmod', 'fsync', 'link', 'rename', 'unlink', 'fcntl', 'rmdir']

const strace = spawnSync('strace', ['-qq', '-e', 'trace=none', 'true']).status === 0
if (!strace && process.env.CI !== undefined) throw new Error('strace is needed to test crashes: install it')

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

async function diedOf(writer: WriterProcess): Promise<'finished' | 'killed'> {
  const { code, signal } = await writer.ended
  if (code === 0) return 'finished'
  // strace ends with the signal of its program.
  expect(signal).toBe('SIGKILL')
  return 'killed'
}

describe('a writer that is killed', () => {
  it('leaves a whole store when nobody kills it', async () => {
    const root = temporaryDirectory()
    const writer = spawnWriter(root, { do: 'write', steps })
    expect(await diedOf(writer)).toBe('finished')
    expect(writer.reports.map(({ type }) => type).toSorted()).toEqual([
      'blob',
      'blob',
      'end',
      'image',
      'image',
      'snapshot',
      'snapshot',
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
      expect(await diedOf(writer)).toBe('killed')
      await expectIntact(root, writer.reports)
    },
    30_000,
  )
})

/** Runs a process under strace; with `-y` the calls on a descriptor show its path. */
function traced(syscall: string, options: readonly string[]): readonly string[] {
  return [
    'strace',
    '-f',
    '-qq',
    '-y',
    '--seccomp-bpf',
    '-e',
    `trace=${syscall}`,
    '-e',
    'signal=none',
    ...options,
  ]
}

/**
 * Runs the task to its end and tells which of the calls touch the store: strace counts each thread's calls on their own,
 * so these are numbers within a thread.
 */
async function killPoints(syscall: string, root: string, task: WriterTask): Promise<readonly number[]> {
  const log = join(temporaryDirectory('trace-'), 'log')
  const writer = spawnWriter(root, task, traced(syscall, ['-o', log]))
  expect(await diedOf(writer)).toBe('finished')
  const counts = new Map<string, number>()
  const points = new Set<number>()
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const [, thread, call] = /^(\d+) +(\w+\(.*)$/.exec(line) ?? []
    if (thread === undefined || call === undefined) continue
    const number = (counts.get(thread) ?? 0) + 1
    counts.set(thread, number)
    const changes = syscall !== 'openat' || call.includes('O_CREAT')
    if (changes && call.includes(root)) points.add(number)
  }
  return [...points]
}

describe.skipIf(!strace)('a writer that is killed before any system call on the store', () => {
  const inEmpty = async () => temporaryDirectory()
  const inStore = async () => {
    const root = temporaryDirectory()
    await (await openStore(storeOptions(root))).close()
    return root
  }
  const cases = syscalls.flatMap((syscall) => [
    { syscall, what: 'two steps', task: { do: 'write', steps } as const, prepare: inStore },
    { syscall, what: 'a new store', task: { do: 'write', steps: 0 } as const, prepare: inEmpty },
  ])

  it.each(cases)(
    'leaves what it reported and nothing half done: $what, $syscall',
    async ({ syscall, task, prepare }) => {
      for (const when of await killPoints(syscall, await prepare(), task)) {
        const root = await prepare()
        const inject = `inject=${syscall}:signal=SIGKILL:when=${when}`
        const writer = spawnWriter(root, task, traced(syscall, ['-o', '/dev/null', '-e', inject]))
        expect(await diedOf(writer), inject).toBe('killed')
        await expectIntact(root, writer.reports)
      }
    },
    120_000,
  )
})
