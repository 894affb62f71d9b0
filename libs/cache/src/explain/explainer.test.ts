import { type Digest, digestBytes, type KeyValue } from '@tsbuild/digest'
import type { CacheRecord, Miss, RecordedInput } from '@tsbuild/solver'
import { openStore, type Store } from '@tsbuild/store'
import { storeOptions, temporaryDirectory } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { createLocalCache, encodeRecord } from '../index.ts'
import type { Explanation } from './types.ts'

const hourMs = 3_600_000
const now = 1_700_000_000_000
const build = { context: '/src/app', dockerfile: 'Dockerfile' }
const [base, keyA, keyB] = ['base', 'key a', 'key b'].map(digestBytes) as [Digest, Digest, Digest]
const list = (...names: readonly string[]) =>
  [
    'tsbuild-content-v1',
    'source dir',
    ...names.map((name) => `f 0644 0:0 1 ${'a'.repeat(64)} /${name}`),
    '',
  ].join('\n')

let store: Store
beforeEach(async () => {
  store = await openStore({ ...storeOptions(temporaryDirectory('explain-')), now: () => now })
  onTestFinished(() => store.close())
})

type Op = Miss['vertex']['op']
const vertexOf = (
  name: string,
  inputs: readonly Digest[] = [],
  op: Op = { kind: 'merge' },
): Miss['vertex'] => ({
  digest: digestBytes(name),
  op,
  inputs,
  name,
  source: null,
  ignoreCache: false,
})
const missOf = (name: string, more: Partial<Miss> = {}): Miss => ({
  vertex: vertexOf(name),
  op: { kind: 'exec.v4', args: ['make'] },
  about: { build },
  inputs: [],
  inputNames: [],
  keys: [keyA],
  keepList: async () => {},
  ...more,
})
const recordOf = (
  { vertex, op, about, inputs, inputNames }: Miss,
  more: Partial<CacheRecord> = {},
): CacheRecord => ({
  outputKey: digestBytes(`output of ${vertex.name}`),
  name: vertex.name,
  op,
  about,
  inputs,
  inputNames,
  stored: 'stored',
  createdAt: now - 2 * hourMs,
  durationMs: 5,
  ...more,
})
const result = (key: Digest): RecordedInput => ({ kind: 'result', key })

/** Records a step as if it had run. */
async function record(key: Digest, of: Miss, more: Partial<CacheRecord> = {}): Promise<CacheRecord> {
  const text = recordOf(of, more)
  await store.records.put([{ keys: [key], text: encodeRecord(text) }])
  createLocalCache(store).recorded?.([key], text)
  return text
}

function explaining(...vertices: readonly Miss['vertex'][]) {
  const kept: Explanation[] = []
  const onExplained = (_: Digest, explanation: Explanation) => void kept.push(explanation)
  const cache = createLocalCache(store, { vertices, forcedBy: '--no-cache', now: () => now, onExplained })
  const explain = async (miss: Miss) => {
    const reason = await cache.explain?.(miss)
    return `${reason?.code}: ${reason?.text}`
  }
  return { explain, kept }
}

