import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Native } from '@tsbuild/native'
import { realHelper } from '@tsbuild/native/testing'
import type { SnapshotId, Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { createMergedRuns, mergedKey } from './merged-runs.ts'

const signal = new AbortController().signal
/** Small enough for tests: runs of 3, stacks of more than 5 are shortened, and 12 is what an overlay takes. */
const merging = { run: 3, above: 5, most: 12 }

let store: Store
beforeEach(async () => {
  store = await temporaryStore()
})

/** Committed snapshots, lowest first, each with a file of its number. */
async function snapshots(count: number): Promise<SnapshotId[]> {
  const made: SnapshotId[] = []
  for (let at = 0; at < count; at++) {
    const draft = await store.snapshots.draft()
    writeFileSync(join(draft.upper, `file-${at}`), `${at}`)
    await draft.commit([])
    made.push(draft.id)
  }
  return made
}

/** A helper that makes no trees: what it was asked, and when it answers. */
function fakeHelper(answer: () => Promise<void> = async () => {}) {
  const merged: (readonly string[])[] = []
  const merge: Native['merge'] = async (lower, target) => {
    merged.push(lower)
    await answer()
    mkdirSync(join(target, 'merged'))
    return { op: 'merge', linked: 0, copiedBytes: 0, directories: 1 }
  }
  return { native: { merge } as Partial<Native> as Native, merged }
}

const namesOf = (stack: readonly SnapshotId[]) => stack.map((id) => store.snapshots.path(id))

/** Shortens until the stack has come down to so many trees. */
async function shortenedTo(
  length: number,
  runs: ReturnType<typeof createMergedRuns>,
  stack: readonly SnapshotId[],
) {
  await expect.poll(async () => (await runs.shorten(stack, signal)).length, { timeout: 10_000 }).toBe(length)
  return await runs.shorten(stack, signal)
}

describe('MergedRuns.shorten()', () => {
  it('leaves a stack of few trees alone', async () => {
    const { native, merged } = fakeHelper()
    const stack = await snapshots(5)
    expect(await createMergedRuns({ store, native, merging }).shorten(stack, signal)).toEqual(stack)
    expect(merged).toEqual([])
  })

  it('gives the stack as it is while its runs are merged in the background', async () => {
    let release: () => void = () => {}
    const { native, merged } = fakeHelper(() => new Promise<void>((resolve) => (release = resolve)))
    const runs = createMergedRuns({ store, native, merging })
    const stack = await snapshots(6)
    expect(await runs.shorten(stack, signal)).toEqual(stack)
    await expect.poll(() => merged.length).toBe(1)
    expect(merged).toEqual([namesOf(stack.slice(0, 3)).reverse()])
    release()
    await expect.poll(async () => (await runs.shorten(stack, signal)).length).toBe(4)
    const [low, ...rest] = await runs.shorten(stack, signal)
    expect(rest).toEqual(stack.slice(3))
    expect(existsSync(join(store.snapshots.path(low as SnapshotId), 'merged'))).toBe(true)
    await runs.close()
  })

  it('merges runs of runs, and never the topmost tree', async () => {
    const { native, merged } = fakeHelper()
    const runs = createMergedRuns({ store, native, merging })
    const stack = await snapshots(27)
    const short = await shortenedTo(2 + 2 + 3, runs, stack)
    // Eight runs of three; seven are few enough when the lower six of them are two again.
    expect(merged).toHaveLength(8 + 2)
    expect(short.slice(-3)).toEqual(stack.slice(-3))
    await runs.close()
  })

  it('finds what was merged before, by record', async () => {
    const first = fakeHelper()
    const stack = await snapshots(9)
    const short = await shortenedTo(5, createMergedRuns({ store, native: first.native, merging }), stack)
    const again = fakeHelper()
    const runs = createMergedRuns({ store, native: again.native, merging })
    expect(await runs.shorten(stack, signal)).toEqual(short)
    expect(again.merged).toEqual([])
  })

  it('merges a run once when two want it', async () => {
    const { native, merged } = fakeHelper()
    const stack = await snapshots(6)
    const [one, other] = [1, 2].map(() => createMergedRuns({ store, native, merging }))
    if (one === undefined || other === undefined) throw new Error('two were made')
    const both = await Promise.all([shortenedTo(4, one, stack), shortenedTo(4, other, stack)])
    expect(both[0]).toEqual(both[1])
    expect(merged).toHaveLength(1)
  })

  it.each([
    ['gone', (id: SnapshotId) => rmSync(join(store.root, 'v1/snapshots', id), { recursive: true })],
    ['damaged', (_: SnapshotId, record: string) => writeFileSync(record, '{"format":1,"snapshot":')],
    ['of another format', (_: SnapshotId, record: string) => writeFileSync(record, '{"format":2}')],
  ])('merges a run again that is %s', async (_, damage) => {
    const { native, merged } = fakeHelper()
    const stack = await snapshots(6)
    const [low] = await shortenedTo(4, createMergedRuns({ store, native, merging }), stack)
    const hex = mergedKey(stack.slice(0, 3)).slice('sha256:'.length)
    const record = join(store.root, 'v1/records', hex.slice(0, 2), `${hex}.json`)
    expect(JSON.parse(readFileSync(record, 'utf8'))).toMatchObject({
      format: 1,
      snapshot: low,
      lower: stack.slice(0, 3),
    })
    damage(low as SnapshotId, record)
    const [anew] = await shortenedTo(4, createMergedRuns({ store, native, merging }), stack)
    expect(anew).not.toBe(low)
    expect(merged).toHaveLength(2)
  })

  it('goes on without a run that cannot be merged, while the kernel takes the stack', async () => {
    const { native, merged } = fakeHelper(() => Promise.reject(new Error('no')))
    const runs = createMergedRuns({ store, native, merging })
    const stack = await snapshots(12)
    expect(await runs.shorten(stack, signal)).toEqual(stack)
    await expect.poll(() => merged.length).toBe(3)
    expect(await runs.shorten(stack, signal)).toEqual(stack)
    const higher = [...stack, ...(await snapshots(1))]
    await expect(runs.shorten(higher, signal)).rejects.toThrow('no')
    // Not tried again for each step: the fourth is that of the higher stack.
    expect(merged).toHaveLength(4)
  })

  it('waits where the kernel would refuse the stack', async () => {
    const { native, merged } = fakeHelper()
    const runs = createMergedRuns({ store, native, merging })
    expect((await runs.shorten(await snapshots(30), signal)).length).toBeLessThanOrEqual(merging.most)
    expect(merged.length).toBeGreaterThan(0)
    await runs.close()
  })

  it('stops waiting when it is cancelled, and close() ends what is under way', async () => {
    const { native } = fakeHelper()
    const begun: AbortSignal[] = []
    const hanging: Native['merge'] = (_lower, _target, options) =>
      new Promise((_, reject) => {
        if (options?.signal === undefined) throw new Error('a merge can be given up')
        begun.push(options.signal)
        options.signal.addEventListener('abort', () => reject(new Error('given up')))
      })
    const runs = createMergedRuns({ store, native: { ...native, merge: hanging }, merging })
    const abort = new AbortController()
    const waiting = runs.shorten(await snapshots(30), abort.signal)
    await expect.poll(() => begun.length).toBe(1)
    abort.abort(new Error('cancelled'))
    await expect(waiting).rejects.toThrow('cancelled')
    await runs.close()
    expect(begun).toHaveLength(1)
  })

  it('gives a stack that shows what the whole one does', async (test) => {
    const native = realHelper(test)
    const runs = createMergedRuns({ store, native, merging })
    const stack = await snapshots(20)
    const shown = async (lower: readonly SnapshotId[]) => {
      const root = { lower: namesOf(lower).reverse(), upper: null, work: null }
      const paths = stack.map((_, at) => `/file-${at}`)
      const files = await native.read({ kind: 'snapshot', root }, paths, { maxBytes: 100 })
      return files.map((file) => file?.toString())
    }
    const short = await shortenedTo(1 + 3 + 2, runs, stack)
    expect(await shown(short)).toEqual(stack.map((_, at) => `${at}`))
    await runs.close()
  })
})
