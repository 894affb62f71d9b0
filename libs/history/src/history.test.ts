import { execFileSync } from 'node:child_process'
import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestBytes, digestHex } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import { openStore, type Store } from '@tsbuild/store'
import { storeOptions, temporaryDirectory } from '@tsbuild/store/testing'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type BuildFacts, type BuildRecord, createHistory, createRecorder } from './index.ts'
import { randomBuild, randomNumbers } from './testing/random-build.ts'
import type { LogChunk } from './types.ts'

const refOf = (number: number) => number.toString(16).padStart(24, '0')
const limits = { builds: 100, ageMs: 1e12, bytes: 1e12 }
const completed = { outcome: 'completed', error: null, image: null } as const
const vertex = digestBytes('vertex')
const at = 1_700_000_000_000
const planned: BuildEvent = { type: 'vertex.planned', vertex, name: 'RUN make', inputs: [], source: null, at }
const log = (
  text: string | Buffer,
  change: Partial<BuildEvent & { type: 'vertex.log' }> = {},
): BuildEvent => ({
  type: 'vertex.log',
  vertex,
  stream: 'stdout',
  data: Buffer.from(text),
  at,
  ...change,
})

function factsOf(number: number): BuildFacts {
  const request = { context: '.', dockerfile: null, target: null, tags: ['a:1'], flags: ['--pull'] }
  return {
    ref: refOf(number),
    name: 'a:1',
    request,
    version: '1',
    machine: 'linux/amd64',
    pid: 1,
    startedAt: at + number,
  }
}

async function world() {
  const root = temporaryDirectory('history-')
  const store = await openStore(storeOptions(root))
  onTestFinished(() => store.close())
  const warnings: BuildEvent[] = []
  const recorder = (number: number, change: Partial<typeof limits> = {}) =>
    createRecorder({
      store: store.builds,
      facts: factsOf(number),
      limits: { ...limits, ...change },
      now: () => at + 1000,
      warn: (event) => warnings.push(event),
    })
  const directory = (number: number) => join(root, 'v1', 'builds', refOf(number))
  return { root, store, recorder, warnings, directory, history: createHistory(store.builds) }
}

/** The store as another process finds it when this one was killed. */
async function afterDeath(root: string): Promise<Store> {
  const copy = join(temporaryDirectory('history-dead-'), 'store')
  cpSync(root, copy, { recursive: true })
  const store = await openStore(storeOptions(copy))
  onTestFinished(() => store.close())
  return store
}

async function bytesOf(chunks: AsyncIterable<LogChunk>): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const { data } of chunks) parts.push(data)
  return Buffer.concat(parts)
}

const withoutEnd = ({ outcome: _, endedAt: _at, steps, ...rest }: BuildRecord) => ({
  ...rest,
  steps: steps.map(({ outcome, endedAt, ...step }) => ({
    ...step,
    ...(outcome === 'cancelled' ? {} : { endedAt }),
  })),
})