describe('createLocalCache().explain()', () => {
  it('says what needs no comparison', async () => {
    const { explain, kept } = explaining()
    const miss = missOf('[1/1] RUN make')
    const old = recordOf(miss)
    expect(await explain(miss)).toBe('first-build: first build')
    expect(await explain({ ...miss, vertex: { ...miss.vertex, ignoreCache: true } })).toBe(
      'forced: --no-cache',
    )
    expect(await explain({ ...miss, maxAgeMs: 0 })).toBe('forced: RUN --cache=off')
    expect(await explain({ ...miss, unusable: { record: old, why: 'expired' } })).toBe(
      'expired: ttl over, recorded 2 hours ago',
    )
    expect(await explain({ ...miss, unusable: { record: old, why: 'gone' } })).toBe(
      'damaged: its files are gone',
    )
    expect(kept).toHaveLength(5)
    expect(kept.at(-1)?.earlier).toEqual({ name: old.name, createdAt: old.createdAt, durationMs: 5 })
  })

  it('knows a record that was evicted from one that is gone and one that is damaged', async () => {
    const { explain } = explaining()
    const miss = missOf('[1/1] RUN make')
    await explain(miss)
    createLocalCache(store).recorded?.([keyA], recordOf(miss))
    expect(await explain(miss)).toBe('damaged: its record is gone')
    await store.records.put([{ keys: [keyA], text: '{"no":"record"}' }])
    expect(await explain(miss)).toBe('damaged: its record is damaged')
    store.steps.evicted([keyA], { at: now - 49 * hourMs, reason: 'unused for 60 days' })
    expect(await explain(miss)).toBe('evicted: evicted 2 days ago (unused for 60 days)')
    // Another record of the step was evicted, and nothing is left to compare with.
    createLocalCache(store).recorded?.([keyB], recordOf(missOf('[1/1] RUN other')))
    store.steps.evicted([keyB], { at: now - 60_000, reason: '' })
    expect(await explain(missOf('[1/1] RUN other', { keys: [base] }))).toBe('evicted: evicted 1 minute ago')
  })

  it('compares with the record that has the fewest differences, files among them', async () => {
    const { explain, kept } = explaining()
    const content = (text: string): RecordedInput => ({
      kind: 'content',
      digest: digestBytes(text),
      preimage: {},
    })
    const lists = [list('a'), list('a', 'b', 'c'), list('a', 'b')] as const
    for (const text of lists.slice(0, 2)) await store.putFileList(digestBytes(text), Buffer.from(text))
    const copy = (text: string) =>
      missOf('[1/1] COPY . .', {
        op: { kind: 'file.v2', actions: [] },
        inputs: [content(text)],
        inputNames: ['context'],
      })
    await explain(copy(lists[2]))
    await record(keyB, copy(lists[1]), { createdAt: now - hourMs })
    await record(base, copy(lists[0]), { createdAt: now - 5 * hourMs })
    const asked: number[] = []
    const keepList = async (index: number) => {
      asked.push(index)
      await store.putFileList(digestBytes(lists[2]), Buffer.from(lists[2]))
    }
    expect(await explain({ ...copy(lists[2]), keepList })).toBe('files: c removed')
    expect(asked.every((index) => index === 0)).toBe(true)
    expect(kept.at(-1)?.earlier?.createdAt).toBe(now - hourMs)
  })

  it('asks for no list where there is nothing to compare with', async () => {
    const { explain } = explaining()
    const input: RecordedInput = { kind: 'content', digest: keyA, preimage: {} }
    const miss = missOf('[1/1] COPY . .', {
      inputs: [input],
      keepList: () => Promise.reject(new Error('not to be asked for')),
    })
    expect(await explain(miss)).toBe('first-build: first build')
  })

  it('compares a line with what stood in its place, but not with a line that stands elsewhere now', async () => {
    const args = (text: string): KeyValue => ({ kind: 'exec.v4', args: ['/bin/sh', '-c', text] })
    const [old, moved] = [
      missOf('[1/2] RUN old', { op: args('old') }),
      missOf('[1/2] RUN moved', { op: args('moved') }),
    ]
    const miss = missOf('[1/2] RUN new', { op: args('new'), keys: [base] })
    const alone = explaining(miss.vertex)
    await alone.explain(missOf('x'))
    await record(keyA, moved)
    expect(await alone.explain(miss)).toBe('instruction: the command was "moved"')
    const beside = explaining(miss.vertex, vertexOf('[2/2] RUN moved'))
    expect(await beside.explain(miss)).toBe('first-build: first build')
    await record(keyB, old)
    expect(await beside.explain(miss)).toBe('instruction: the command was "old"')
  })

  it('finds the step of a checkout elsewhere, and never one of another line there', async () => {
    const { explain } = explaining()
    const elsewhere = (context: string, name: string, user: string) =>
      missOf(name, { about: { build: { ...build, context } }, op: { kind: 'exec.v4', user } })
    await explain(missOf('x'))
    await record(keyA, elsewhere('/ci/1/app', '[2/3] RUN make', 'a'))
    expect(await explain(elsewhere('/other', '[1/9] RUN make', 'b'))).toBe('instruction: USER a → b')
    expect(await explain(elsewhere('/ci/2/app', '[2/3] RUN make all', 'b'))).toBe('instruction: USER a → b')
    expect(await explain(elsewhere('/other', '[2/3] RUN make all', 'b'))).toBe('first-build: first build')
  })

  it('names the step that all of it comes from, through steps and views', async () => {
    const a = vertexOf('[1/4] COPY a b')
    const link = vertexOf('[2/4] LINK COPY', [a.digest])
    const b = vertexOf('[3/4] RUN b', [link.digest])
    const c = vertexOf('[4/4] RUN c', [b.digest])
    const { explain, kept } = explaining(a, link, b, c)
    const upon = (vertex: Miss['vertex'], key: Digest) =>
      missOf(vertex.name, { vertex, inputs: [result(key)], inputNames: ['x'] })
    await explain(missOf('x'))
    await record(keyB, missOf(a.name, { op: { kind: 'exec.v4', args: ['make'], user: 'me' } }))
    await record(digestBytes('b'), upon(b, keyA))
    await record(digestBytes('c'), upon(c, keyA))
    expect(await explain(missOf(a.name, { vertex: a, keys: [base] }))).toBe('instruction: USER me → none')
    expect(await explain({ ...upon(b, keyB), keys: [base] })).toBe('input: after COPY a b (USER me → none)')
    expect(await explain({ ...upon(c, keyB), keys: [base] })).toBe('input: after COPY a b (USER me → none)')
    expect(kept.at(-1)?.cause?.name).toBe(a.name)
  })

  it('names it also where the steps between were all found, by their records', async () => {
    const names = ['[1/3] COPY a b', '[2/3] RUN b', '[3/3] RUN c'] as const
    const [a, b, c] = names.map((name) => vertexOf(name))
    if (a === undefined || b === undefined || c === undefined) throw new RangeError('no vertices')
    const { explain } = explaining(a, b, { ...c, inputs: [b.digest] })
    await explain(missOf('x'))
    for (const round of ['1', '2']) {
      const key = (name: string) => digestBytes(`${name} ${round}`)
      await record(key('a'), missOf(names[0], { op: { kind: 'exec.v4', user: round } }), {
        outputKey: key('out a'),
      })
      const onA = { inputs: [result(key('out a'))], inputNames: [names[0]] }
      await record(key('b'), missOf(names[1], onA), { outputKey: key('out b') })
    }
    const on = (round: string) =>
      missOf(names[2], {
        vertex: { ...c, inputs: [b.digest] },
        inputs: [result(digestBytes(`out b ${round}`))],
        inputNames: [names[1]],
        keys: [base],
      })
    await record(digestBytes('c 1'), on('1'))
    expect(await explain(on('2'))).toBe('input: after COPY a b (USER 1 → 2)')
  })

  it('costs an explanation, and not a build, where the store cannot be read', async () => {
    const broken = {
      ...store,
      steps: { ...store.steps, eviction: () => undefined, find: () => Promise.reject(new Error('EIO')) },
    } as unknown as Store
    const options = { vertices: [], forcedBy: '', now: () => now, onExplained: () => {} }
    expect(await createLocalCache(broken, options).explain?.(missOf('[1/1] RUN x'))).toBeUndefined()
  })
})
