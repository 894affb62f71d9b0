import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { type BuildEvent, createEventQueue, createRawJsonWriter, teeSinks, toNdjson } from './index.ts'

const vertex = digestBytes(Buffer.from('vertex'))
const base = digestBytes(Buffer.from('base'))
/** 2026-11-20T10:00:00.120Z */
const at = Date.UTC(2026, 10, 20, 10, 0, 0, 120)

const started: BuildEvent = { type: 'vertex.started', vertex, at }
const completed: BuildEvent = { type: 'build.completed', ref: 'r1', at }
const status = (currentBytes: number, done = false): BuildEvent => ({
  type: 'vertex.status',
  vertex,
  id: 'sha256:ab',
  currentBytes,
  totalBytes: 20,
  done,
  at: at + currentBytes,
})

describe('toNdjson()', () => {
  it('writes one line for each event, and the format in the first', () => {
    expect(toNdjson({ type: 'build.started', ref: 'r1', name: 'app', at })).toBe(
      `{"type":"build.started","ref":"r1","name":"app","at":${at},"format":1}\n`,
    )
    expect(toNdjson(started)).toBe(`{"type":"vertex.started","vertex":"${vertex}","at":${at}}\n`)
  })

  it('writes log bytes as base64, whatever they are', () => {
    const data = Uint8Array.of(0xff, 0x0a, 0x00)
    const line = toNdjson({ type: 'vertex.log', vertex, stream: 'stderr', data, at })
    expect(JSON.parse(line)).toEqual({ type: 'vertex.log', vertex, stream: 'stderr', data: '/woA', at })
  })
})

describe('createRawJsonWriter()', () => {
  const write = (events: readonly BuildEvent[]): string[] => {
    const lines: string[] = []
    const sink = createRawJsonWriter((line) => lines.push(line))
    for (const event of events) sink(event)
    return lines
  }
  const planned: BuildEvent = {
    type: 'vertex.planned',
    vertex,
    name: '[1/2] RUN a',
    inputs: [base],
    source: null,
    at,
  }

  it("writes a vertex's life as SolveStatus lines with Go's field order and times", () => {
    expect(write([planned, started, { type: 'vertex.completed', vertex, at: at + 880 }])).toEqual([
      `{"vertexes":[{"digest":"${vertex}","inputs":["${base}"],"name":"[1/2] RUN a"}]}\n`,
      `{"vertexes":[{"digest":"${vertex}","inputs":["${base}"],"name":"[1/2] RUN a","started":"2026-11-20T10:00:00.12Z"}]}\n`,
      `{"vertexes":[{"digest":"${vertex}","inputs":["${base}"],"name":"[1/2] RUN a","started":"2026-11-20T10:00:00.12Z","completed":"2026-11-20T10:00:01Z"}]}\n`,
    ])
  })

  it('marks cached, failed and cancelled vertexes as BuildKit does', () => {
    const ends: BuildEvent[] = [
      { type: 'vertex.cached', vertex, from: 'local', at },
      { type: 'vertex.failed', vertex, error: 'exit code: 2', at },
      { type: 'vertex.cancelled', vertex, at },
    ]
    const tails = ends.map((end) => {
      const line: { vertexes: object[] } = JSON.parse(write([planned, end])[1] ?? '')
      return line.vertexes[0]
    })
    expect(tails).toMatchObject([
      { started: '2026-11-20T10:00:00.12Z', completed: '2026-11-20T10:00:00.12Z', cached: true },
      { error: 'exit code: 2' },
      { error: 'context canceled' },
    ])
  })

  it('writes statuses with the start of their first event', () => {
    const lines = write([status(0), status(20, true)])
    expect(lines).toEqual([
      `{"statuses":[{"id":"sha256:ab","vertex":"${vertex}","total":20,"current":0,"timestamp":"2026-11-20T10:00:00.12Z","started":"2026-11-20T10:00:00.12Z"}]}\n`,
      `{"statuses":[{"id":"sha256:ab","vertex":"${vertex}","total":20,"current":20,"timestamp":"2026-11-20T10:00:00.14Z","started":"2026-11-20T10:00:00.12Z","completed":"2026-11-20T10:00:00.14Z"}]}\n`,
    ])
  })

  it('writes logs, and warnings on the vertex that loaded the Dockerfile', () => {
    const source = { file: 'Dockerfile', startLine: 3, startColumn: 0, endLine: 3, endColumn: 4 }
    const lines = write([
      { ...planned, name: '[internal] load build definition from Dockerfile' },
      { type: 'vertex.log', vertex, stream: 'stderr', data: Buffer.from('hi\n'), at },
      { type: 'warning', rule: 'FromAsCasing', message: 'cases differ', source, at },
    ])
    expect(lines.slice(1)).toEqual([
      `{"logs":[{"vertex":"${vertex}","stream":2,"data":"aGkK","timestamp":"2026-11-20T10:00:00.12Z"}]}\n`,
      `{"warnings":[{"vertex":"${vertex}","level":1,"short":"${Buffer.from('FromAsCasing: cases differ (line 3)').toString('base64')}","sourceInfo":{"filename":"Dockerfile"},"range":[{"start":{"line":3},"end":{"line":3,"character":4}}]}]}\n`,
    ])
  })

  it('writes nothing for what BuildKit has no words for', () => {
    expect(
      write([
        { type: 'build.started', ref: 'r1', name: 'app', at },
        { type: 'vertex.waiting', vertex, reason: 'another build runs it', at },
        completed,
      ]),
    ).toEqual([])
  })
})

