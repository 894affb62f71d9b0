/**
 * The child process of the tests with several processes or crashes. Its arguments are a store's root and a
 * {@link WriterTask} in JSON.
 */
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, writeFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import { openStore } from '../open-store.ts'
import type { CacheMount, CacheMountRequest, Store } from '../types.ts'
import {
  failureData,
  failureRef,
  failureText,
  recordText,
  sourceData,
  sourceText,
  type WriterReport,
  type WriterTask,
} from './writer-protocol.ts'

/** Synchronous: what was reported has left the process before it can be killed. */
function report(message: WriterReport): void {
  writeSync(1, `${JSON.stringify(message)}\n`)
}

function killSelf(): Promise<never> {
  process.kill(process.pid, 'SIGKILL')
  return new Promise(() => {})
}

function syncWith(task: WriterTask): (path: string) => Promise<void> {
  const kill = task.do === 'write' ? task.killAtSync : undefined
  let calls = 0
  return async (path) => {
    calls += 1
    if (calls === kill?.call && !kill.after) await killSelf()
    execFileSync('sync', ['-f', path])
    if (calls === kill?.call) await killSelf()
  }
}

function oneLine(): Promise<void> {
  return new Promise((resolve) => process.stdin.once('data', () => resolve()))
}

async function write(store: Store, steps: number): Promise<void> {
  const commits: Promise<void>[] = []
  for (let step = 0; step < steps; step++) {
    const { digest, size } = await store.blobs.put(Buffer.from(`blob ${step}`))
    report({ type: 'blob', digest })
    const draft = await store.snapshots.draft()
    writeFileSync(join(draft.upper, 'data'), `data of ${draft.id}`)
    const keys = [digestBytes(`definition ${step}`), digestBytes(`content ${step}`)]
    const committed = draft.commit([{ keys, text: recordText(draft.id) }])
    commits.push(committed.then(() => report({ type: 'snapshot', id: draft.id, keys })))
    commits.push(fetchSource(store, `source ${step}`))
    const name = `docker.io/library/image:${step}`
    await store.images.set([name], { mediaType: 'application/octet-stream', digest, size })
    report({ type: 'image', name })
  }
  await Promise.all(commits)
}

async function fail(store: Store, times: number): Promise<void> {
  for (let time = 0; time < times; time++) {
    const draft = await store.snapshots.draft()
    const ref = failureRef(time)
    writeFileSync(join(draft.upper, 'data'), failureData(ref))
    await draft.keep(ref, failureText(ref))
    report({ type: 'failure', ref })
  }
}

async function fetchSource(store: Store, name: string): Promise<void> {
  const draft = await store.sources.draft()
  writeFileSync(join(draft.path, 'data'), sourceData(name))
  const { path } = await draft.commit(name, sourceText(name))
  report({ type: 'source', name, path })
}

async function count(store: Store, task: Extract<WriterTask, { do: 'count' }>): Promise<void> {
  for (let time = 0; time < task.times; time++) {
    await store.locks.withLock(task.lock, async () => {
      const before = Number(readFileSync(task.file, 'utf8'))
      await new Promise(setImmediate)
      writeFileSync(task.file, String(before + 1))
    })
  }
}

function openMount(store: Store, id: string, sharing: CacheMountRequest['sharing']): Promise<CacheMount> {
  const make = async (directory: string) => {
    mkdirSync(join(directory, 'fs'))
    writeFileSync(join(directory, 'fs', 'count'), '0')
  }
  return store.cacheMounts.open({ scope: 'main', id, base: null, sharing, make })
}

async function perform(store: Store, task: WriterTask): Promise<void> {
  switch (task.do) {
    case 'put': {
      report({ type: 'ready' })
      await oneLine()
      const { digest } = await store.blobs.put(Buffer.from(task.text))
      return report({ type: 'blob', digest })
    }
    case 'count':
      return count(store, task)
    case 'hold':
      return store.locks.withLock(
        task.lock,
        async () => {
          report({ type: 'held' })
          await oneLine()
        },
        { label: 'the build' },
      )
    case 'mount': {
      const mount = await openMount(store, task.id, task.sharing)
      report({ type: 'mount', path: mount.path })
      await oneLine()
      return mount.release()
    }
    case 'count-mount':
      for (let time = 0; time < task.times; time++) {
        const mount = await openMount(store, 'count', task.sharing)
        const file = join(mount.path, 'count')
        const before = Number(readFileSync(file, 'utf8'))
        await new Promise(setImmediate)
        writeFileSync(file, String(before + 1))
        await mount.release()
      }
      return
    case 'draft': {
      const draft = await store.snapshots.draft()
      writeFileSync(join(draft.upper, 'data'), 'half')
      await store.blobs.ingest()
      const source = await store.sources.draft()
      writeFileSync(join(source.path, 'data'), 'half')
      writeFileSync(join(await store.sources.scratch(), 'data'), 'half')
      report({ type: 'drafted' })
      return oneLine()
    }
    case 'write':
      return write(store, task.steps)
    case 'fail':
      return fail(store, task.times)
  }
}

const [root = '', taskText = ''] = process.argv.slice(2)
const task: WriterTask = JSON.parse(taskText)
const store = await openStore({
  root,
  now: Date.now,
  randomId: () => randomBytes(16).toString('hex'),
  sync: syncWith(task),
  removeTrees: async (paths) => {
    for (const path of paths) rmSync(path, { recursive: true, force: true })
  },
  durability: 'full',
  keptFailures: 1,
})
await perform(store, task)
await store.close()
report({ type: 'end' })
process.stdin.destroy()
