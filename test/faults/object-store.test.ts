import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buffer } from 'node:stream/consumers'
import { digestBytes } from '@tsbuild/digest'
import { type OpenObjectStore, openFsStore } from '@tsbuild/object-store'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { repository } from '../support/repository.ts'
import { run } from '../support/tsbuild.ts'
import { pointsOf, readLog, type SyscallPoint, straceWords } from './strace.ts'
import { failures, inParallel, isSoak, keepFigures, sample, seed, type Verdict } from './tally.ts'

let folder = ''
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-faults-objects-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const writer = [process.execPath, join(repository, 'test/faults/object-writer.mjs')]
/** The system calls that make, fill, name, sync, lock and delete. */
const syscalls = [
  ...['write', 'pwrite64', 'fsync', 'fdatasync', 'utimensat', 'openat'],
  ...['link', 'rename', 'unlink', 'rmdir', 'mkdir', 'fcntl'],
]
/** Not `openat` and `write`: calls of the runtime have these numbers too. A small disk does it for those. */
const failing = ['fsync', 'fdatasync', 'link', 'rename', 'mkdir', 'utimensat']

/** What the writer was told, a line each. */
type Said = Readonly<Record<string, string | boolean | null>>

interface End {
  readonly said: readonly Said[]
  readonly signal: string | null
  readonly code: number | null
}

let roots = 0

/** Runs the writer on a store, below strace. */
async function write(root: string, log: string, inject?: string): Promise<End> {
  const [first = '', ...words] = [...straceWords(log, syscalls, inject, ['-D']), ...writer, root]
  const { stdout, code, signal } = await run(first, words, {
    cwd: repository,
    // strace counts the calls of each thread on their own.
    env: { ...process.env, UV_THREADPOOL_SIZE: '1' } as Record<string, string>,
  })
  const said = stdout.split('\n').filter((line) => line !== '')
  return { said: said.map((line) => JSON.parse(line) as Said), signal, code }
}

/** The calls of a whole run that touch the store. */
async function countPoints(): Promise<readonly SyscallPoint[]> {
  const log = join(folder, 'log')
  const root = join(folder, 'counted')
  const { said } = await write(root, log)
  expect(said.at(-1)).toEqual({ closed: true })
  const calls = readLog(log).filter(({ text }) => text.includes(root))
  return pointsOf(calls).filter(
    ({ syscall, when }) =>
      syscall !== 'openat' ||
      calls.some((call) => call.syscall === syscall && call.when === when && /O_CREAT/.test(call.text)),
  )
}

async function openStore(root: string): Promise<OpenObjectStore> {
  return openFsStore({
    root,
    now: Date.now,
    randomId: () => randomBytes(16).toString('hex'),
    durability: 'none',
  })
}

/** What is wrong with a store after its writer ended. */
async function judge(root: string, said: readonly Said[], point: string, reached: boolean): Promise<Verdict> {
  const lost: string[] = []
  const corrupt: string[] = []
  const leaked: string[] = []
  const store = await openStore(root)
  const keys = new Set<string>()
  for await (const { key } of store.list('blobs/')) {
    keys.add(key)
    const body = await store.get(key)
    const digest = digestBytes(body === undefined ? '' : await buffer(body.stream))
    if (`blobs/${digest.replace(':', '/')}` !== key) corrupt.push(`${key} has the digest ${digest}`)
  }
  const deleting = said.some((line) => 'deleting' in line)
  for (const line of said) {
    const key = String(line.put)
    const mayBeGone = deleting && said.some((other) => other.deleting === key)
    if ('put' in line && !keys.has(key) && !mayBeGone) lost.push(key)
    if ('deleted' in line && keys.has(String(line.deleted))) lost.push(`deletion of ${line.deleted}`)
  }
  const values = said.flatMap((line) => ('value' in line ? [line.value] : []))
  const wanted = [values.at(-1) ?? null, said.findLast((line) => 'replacing' in line)?.replacing ?? null]
  const body = await store.get('names/a')
  const value = body === undefined ? null : (await buffer(body.stream)).toString()
  if (!wanted.includes(value)) lost.push(`names/a is ${value}, expected one of ${wanted.join()}`)
  const sessions = readdirSync(join(root, 'v1', 'temporary'))
  if (sessions.length !== 1) leaked.push(`${sessions.length} sessions`)
  await store.close()
  const again = await write(root, '/dev/null')
  if (again.said.at(-1)?.closed !== true) corrupt.push(`it cannot be used again: ${JSON.stringify(again)}`)
  return { point, reached, lost, corrupt, leaked }
}

describe('an object store in a directory', () => {
  it('loses nothing and shows nothing half when its process is killed at a system call', async (t) => {
    needs(t, 'root', 'program strace')
    const points = await countPoints()
    expect(new Set(points.map(({ syscall }) => syscall)).size).toBeGreaterThan(8)
    const verdicts = await inParallel(sample(points, 24), 2, async ({ syscall, when }) => {
      const root = join(folder, `${++roots}`)
      const { said, signal } = await write(root, '/dev/null', `${syscall}:signal=SIGKILL:when=${when}`)
      return await judge(root, said, `kill at ${syscall} ${when}`, signal === 'SIGKILL')
    })
    keepFigures('kill-object-store', verdicts)
    expect(failures(verdicts), `seed ${seed}`).toEqual([])
    expect(verdicts.filter(({ reached }) => reached).length).toBeGreaterThan(verdicts.length / 2)
  })

  it.each([
    ['EIO', 'ERR_STORE_IO'],
    ['ENOSPC', 'ERR_STORE_NO_SPACE'],
  ])('says %s of a system call as %s, and keeps what it acknowledged', async (errno, code) => {
    const points = (await countPoints()).filter(({ syscall }) => failing.includes(syscall))
    const wanted = isSoak ? points : sample(points, 12)
    const verdicts = await inParallel(wanted, 2, async ({ syscall, when }) => {
      const root = join(folder, `${++roots}`)
      const { said } = await write(root, '/dev/null', `${syscall}:error=${errno}:when=${when}`)
      const failed = said.find((line) => 'failed' in line)?.failed
      const verdict = await judge(root, said, `${errno} at ${syscall} ${when}`, failed !== undefined)
      return failed === undefined || failed === code
        ? verdict
        : { ...verdict, corrupt: [...verdict.corrupt, `it says ${failed}`] }
    })
    keepFigures(`${errno.toLowerCase()}-object-store`, verdicts)
    expect(failures(verdicts), `seed ${seed}`).toEqual([])
    expect(verdicts.filter(({ reached }) => reached).length).toBeGreaterThan(verdicts.length / 2)
  })
})