describe('createEventQueue()', () => {
  const drain = async (events: AsyncIterable<BuildEvent>): Promise<BuildEvent[]> => {
    const got: BuildEvent[] = []
    for await (const event of events) got.push(event)
    return got
  }

  it('gives what was pushed before and during reading, in order, and ends after the build', async () => {
    const queue = createEventQueue()
    queue.push(started)
    const read = drain(queue.events)
    await Promise.resolve()
    queue.push(status(1))
    queue.push(completed)
    queue.push(started)
    expect(await read).toEqual([started, status(1), completed])
  })

  it('keeps only the newest unread status of one vertex and id, at its own place', async () => {
    const queue = createEventQueue()
    for (const event of [started, status(1), status(2), started, status(3, true)]) queue.push(event)
    queue.end()
    expect(await drain(queue.events)).toEqual([started, started, status(3, true)])
  })

  it('keeps every other event of a reader that is 100,000 behind', async () => {
    const queue = createEventQueue()
    const count = 100_000
    for (let i = 0; i < count; i++) queue.push({ ...started, at: i })
    queue.end()
    const got = await drain(queue.events)
    expect(got.length).toBe(count)
    expect(got.every((event, i) => event.at === i)).toBe(true)
  })

  it('drops the oldest unread logs, and nothing else, beyond its limit', async () => {
    const log = (text: string): BuildEvent => ({
      type: 'vertex.log',
      vertex,
      stream: 'stdout',
      data: Buffer.from(text),
      at,
    })
    const queue = createEventQueue(4)
    for (const event of [started, log('aa'), started, log('bb'), log('c'), log('ddd'), started])
      queue.push(event)
    queue.end()
    expect(await drain(queue.events)).toEqual([started, started, log('c'), log('ddd'), started])
    const read = createEventQueue(4)
    const events = read.events[Symbol.asyncIterator]()
    for (const text of ['aaa', 'bbb', 'ccc']) {
      read.push(log(text))
      expect(await events.next()).toEqual({ done: false, value: log(text) })
    }
  })

  it('ends when told, for a reader that waits', async () => {
    const queue = createEventQueue()
    const read = drain(queue.events)
    await Promise.resolve()
    queue.end()
    expect(await read).toEqual([])
  })

  it('refuses a second reader and drops everything when the first stops early', async () => {
    const queue = createEventQueue()
    queue.push(started)
    queue.push(started)
    for await (const _ of queue.events) break
    queue.push(started)
    expect(() => queue.events[Symbol.asyncIterator]()).toThrow(TypeError)
  })
})

describe('teeSinks()', () => {
  it('hands each event to every sink in order', () => {
    const seen: string[] = []
    teeSinks(
      (event) => seen.push(`a ${event.type}`),
      (event) => seen.push(`b ${event.type}`),
    )(completed)
    expect(seen).toEqual(['a build.completed', 'b build.completed'])
  })
})
