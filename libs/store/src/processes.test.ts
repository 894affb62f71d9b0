import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it, onTestFinished } from 'vitest'
import { Holders } from './holders.ts'
import { Layout } from './layout.ts'
import { FileLocks } from './locks.ts'
import { openStore } from './open-store.ts'
import { Session } from './session.ts'
import { storeOptions, temporaryDirectory, temporaryStore } from './testing/temporary-store.ts'
import { verifyStore } from './testing/verify-store.ts'
import { writerProcesses } from './testing/writer-process.ts'

const spawnWriter = writerProcesses()
const eight = Array.from({ length: 8 }, (_, index) => index)

describe('several processes on one store', () => {
  it('put() keeps one good blob when eight processes write it at once', async () => {
    const root = temporaryDirectory()
    const text = 'x'.repeat(100_000)
    const writers = eight.map(() => spawnWriter(root, { do: 'put', text }))
    await Promise.all(writers.map((writer) => writer.reported('ready')))
    for (const writer of writers) writer.proceed()
    for (const writer of writers) expect(await writer.ended).toEqual({ code: 0, signal: null })
    const store = await openStore(storeOptions(root))
    expect(readdirSync(join(root, 'v1', 'blobs', 'sha256'))).toHaveLength(1)
    expect(await store.blobs.size(digestBytes(text))).toBe(100_000)
    await store.close()
    verifyStore(store)
  }, 30_000)

  it('withLock() excludes eight processes from each other', async () => {
    const root = temporaryDirectory()
    const file = join(temporaryDirectory('count-'), 'count')
    writeFileSync(file, '0')
    const writers = eight.map(() => spawnWriter(root, { do: 'count', lock: 'step', file, times: 25 }))
    for (const writer of writers) expect(await writer.ended).toEqual({ code: 0, signal: null })
    expect(readFileSync(file, 'utf8')).toBe('200')
  }, 60_000)

  it('withLock() takes over from a killed holder within a second', async () => {
    const store = await temporaryStore()
    const holder = spawnWriter(store.root, { do: 'hold', lock: 'step' })
    await holder.reported('held')
    let noticed = () => {}
    const waiting = new Promise<void>((resolve) => (noticed = resolve))
    const taken = store.locks.withLock('step', async () => performance.now(), {
      onWait: noticed,
      waitNoticeMs: 20,
    })
    await waiting
    const killed = performance.now()
    holder.process.kill('SIGKILL')
    expect((await taken) - killed).toBeLessThan(1_000)
  }, 30_000)

  it.each([
    ['works', 'SIGCONT', false],
    ['is stopped', 'SIGSTOP', true],
  ] as const)(
    'withLock() says who holds a lock when the holder %s',
    async (_, signal, stopped) => {
      const store = await temporaryStore()
      const holder = spawnWriter(store.root, { do: 'hold', lock: 'step' })
      await holder.reported('held')
      const { pid = 0 } = holder.process
      process.kill(pid, signal)
      let state = ''
      while (stopped !== (state === 'T'))
        state = /\) (\w)/.exec(readFileSync(`/proc/${pid}/stat`, 'utf8'))?.[1] ?? ''
      const told = new Promise<unknown>((resolve) => {
        const body = async () => {}
        const waiting = store.locks.withLock('step', body, { onWait: resolve, waitNoticeMs: 20 })
        onTestFinished(() => waiting)
      })
      expect(await told).toEqual({ pid, label: 'the build', stopped })
      process.kill(pid, 'SIGKILL')
    },
    30_000,
  )

  it('withLock() names nobody once the lock is free, whatever the last holder left', async () => {
    const store = await temporaryStore()
    const holder = spawnWriter(store.root, { do: 'hold', lock: 'step' })
    await holder.reported('held')
    const notes = () =>
      readdirSync(join(store.root, 'v1', 'ingest'), { recursive: true }).filter((name) =>
        String(name).includes('holds-'),
      )
    expect(notes()).toHaveLength(1)
    holder.process.kill('SIGKILL')
    await holder.ended
    await store.locks.withLock(
      'step',
      async () => {
        // The dead one's note is there until its session is swept, and a second waiter is not led astray by it.
        const own = new Promise<unknown>((resolve) => {
          const other = new FileLocks(
            join(store.root, 'v1', 'locks', 'steps'),
            new Holders(
              new Layout(store.root),
              new Session(new Layout(store.root), storeOptions(store.root)),
            ),
          )
          const abort = new AbortController()
          const waiting = other.withLock('step', async () => {}, {
            signal: abort.signal,
            waitNoticeMs: 20,
            onWait: (who) => {
              abort.abort()
              resolve(who)
            },
          })
          waiting.catch(() => {})
        })
        expect(await own).toMatchObject({ pid: process.pid, label: 'mine' })
      },
      { label: 'mine' },
    )
    expect(notes()).toHaveLength(1)
  }, 30_000)

  it('withLock() of a lock that another process holds can be aborted, and other names are free', async () => {
    const store = await temporaryStore()
    const holder = spawnWriter(store.root, { do: 'hold', lock: 'step' })
    await holder.reported('held')
    expect(await store.locks.withLock('another step', async () => 'free')).toBe('free')
    const abort = new AbortController()
    const body = () => expect.unreachable('the body ran')
    let notices = 0
    const onWait = () => {
      notices += 1
      abort.abort()
    }
    const waiting = store.locks.withLock('step', body, { signal: abort.signal, onWait, waitNoticeMs: 100 })
    await expect(waiting).rejects.toMatchObject({ code: 'ERR_CANCELLED', kind: 'user' })
    expect(notices).toBe(1)
    holder.proceed()
    await holder.ended
    expect(await store.locks.withLock('step', async () => 'had')).toBe('had')
  }, 30_000)

  it('open() locked excludes eight processes from each other, and they make one directory', async () => {
    const root = temporaryDirectory()
    const writers = eight.map(() => spawnWriter(root, { do: 'count-mount', sharing: 'locked', times: 15 }))
    for (const writer of writers) expect(await writer.ended).toEqual({ code: 0, signal: null })
    const mounts = join(root, 'v1', 'mounts')
    const [name = '', ...others] = readdirSync(mounts)
    expect([others, readdirSync(join(mounts, name))]).toEqual([[], ['0']])
    expect(readFileSync(join(mounts, name, '0', 'fs', 'count'), 'utf8')).toBe('120')
  }, 60_000)

  it('open() shared is one directory for two processes, private is one for each', async () => {
    const root = temporaryDirectory()
    const paths = async (sharing: 'shared' | 'private') => {
      const holders = [0, 1].map(() => spawnWriter(root, { do: 'mount', id: sharing, sharing }))
      await Promise.all(holders.map((holder) => holder.reported('mount')))
      for (const holder of holders) holder.proceed()
      await Promise.all(holders.map((holder) => holder.ended))
      return holders.flatMap(({ reports }) => reports.map((report) => report.type === 'mount' && report.path))
    }
    const [one, other] = [await paths('shared'), await paths('private')]
    expect([new Set(one.filter(Boolean)).size, new Set(other.filter(Boolean)).size]).toEqual([1, 2])
  }, 30_000)

  it('open() locked takes over from a killed holder within a second', async () => {
    const store = await temporaryStore()
    const holder = spawnWriter(store.root, { do: 'mount', id: 'x', sharing: 'locked' })
    await holder.reported('mount')
    let noticed = () => {}
    const waiting = new Promise<void>((resolve) => (noticed = resolve))
    const make = async () => expect.unreachable('it is there already')
    const request = { scope: 'main', id: 'x', base: null, sharing: 'locked', make } as const
    const taken = store.cacheMounts
      .open(request, { onWait: noticed, waitNoticeMs: 20 })
      .then((mount) => ({ mount, at: performance.now() }))
    await waiting
    const killed = performance.now()
    holder.process.kill('SIGKILL')
    const { mount, at } = await taken
    expect(at - killed).toBeLessThan(1_000)
    await mount.release()
  }, 30_000)

  it('draft() and put() give the same modes under any umask', async () => {
    const root = temporaryDirectory()
    const umask = ['sh', '-c', 'umask 077 && exec "$@"', 'sh']
    const writer = spawnWriter(root, { do: 'write', steps: 1 }, umask)
    expect(await writer.ended).toEqual({ code: 0, signal: null })
    for (const report of writer.reports) {
      if (report.type === 'snapshot') {
        expect(statSync(join(root, 'v1', 'snapshots', report.id, 'fs')).mode & 0o777).toBe(0o755)
      }
    }
    const store = await openStore(storeOptions(root))
    await store.close()
    verifyStore(store)
  }, 30_000)

  it('openStore() sweeps the drafts of a killed process and none of a live one', async () => {
    const root = temporaryDirectory()
    const [dead, alive] = [spawnWriter(root, { do: 'draft' }), spawnWriter(root, { do: 'draft' })]
    await Promise.all([dead.reported('drafted'), alive.reported('drafted')])
    dead.process.kill('SIGKILL')
    await dead.ended
    const snapshots = join(root, 'v1', 'snapshots')
    const sources = join(root, 'v1', 'sources', 'trees')
    expect([readdirSync(snapshots).length, readdirSync(sources).length]).toEqual([2, 2])
    await (await openStore(storeOptions(root))).close()
    expect([readdirSync(snapshots).length, readdirSync(sources).length]).toEqual([1, 1])
    expect(readdirSync(join(root, 'v1', 'ingest'))).toHaveLength(1)
    alive.proceed()
    expect(await alive.ended).toEqual({ code: 0, signal: null })
    verifyStore(await openStore(storeOptions(root)))
  }, 30_000)
})

