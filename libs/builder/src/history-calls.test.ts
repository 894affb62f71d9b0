import { digestBytes } from '@tsbuild/digest'
import { createRecorder } from '@tsbuild/history'
import { type BuildStore, openStore } from '@tsbuild/store'
import { storeOptions, temporaryDirectory } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { historyOf } from './history-calls.ts'
import type { Machine } from './machine.ts'

const at = 1_700_000_000_000
let builds: BuildStore
let history: ReturnType<typeof historyOf>
beforeEach(async () => {
  const store = await openStore(storeOptions(temporaryDirectory()))
  onTestFinished(() => store.close())
  builds = store.builds
  history = historyOf({ store, now: () => Date.now() } as Machine)
})

/** A build of these steps; each writes its name. */
async function record(ref: string, steps: readonly string[] = [], startedAt = at) {
  const request = { context: '.', dockerfile: null, target: null, tags: [], flags: [] }
  const facts = {
    ref,
    name: `name of ${ref.slice(0, 4)}`,
    request,
    version: '1',
    machine: 'm',
    pid: 1,
    startedAt,
  }
  const limits = { builds: 100, ageMs: 1e13, bytes: 1e12 }
  const { events, explain, end } = createRecorder({
    store: builds,
    facts,
    limits,
    now: () => at,
    warn: () => {},
  })
  for (const name of steps) {
    const vertex = digestBytes(name)
    events({ type: 'vertex.planned', vertex, name, inputs: [], source: null, at })
    if (name.includes('silent')) continue
    events({ type: 'vertex.log', vertex, stream: 'stdout', data: Buffer.from(name), at })
    explain(vertex, { why: name })
  }
  await end({ outcome: 'completed', error: null, image: null })
}

const notFound = (text: string) =>
  expect.objectContaining({ code: 'ERR_BUILD_NOT_FOUND', message: expect.stringContaining(text) })
const noStep = (text: string) =>
  expect.objectContaining({ code: 'ERR_STEP_NOT_FOUND', message: expect.stringContaining(text) })

describe('buildRecord()', () => {
  const refs = ['aaaa00000000000000000001', 'aaaa00000000000000000002', 'bbbb00000000000000000003']
  beforeEach(async () => {
    for (const [index, ref] of refs.entries()) await record(ref, [], at + index)
  })

  it.each([
    [undefined, 2],
    ['^0', 2],
    ['^2', 0],
    ['b', 2],
    ['aaaa00000000000000000001', 0],
  ])('finds by %j the build %i', async (ref, index) => {
    expect((await history.buildRecord(ref)).ref).toBe(refs[index])
  })

  it.each([
    ['aaaa', '2 builds begin so'],
    ['cccc', 'no such build'],
    ['', 'no such build'],
    ['^3', 'has 3 builds'],
    ['../aaaa00000000000000000001', 'no such build'],
  ])('refuses %j: %s', async (ref, text) => {
    await expect(history.buildRecord(ref)).rejects.toEqual(notFound(text))
  })

  it('lists those that begin so', async () => {
    await expect(history.buildRecord('aaaa')).rejects.toMatchObject({
      hints: ['aaaa00000000000000000002: name of aaaa', 'aaaa00000000000000000001: name of aaaa'],
    })
  })
})

describe('buildLog()', () => {
  const names = [
    '[a 1/2] RUN make',
    '[a 2/2] RUN make install',
    '[b 1/1] RUN 12',
    '[c 1/1] RUN silent',
    'RUN make',
  ]
  beforeEach(() => record('a'.repeat(24), names))

  const stepsOf = async (step: string | undefined) =>
    (await history.buildLog(undefined, step)).steps.map(({ step: { number } }) => number)

  it.each([
    ['2', [2]],
    ['#2', [2]],
    ['install', [2]],
    ['INSTALL', [2]],
    ['2/2', [2]],
    // A whole name goes before a part of it, and a number before both.
    ['RUN make', [5]],
    ['12', [3]],
    [digestBytes(names[3] ?? ''), [4]],
    [digestBytes(names[3] ?? '').slice(7, 15), [4]],
    [undefined, [1, 2, 3, 5]],
  ])('finds by %j the steps %j', async (step, numbers) => {
    expect(await stepsOf(step)).toEqual(numbers)
  })

  it.each([
    ['make', '3 steps match'],
    ['', 'no such step'],
    ['99', 'no such step'],
    ['test', 'no such step'],
  ])('refuses %j: %s', async (step, text) => {
    await expect(stepsOf(step)).rejects.toEqual(noStep(text))
  })

  it('reads what the steps wrote; buildExplanation() why they ran', async () => {
    const { build, steps } = await history.buildLog('aaaaaa', undefined)
    const texts: string[] = []
    for (const { chunks } of steps)
      for await (const { data } of chunks) texts.push(Buffer.from(data).toString())
    expect(texts).toEqual(names.filter((name) => !name.includes('silent')))
    expect(await history.buildExplanation(build.ref, '3')).toEqual({ why: names[2] })
    expect(await history.buildExplanation(build.ref, '4')).toBeUndefined()
  })
})

describe('removeBuilds()', () => {
  it('takes all that are named or none, and those that cannot be read', async () => {
    await record('a'.repeat(24))
    builds.begin('b'.repeat(24)).end()
    await expect(history.removeBuilds({ refs: ['aaaa', 'cccc'] })).rejects.toEqual(notFound('no such build'))
    expect((await history.builds()).builds).toHaveLength(1)
    const refs = ['aaaa', '^0', 'bbbb']
    expect(await history.removeBuilds({ refs })).toEqual([
      { ref: 'a'.repeat(24), removal: 'removed' },
      { ref: 'b'.repeat(24), removal: 'removed' },
    ])
  })

  it('takes all, or what ended long enough ago, and leaves what runs', async () => {
    await record('a'.repeat(24))
    const { end } = builds.begin('b'.repeat(24))
    expect(await history.removeBuilds({ olderThanMs: 3_600_000 })).toEqual([])
    const all = await history.removeBuilds({ all: true })
    expect(all.toSorted((one, other) => (one.ref < other.ref ? -1 : 1))).toEqual([
      { ref: 'a'.repeat(24), removal: 'removed' },
      { ref: 'b'.repeat(24), removal: 'in-use' },
    ])
    end()
  })
})