describe('createRecorder()', () => {
  it('keeps of a build that finds everything one file, written at its end', async () => {
    const { root, recorder, directory, history } = await world()
    const { events, end } = recorder(1)
    events(planned)
    events({ type: 'vertex.cached', vertex, from: 'local', savedMs: 70, at })
    expect(readdirSync(join(root, 'v1', 'builds'))).toEqual([])
    await end({ ...completed, image: { digest: 'sha256:1', configDigest: null } })
    expect(readdirSync(directory(1))).toEqual(['build.json'])
    expect(history.read(refOf(1))).toMatchObject({
      ...factsOf(1),
      outcome: 'completed',
      endedAt: at + 1000,
      image: { digest: 'sha256:1', configDigest: null },
      steps: [{ number: 1, name: 'RUN make', outcome: 'cached', from: 'local', savedMs: 70 }],
    })
  })

  it.each([
    { type: 'vertex.missed', vertex, reason: { code: 'files', text: 'a changed' }, at },
    { type: 'vertex.started', vertex, at },
    { type: 'vertex.status', vertex, id: 'pull', currentBytes: 0, totalBytes: 9, done: false, at },
    log('x'),
  ] satisfies BuildEvent[])(
    'shows a build from its first $type on, and as died when nobody is at work on it',
    async (event) => {
      const { root, store, recorder, history } = await world()
      const { events } = recorder(1)
      events(planned)
      events(event)
      const running = history.read(refOf(1))
      expect(running).toMatchObject({
        ...factsOf(1),
        outcome: 'running',
        endedAt: null,
        steps: [{ name: 'RUN make' }],
      })
      expect(history.list()).toEqual({ builds: [running], unreadable: [] })
      const died = createHistory((await afterDeath(root)).builds).read(refOf(1))
      expect(died).toMatchObject({ ...factsOf(1), outcome: 'died', endedAt: null })
      expect(store.builds.isRunning(refOf(1))).toBe(true)
    },
  )

  it('reads back what the events of 60 random builds said, of ended, running and killed ones', async () => {
    const { root, recorder, history } = await world()
    const builds = Array.from({ length: 60 }, (_, index) => ({ seed: index + 1, ...randomBuild(index + 1) }))
    const recorders = builds.map(({ seed, events }) => {
      const one = recorder(seed)
      for (const event of events) one.events(event)
      return one
    })
    const dead = createHistory((await afterDeath(root)).builds)
    for (const [index, { seed, steps }] of builds.entries()) {
      const running = history.read(refOf(seed))
      const died = dead.read(refOf(seed))
      const record = await recorders[index]?.end(completed)
      const read = history.read(refOf(seed))
      expect(read).toEqual(record)
      const inPlan = new Map(read?.steps.map((step) => [step.vertex, step]))
      const found = steps.map(({ vertex }) => inPlan.get(vertex))
      expect(found).toHaveLength(inPlan.size)
      expect(found).toMatchObject(
        steps.map(({ log: written, stderr: _, outcome, ...step }) => ({
          ...step,
          outcome: outcome === 'running' ? 'cancelled' : outcome,
          log: { bytes: written.length, lostBytes: 0 },
        })),
      )
      // Builds that only found things are not there before their end.
      expect(died === undefined).toBe(running === undefined)
      if (running === undefined || died === undefined || read === undefined) continue
      const outcomes = new Map(running.steps.map(({ vertex, outcome }) => [vertex, outcome]))
      expect(outcomes).toEqual(new Map(steps.map(({ vertex, outcome }) => [vertex, outcome])))
      expect(withoutEnd(died)).toEqual(withoutEnd(read))
      for (const step of steps) {
        expect(await bytesOf(history.readLog(refOf(seed), step.vertex))).toEqual(step.log)
        expect(await bytesOf(history.readLog(refOf(seed), step.vertex, { stream: 'stderr' }))).toEqual(
          step.stderr,
        )
        expect(await bytesOf(dead.readLog(refOf(seed), step.vertex))).toEqual(step.log)
      }
    }
  }, 30_000)

  it('numbers steps as plain progress does: by when they began, and what never did at the end', async () => {
    const { recorder } = await world()
    const { events, end } = recorder(1)
    const [a, b, c, d] = ['a', 'b', 'c', 'd'].map((name) => digestBytes(name)) as [
      Digest,
      Digest,
      Digest,
      Digest,
    ]
    for (const each of [a, b, c, d]) events({ ...planned, vertex: each })
    events({ type: 'vertex.missed', vertex: d, reason: { code: 'first-build', text: 'first build' }, at })
    events({ type: 'vertex.cached', vertex: b, from: 'local', at })
    events({ type: 'vertex.started', vertex: d, at })
    events({ type: 'vertex.started', vertex: a, at })
    const { steps } = await end(completed)
    expect(steps.map((step) => [step.number, step.vertex])).toEqual([
      [1, d],
      [2, b],
      [3, a],
      [4, c],
    ])
  })

  it('leaves views out, and their readers use what is behind them', async () => {
    const { recorder } = await world()
    const { events, end } = recorder(1)
    const [a, view, reader] = ['a', 'view', 'reader'].map((name) => digestBytes(name))
    if (a === undefined || view === undefined || reader === undefined) throw new Error('unreachable')
    events({ ...planned, vertex: a })
    events({ ...planned, vertex: view, inputs: [a, vertex], role: 'view', view: true })
    events({ ...planned, vertex: reader, inputs: [view, a] })
    const { steps } = await end(completed)
    expect(steps.map(({ number, inputs }) => [number, inputs])).toEqual([
      [1, []],
      [2, [a, vertex]],
    ])
  })

  it('keeps explanations apart, and no credentials of names and messages anywhere', async () => {
    const { recorder, history, directory } = await world()
    const { events, explain, end } = recorder(1)
    const url = 'https://me:hunter2@example.org/'
    events({ ...planned, name: `RUN curl ${url}` })
    explain(vertex, { files: ['a'] })
    events({ type: 'vertex.missed', vertex, reason: { code: 'arg', text: `ARG URL ${url}` }, at })
    events({ type: 'warning', rule: 'R', message: url, source: null, at })
    events({ type: 'vertex.failed', vertex, error: url, at })
    expect(history.read(refOf(1))?.steps[0]?.explained).toBe(true)
    const early = readFileSync(join(directory(1), 'journal'), 'utf8')
    await end(completed)
    expect(history.explanation(refOf(1), vertex)).toEqual({ files: ['a'] })
    expect(history.explanation(refOf(1), digestBytes('other'))).toBeUndefined()
    const all = early + readFileSync(join(directory(1), 'build.json'), 'utf8')
    expect([all.includes('hunter2'), all.includes('https://***@example.org/')]).toEqual([false, true])
  })

  it('takes a disk that is full for no reason to fail: warns once, counts what is lost, goes on elsewhere', async () => {
    const { recorder, history, directory, warnings } = await world()
    const { events, end } = recorder(1)
    const other = digestBytes('other')
    for (const one of [vertex, other]) events({ ...planned, vertex: one })
    events({ type: 'vertex.started', vertex, at })
    mkdirSync(join(directory(1), 'logs'))
    symlinkSync('/dev/full', join(directory(1), 'logs', digestHex(vertex)))
    events(log('12345'))
    events(log('678'))
    events(log('fine', { vertex: other }))
    const { steps } = await end(completed)
    expect(steps.map((step) => step.log)).toEqual([
      { bytes: 0, lostBytes: 8 },
      { bytes: 4, lostBytes: 0 },
    ])
    expect(warnings).toEqual([
      expect.objectContaining({
        type: 'warning',
        rule: 'HistoryIncomplete',
        message: expect.stringContaining('ENOSPC'),
      }),
    ])
    expect(history.read(refOf(1))?.steps).toEqual(steps)
  })

  it('warns and says nothing more where its directory cannot be made', async () => {
    const { root, recorder, warnings, history } = await world()
    rmSync(join(root, 'v1', 'builds'), { recursive: true })
    writeFileSync(join(root, 'v1', 'builds'), 'no directory')
    const { events, explain, end } = recorder(1)
    events(planned)
    events(log('x'))
    explain(vertex, 'why')
    expect(await end(completed)).toMatchObject({ outcome: 'completed', steps: [{ name: 'RUN make' }] })
    expect(warnings).toHaveLength(1)
    expect(history.read(refOf(1))).toBeUndefined()
  })

  it('makes room at its end: the newest by number, age and bytes stay, and what runs', async () => {
    const { recorder, history } = await world()
    const kept = () => history.list().builds.map(({ ref }) => Number.parseInt(ref, 16))
    const running = recorder(50)
    running.events(planned)
    running.events(log('x'))
    for (const number of [1, 2, 3, 4]) await recorder(number, { builds: 3 }).end(completed)
    expect(kept()).toHaveLength(4)
    expect(kept()).toEqual(expect.arrayContaining([50, 4]))
    const writer = recorder(60, { bytes: 500_000 })
    writer.events(planned)
    writer.events(log(Buffer.alloc(600_000, 1)))
    await writer.end(completed)
    expect(kept()).toEqual([60, 50])
    await running.end(completed)
    // It wrote nothing itself, so nothing is measured.
    await recorder(61, { bytes: 500_000 }).end(completed)
    expect(kept()).toEqual([61, 60, 50])
    await recorder(62, { ageMs: -1e13 }).end(completed)
    expect(kept()).toEqual([62])
  })
})