describe('FileLocks', () => {
  const locks = () => new FileLocks(join(temporaryDirectory(), 'locks'))

  it('withLock() runs callers of one name one after the other, in order', async () => {
    const { withLock } = bound(locks())
    const order: number[] = []
    await Promise.all(
      eight.map((index) =>
        withLock('a', async () => {
          order.push(index)
          await new Promise(setImmediate)
          order.push(index)
        }),
      ),
    )
    expect(order).toEqual(eight.flatMap((index) => [index, index]))
  })

  it('withLock() lets go when the body throws, and passes its error on', async () => {
    const { withLock } = bound(locks())
    const failing = withLock('a', () => Promise.reject(new Error('body')))
    const next = withLock('a', async () => 'next')
    await expect(failing).rejects.toThrow('body')
    expect(await next).toBe('next')
  })

  it('withLock() leaves the queue of its own process when it is aborted', async () => {
    const { withLock } = bound(locks())
    let end = () => {}
    const first = withLock('a', () => new Promise<void>((resolve) => (end = resolve)))
    const abort = new AbortController()
    const second = withLock('a', () => expect.unreachable('the body ran'), { signal: abort.signal })
    const third = withLock('a', async () => 'third')
    abort.abort()
    await expect(second).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    end()
    await first
    expect(await third).toBe('third')
    const aborted = withLock('a', () => expect.unreachable('the body ran'), { signal: AbortSignal.abort() })
    await expect(aborted).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
  })

  it('withLock() makes a lock file that stays empty', async () => {
    const root = temporaryDirectory()
    const store = await openStore(storeOptions(root))
    await store.locks.withLock('a', async () => {})
    expect(statSync(join(root, 'v1', 'locks', 'steps')).size).toBe(0)
    await store.close()
  })
})

function bound(locks: FileLocks): Pick<FileLocks, 'withLock'> {
  return { withLock: (name, body, options) => locks.withLock(name, body, options) }
}