describe('createHistory()', () => {
  it('list() passes over damaged builds of every kind, names them, and shows the others', async () => {
    const { recorder, history, directory } = await world()
    const damage: readonly ((path: string) => void)[] = [
      (path) => truncateSync(path, 0),
      (path) => truncateSync(path, 40),
      (path) => writeFileSync(path, Buffer.alloc(5000, 0xff)),
      (path) => writeFileSync(path, '{"format":1}'),
      (path) => writeFileSync(path, readFileSync(path, 'utf8').replace('"format":1', '"format":2')),
      (path) => writeFileSync(path, readFileSync(path, 'utf8').replace(/"ref":"0/, '"ref":"1')),
      (path) =>
        writeFileSync(path, readFileSync(path, 'utf8').replace(/"startedAt":\d+/, '"startedAt":1e300')),
      (path) => rmSync(path),
      (path) => {
        rmSync(path)
        mkdirSync(path)
      },
      (path) => {
        rmSync(path)
        symlinkSync('/etc/passwd', path)
      },
      (path) => {
        rmSync(path)
        execFileSync('mkfifo', [path])
      },
    ]
    for (const [index, act] of damage.entries()) {
      const one = recorder(index)
      one.events(planned)
      await one.end(completed)
      act(join(directory(index), 'build.json'))
    }
    await recorder(99).end(completed)
    const { builds, unreadable } = history.list()
    expect(builds.map(({ ref }) => ref)).toEqual([refOf(99)])
    expect(unreadable.toSorted()).toEqual(damage.map((_, index) => refOf(index)))
    expect(await history.remove(unreadable)).toEqual(damage.map(() => 'removed'))
    expect(history.list().unreadable).toEqual([])
  })

  it('read() of a record, and of a journal, with any bytes changed gives a build or nothing and never throws', async () => {
    const { recorder, history, directory, root } = await world()
    const random = randomNumbers(7)
    const { events } = randomBuild(3)
    const one = recorder(1)
    for (const event of events) one.events(event)
    one.events(planned)
    one.events(log('some text'))
    const dead = createHistory((await afterDeath(root)).builds)
    const journal = join(directory(1), 'journal')
    const texts = [readFileSync(journal)]
    await one.end(completed)
    texts.push(readFileSync(join(directory(1), 'build.json')))
    let readable = 0
    for (let round = 0; round < 1000; round++) {
      const [text = Buffer.alloc(0), path] =
        round % 2 === 0 ? [texts[1], join(directory(1), 'build.json')] : [texts[0], journal]
      const changed = Buffer.from(text)
      for (let count = 0; count < 3; count++)
        changed[Math.floor(random() * changed.length)] = Math.floor(random() * 256)
      rmSync(join(directory(1), 'build.json'), { force: true })
      rmSync(journal, { force: true })
      writeFileSync(path, changed)
      const build = history.read(refOf(1))
      if (build !== undefined) readable++
      expect(() => JSON.stringify(build)).not.toThrow()
    }
    expect(readable).toBeGreaterThan(100)
    expect(dead.read(refOf(1))).toMatchObject({ outcome: 'died' })
  })

  it('readLog() gives streams and times as they came, and the last lines only where asked', async () => {
    const { recorder, history } = await world()
    const { events, end } = recorder(1)
    events(planned)
    events(log('one\ntw'))
    events(log('E1\n', { stream: 'stderr', at: at + 1 }))
    events(log('o\nthree\n', { at: at + 2 }))
    events(log('E2', { stream: 'stderr', at: at + 2 }))
    await end(completed)
    const chunks = async (options = {}) => {
      const got: string[] = []
      for await (const { stream, at: when, data } of history.readLog(refOf(1), vertex, options))
        got.push(`${stream}+${when - at} ${Buffer.from(data)}`)
      return got
    }
    expect(await chunks()).toEqual([
      'stdout+0 one\ntw',
      'stderr+1 E1\n',
      'stdout+2 o\nthree\n',
      'stderr+2 E2',
    ])
    expect(await chunks({ tail: 2 })).toEqual(['stdout+2 three\n', 'stderr+2 E2'])
    expect(await chunks({ tail: 1, stream: 'stdout' })).toEqual(['stdout+2 three\n'])
    expect(await chunks({ tail: 0 })).toEqual([])
    expect(await chunks({ tail: 99 })).toHaveLength(4)
    expect(await chunks({ stream: 'stderr' })).toEqual(['stderr+1 E1\n', 'stderr+2 E2'])
  })

  it('readLog() gives the last lines of logs of any length and form', async () => {
    const { recorder, history } = await world()
    const { events, end } = recorder(1)
    const random = randomNumbers(11)
    const sizes = [0, 1, 2, 50, 65_535, 65_536, 65_537, 131_072, 200_000]
    const logs = sizes.flatMap((size) =>
      [0.5, 0.01, 0.0001].map((density) =>
        Buffer.from(Array.from({ length: size }, () => (random() < density ? 0x0a : 0x61))),
      ),
    )
    for (const [index, data] of logs.entries()) {
      const one = digestBytes(`${index}`)
      events({ ...planned, vertex: one })
      events(log(data, { vertex: one }))
    }
    await end(completed)
    for (const [index, data] of logs.entries()) {
      const lines = data.toString().match(/[^\n]*\n|[^\n]+$/g) ?? []
      for (const tail of [0, 1, 2, 3, 40, 1e6]) {
        const expected = tail === 0 ? '' : lines.slice(-tail).join('')
        for (const stream of [undefined, 'stdout'] as const) {
          const read = await bytesOf(history.readLog(refOf(1), digestBytes(`${index}`), { tail, stream }))
          expect(read.toString() === expected, `log ${index}, tail ${tail}`).toBe(true)
        }
      }
    }
  }, 30_000)

  it('readLog() gives every byte of a log whose index is damaged or gone', async () => {
    const { recorder, history, directory } = await world()
    const { events, end } = recorder(1)
    events(planned)
    const text = Buffer.alloc(200_000, 'abc\n')
    events(log(text))
    events(log('end', { stream: 'stderr', at: at + 5 }))
    await end(completed)
    const index = join(directory(1), 'logs', `${digestHex(vertex)}.index`)
    const whole = readFileSync(index)
    const expected = Buffer.concat([text, Buffer.from('end')])
    const read = () => bytesOf(history.readLog(refOf(1), vertex))
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(index, whole.subarray(0, length))
      expect((await read()).equals(expected)).toBe(true)
    }
    for (let position = 0; position < whole.length; position++) {
      const changed = Buffer.from(whole)
      changed[position] = 0xff
      writeFileSync(index, changed)
      expect((await read()).equals(expected)).toBe(true)
    }
    rmSync(index)
    expect((await read()).equals(expected)).toBe(true)
  })

  it('readLog() follows a step until it ends, from before its first byte on', async () => {
    const { recorder, history, store } = await world()
    const { events, end } = recorder(1)
    events(planned)
    events({ type: 'vertex.started', vertex, at })
    const seen: string[] = []
    const following = (async () => {
      for await (const { data } of history.readLog(refOf(1), vertex, { follow: true })) {
        seen.push(Buffer.from(data).toString())
        if (seen.length === 1) events(log('second', { stream: 'stderr' }))
        else events({ type: 'vertex.completed', vertex, at })
      }
    })()
    await new Promise(setImmediate)
    events(log('first'))
    await following
    expect(seen).toEqual(['first', 'second'])
    // The build itself goes on.
    expect(store.builds.isRunning(refOf(1))).toBe(true)
    await end(completed)
  })

  it('readLog() that follows ends with the build, and when it is told to', async () => {
    const { recorder, history } = await world()
    const one = recorder(1)
    one.events(planned)
    one.events(log('x'))
    const following = bytesOf(history.readLog(refOf(1), vertex, { follow: true }))
    await one.end(completed)
    expect((await following).toString()).toBe('x')
    const two = recorder(2)
    two.events(planned)
    two.events(log('y'))
    const signal = AbortSignal.abort()
    expect((await bytesOf(history.readLog(refOf(2), vertex, { follow: true, signal }))).toString()).toBe('y')
    await two.end(completed)
  })

  it('readLog() keeps a build from being removed while it is read', async () => {
    const { recorder, history } = await world()
    const { events, end } = recorder(1)
    events(planned)
    events(log(Buffer.alloc(300_000, 1)))
    await end(completed)
    for await (const { data } of history.readLog(refOf(1), vertex)) {
      expect(data.length).toBe(65_536)
      expect(await history.remove([refOf(1)])).toEqual(['in-use'])
      break
    }
    expect(await history.remove([refOf(1)])).toEqual(['removed'])
    expect(await bytesOf(history.readLog(refOf(1), vertex))).toEqual(Buffer.alloc(0))
  })
})
