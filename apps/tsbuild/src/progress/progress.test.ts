import { digestBytes } from '@tsbuild/digest'
import type { BuildEvent } from '@tsbuild/events'
import { describe, expect, it } from 'vitest'
import { memoryHost } from '../test-support/memory-host.ts'
import { defaultPalette, paletteOf } from './colors.ts'
import { createDisplay, displayMode } from './create-display.ts'
import { formatBytes, formatOffset, oneLine } from './format.ts'
import { createPlainDisplay } from './plain.ts'
import { cutToWidth, displayWidth } from './text-width.ts'
import { createTrace, updateTrace } from './trace.ts'
import { createTtyDisplay } from './tty.ts'
import { drawFrame, type FrameOptions } from './tty-frame.ts'
import { warningsText } from './warnings.ts'

const [load, from, run, copy] = ['load', 'from', 'run', 'copy'].map((name) => digestBytes(Buffer.from(name)))
if (load === undefined || from === undefined || run === undefined || copy === undefined) throw new TypeError()
type Vertex = typeof load

const planned = (vertex: Vertex, name: string, at = 0): BuildEvent => ({
  type: 'vertex.planned',
  vertex,
  name,
  inputs: [],
  source: null,
  at,
})
const started = (vertex: Vertex, at: number): BuildEvent => ({ type: 'vertex.started', vertex, at })
const completed = (vertex: Vertex, at: number): BuildEvent => ({ type: 'vertex.completed', vertex, at })
const cached = (vertex: Vertex, at: number): BuildEvent => ({
  type: 'vertex.cached',
  vertex,
  from: 'local',
  at,
})
const log = (
  vertex: Vertex,
  at: number,
  text: string,
  stream: 'stdout' | 'stderr' = 'stdout',
): BuildEvent => ({
  type: 'vertex.log',
  vertex,
  stream,
  data: Buffer.from(text),
  at,
})
const status = (
  vertex: Vertex,
  at: number,
  id: string,
  bytes: number,
  total: number | null,
  done = false,
): BuildEvent => ({
  type: 'vertex.status',
  vertex,
  id,
  currentBytes: bytes,
  totalBytes: total,
  done,
  at,
})

/** A build with a cached step and a step that runs. */
const simpleBuild: readonly BuildEvent[] = [
  { type: 'build.started', ref: 'r', name: 'app', at: 0 },
  planned(load, '[internal] load build definition from Dockerfile'),
  planned(from, '[1/2] FROM docker.io/library/debian:12'),
  planned(run, '[2/2] RUN make'),
  started(load, 0),
  status(load, 5, 'transferring dockerfile:', 120, null, true),
  completed(load, 10),
  cached(from, 20),
  { type: 'vertex.missed', vertex: run, reason: { code: 'files', text: 'a.c changed' }, at: 100 },
  started(run, 100),
  log(run, 223, 'cc a.c\ncc '),
  log(run, 1_300, 'b.c\n'),
  log(run, 1_400, 'warning\n', 'stderr'),
  completed(run, 1_600),
  { type: 'build.completed', ref: 'r', at: 1_600 },
]

const plain = (events: readonly BuildEvent[]): string => {
  let text = ''
  const display = createPlainDisplay((part) => {
    text += part
  })
  for (const event of events) display.update(event)
  display.end(10_000)
  return text
}

describe('createPlainDisplay() with hostile text', () => {
  it('writes no control characters of names, states and errors', () => {
    let out = ''
    const display = createPlainDisplay((text) => {
      out += text
    })
    display.update(planned(run, 'COPY a\x1b[2J /x'))
    display.update(started(run, 0))
    display.update(status(run, 1, 'b\x9b31m', 1, null, true))
    display.update(log(run, 2, 'c\x1b]52;c;eA==\x07\x1b[31mred\n'))
    display.update({ type: 'vertex.failed', vertex: run, error: 'd\x1b[5m', at: 3 })
    display.end(4)
    expect(out.replaceAll('\x1b[31m', '')).not.toMatch(/(?!\n)\p{Cc}/u)
    expect(out).toContain('#1 COPY a\\x1b[2J /x\n')
  })

  it('warningsText() shows control characters instead of writing them', () => {
    const text = warningsText([{ type: 'warning', rule: 'X', message: 'a\x1b[2J', source: null, at: 0 }])
    expect(text).toContain('a\\x1b[2J')
  })
})

describe('createPlainDisplay()', () => {
  it('writes blocks as BuildKit does', () => {
    expect(plain(simpleBuild)).toBe(`#1 [internal] load build definition from Dockerfile
#1 transferring dockerfile: 120B done
#1 DONE 0.0s

#2 [1/2] FROM docker.io/library/debian:12
#2 CACHED

#3 [2/2] RUN make
#3 MISS: a.c changed
#3 0.123 cc a.c
#3 0.123 cc b.c
#3 1.300 warning
#3 DONE 1.5s

2 steps: 1 cached, 1 run
`)
  })

  it('leaves out what has no work of its own', () => {
    const merge: BuildEvent = { ...planned(copy, '[2/2] LINK COPY'), view: true } as BuildEvent
    const events = [...simpleBuild.slice(0, -1), merge, started(copy, 1_600), completed(copy, 1_600)]
    expect(plain(events)).toBe(plain(simpleBuild))
    const trace = createTrace()
    for (const event of events) updateTrace(trace, event)
    expect([...trace.vertexes.keys()]).toEqual([load, from, run])
  })

  it('shows how steps end that did not end well', () => {
    const events: BuildEvent[] = [
      planned(run, 'RUN false'),
      planned(copy, 'COPY a b'),
      started(run, 0),
      { type: 'vertex.failed', vertex: run, error: 'exit code: 1', at: 5 },
      started(copy, 5),
      { type: 'vertex.cancelled', vertex: copy, at: 6 },
    ]
    expect(plain(events)).toBe('#1 RUN false\n#1 ERROR: exit code: 1\n\n#2 COPY a b\n#2 CANCELED\n')
  })

  it('stays on a running step while others end, and comes back to it', () => {
    const events = [
      planned(run, 'RUN a'),
      planned(copy, 'RUN b'),
      started(run, 0),
      log(run, 1_000, 'a1\n'),
      started(copy, 1_000),
      log(copy, 1_500, 'b1\n'),
      log(run, 2_000, 'a2\n'),
      completed(copy, 2_500),
      log(run, 3_000, 'a3\n'),
      completed(run, 3_000),
    ]
    expect(plain(events)).toBe(`#1 RUN a
#1 1.000 a1
#1 2.000 a2
#1 ...

#2 RUN b
#2 0.500 b1
#2 DONE 1.5s

#1 RUN a
#1 3.000 a3
#1 DONE 3.0s
`)
  })

  it('gives way to a step that has waited for 5 s', () => {
    const events = [
      planned(run, 'RUN a'),
      planned(copy, 'RUN b'),
      started(run, 0),
      started(copy, 0),
      log(copy, 1_000, 'b1\n'),
      log(run, 5_900, 'a1\n'),
      log(copy, 6_000, 'b2\n'),
    ]
    expect(plain(events)).toBe('#1 RUN a\n#1 5.900 a1\n#1 ...\n\n#2 RUN b\n#2 1.000 b1\n#2 6.000 b2\n')
  })

  it('repeats a status when a second passed and it moved by a twentieth, 5 s passed, or it is done', () => {
    const events = [
      planned(from, 'FROM a'),
      started(from, 0),
      status(from, 0, 'sha256:ab', 0, 1_000_000),
      status(from, 100, 'sha256:ab', 40_000, 1_000_000),
      status(from, 999, 'sha256:ab', 900_000, 1_000_000),
      status(from, 1_000, 'sha256:ab', 900_001, 1_000_000),
      status(from, 2_500, 'sha256:ab', 900_002, 1_000_000),
      status(from, 6_000, 'sha256:ab', 900_003, 1_000_000),
      status(from, 6_001, 'sha256:ab', 1_000_000, 1_000_000, true),
    ]
    expect(plain(events)).toBe(`#1 FROM a
#1 sha256:ab 0B / 1.00MB
#1 sha256:ab 900.00kB / 1.00MB 1.0s
#1 sha256:ab 900.00kB / 1.00MB 6.0s
#1 sha256:ab 1.00MB / 1.00MB 6.0s done
`)
  })

  it('keeps a character whole that comes in two pieces, and the end of a log without a line feed', () => {
    const bytes = Buffer.from('ä')
    const half = (part: Uint8Array): BuildEvent => ({
      type: 'vertex.log',
      vertex: run,
      stream: 'stdout',
      data: part,
      at: 0,
    })
    const events = [
      planned(run, 'RUN a'),
      started(run, 0),
      half(bytes.subarray(0, 1)),
      half(bytes.subarray(1)),
    ]
    expect(plain([...events, completed(run, 1_000)])).toBe('#1 RUN a\n#1 0.000 ä\n#1 DONE 1.0s\n')
  })

  it('says of a forced step that it made what was there', () => {
    const unchanged: BuildEvent = { type: 'vertex.completed', vertex: run, unchanged: true, at: 100 }
    expect(plain([planned(run, 'COPY a'), started(run, 0), unchanged])).toBe('#1 COPY a\n#1 UNCHANGED 0.1s\n')
  })

  it('says when another process runs the step', () => {
    const waiting: BuildEvent = {
      type: 'vertex.waiting',
      vertex: run,
      reason: 'another build runs it',
      at: 0,
    }
    expect(plain([planned(run, 'RUN a'), started(run, 0), waiting])).toBe(
      '#1 RUN a\n#1 waiting: another build runs it\n',
    )
    // As a rule it waits before it starts, and ends without.
    expect(plain([planned(run, 'RUN a'), waiting])).toBe('#1 RUN a\n#1 waiting: another build runs it\n')
    expect(plain([planned(run, 'RUN a'), waiting, cached(run, 10)])).toMatch(
      /^#1 RUN a\n#1 waiting: another build runs it\n#1 CACHED\n/,
    )
  })
})

describe('drawFrame()', () => {
  const frame = (events: readonly BuildEvent[], options: Partial<FrameOptions> = {}): readonly string[] => {
    const trace = createTrace()
    for (const event of events) updateTrace(trace, event)
    return drawFrame(trace, {
      width: 44,
      height: 20,
      now: 1_200,
      palette: paletteOf({ NO_COLOR: '1' }),
      logs: new Map(),
      final: false,
      ...options,
    })
  }

  it('shows a step that waits for another process before it starts', () => {
    const waiting: BuildEvent = { type: 'vertex.waiting', vertex: run, reason: 'process 7 runs it', at: 200 }
    expect(frame([planned(run, 'RUN a'), waiting], { width: 60 })).toEqual([
      '[+] Building 1.2s (0/1)',
      ' => RUN a waiting: process 7 runs it                    1.0s',
    ])
  })

  it('shows the header, finished steps, running ones with a timer, and their last log lines', () => {
    const logs = new Map([[run, ['cc a.c', '\x1b[31mcc\x1b[0m b.c\t50%\rcc b.c\t99%']]])
    expect(frame(simpleBuild.slice(0, 11), { logs })).toEqual([
      '[+] Building 1.2s (2/3)',
      ' => [internal] load build definition fr 0.0s',
      ' => => transferring dockerfile: 120B    0.0s',
      ' => CACHED [1/2] FROM docker.io/library 0.0s',
      ' => [2/2] RUN make MISS: a.c changed    1.1s',
      ' => => # cc a.c',
      ' => => # cc b.c 99%',
    ])
  })

  it('draws why a step runs dimmed, and what a cached one saved', () => {
    const saved: BuildEvent = { type: 'vertex.cached', vertex: from, from: 'local', savedMs: 61_000, at: 20 }
    const events = simpleBuild.slice(0, 11).map((event) => (event.type === 'vertex.cached' ? saved : event))
    const lines = frame(events, { width: 60, palette: paletteOf({}) })
    expect(lines.some((line) => line.includes('\x1b[2m MISS: a.c changed\x1b[0m'))).toBe(true)
    expect(lines.some((line) => line.includes('(saved 61.0s)'))).toBe(true)
  })

  it('ends with every step and FINISHED', () => {
    expect(frame(simpleBuild, { final: true, now: 1_600, height: 3 })).toEqual([
      '[+] Building 1.6s (3/3) FINISHED',
      ' => [internal] load build definition fr 0.0s',
      ' => => transferring dockerfile: 120B    0.0s',
      ' => CACHED [1/2] FROM docker.io/library 0.0s',
      ' => [2/2] RUN make MISS: a.c changed    1.5s',
      ' 2 steps: 1 cached, 1 run',
    ])
  })

  it('keeps running steps and then the latest finished ones on a low terminal', () => {
    const logs = new Map([[run, ['cc a.c']]])
    expect(frame(simpleBuild.slice(0, 11), { logs, height: 4 })).toEqual([
      '[+] Building 1.2s (2/3)',
      ' => CACHED [1/2] FROM docker.io/library 0.0s',
      ' => [2/2] RUN make MISS: a.c changed    1.1s',
    ])
  })

  it('never gets wider or higher than the terminal', () => {
    for (const width of [10, 20, 33, 80]) {
      for (const height of [3, 4, 6, 9]) {
        const lines = frame(simpleBuild.slice(0, 11), {
          width,
          height,
          logs: new Map([[run, ['日本語 '.repeat(20)]]]),
        })
        expect(lines.length).toBeLessThan(height)
        for (const line of lines) expect(displayWidth(line)).toBeLessThanOrEqual(width)
      }
    }
  })

  it('marks and colours steps by how they ended', () => {
    const events: BuildEvent[] = [
      planned(run, 'RUN false'),
      planned(copy, 'COPY a b'),
      started(run, 0),
      started(copy, 0),
      { type: 'vertex.failed', vertex: run, error: 'x', at: 5 },
      { type: 'vertex.cancelled', vertex: copy, at: 6 },
    ]
    expect(frame(events, { final: true, now: 6, width: 24, palette: defaultPalette })).toEqual([
      '[+] Building 0.0s (2/2)',
      '\x1b[31m => ERROR RUN false 0.0s\x1b[0m',
      '\x1b[33m => CANCELED COPY a 0.0s\x1b[0m',
    ])
  })
})

describe('createTtyDisplay()', () => {
  const options = { palette: paletteOf({ NO_COLOR: '1' }), logLines: 2 }

  it('draws over its last frame, and gives the cursor back at the end', () => {
    const host = memoryHost({ terminal: { columns: 40, rows: 10 } })
    const display = createTtyDisplay(host.stderr, options)
    display.update(planned(run, 'RUN a'))
    display.update(started(run, 100))
    display.update(log(run, 150, 'one\ntwo\nthree\n'))
    display.tick(300)
    display.update(completed(run, 350))
    display.end(400)
    const frames = host.err().split('\x1b[?7l')
    const line = (text: string): string => `\x1b[2K${text}\n`
    const step = (time: string): string => line(` => RUN a                           ${time}`)
    const rest = '\x1b[J\x1b[?7h'
    expect(frames).toEqual([
      '\x1b[?25l',
      `${line('[+] Building 0.0s (0/1)')}${rest}`,
      `\x1b[1A\r${line('[+] Building 0.1s (0/1)')}${step('0.0s')}${rest}`,
      `\x1b[2A\r${line('[+] Building 0.3s (0/1)')}${step('0.2s')}${line(' => => # two')}${line(' => => # three')}${rest}`,
      `\x1b[4A\r${line('[+] Building 0.4s (1/1) FINISHED')}${step('0.3s')}${rest}\x1b[?25h`,
    ])
  })

  it('goes back over broken lines after the terminal got narrower', () => {
    const host = memoryHost({ terminal: { columns: 40, rows: 10 } })
    const display = createTtyDisplay(host.stderr, options)
    display.update(planned(run, 'RUN a'))
    display.update(started(run, 100))
    Object.assign(host.stderr, { columns: 20 })
    display.tick(300)
    // 23 columns of header and 40 of step are two lines each now.
    expect(host.err()).toContain('\x1b[4A\r\x1b[2K[+] Building 0.3s (0')
  })

  it('writes nothing for a build that ended before its first step', () => {
    const host = memoryHost({ terminal: { columns: 40, rows: 10 } })
    createTtyDisplay(host.stderr, options).end(0)
    expect(host.err()).toBe('')
  })
})

describe('createDisplay()', () => {
  const show = (mode: 'json' | 'rawjson' | 'quiet' | 'none'): string => {
    const host = memoryHost()
    const display = createDisplay(mode, host)
    for (const event of simpleBuild) display.update(event)
    display.end(0)
    expect(host.out()).toBe('')
    return host.err()
  }

  it('writes one JSON object a line for json and rawjson, and nothing for quiet and none', () => {
    const json = show('json').trimEnd().split('\n')
    expect(json.map((line) => JSON.parse(line).type)).toEqual(simpleBuild.map((event) => event.type))
    expect(JSON.parse(json[0] ?? '')).toMatchObject({ format: 1 })
    const raw = show('rawjson').trimEnd().split('\n')
    expect(raw.flatMap((line) => Object.keys(JSON.parse(line)))).toEqual([
      ...['vertexes', 'vertexes', 'vertexes', 'vertexes', 'statuses', 'vertexes', 'vertexes', 'vertexes'],
      ...['logs', 'logs', 'logs', 'vertexes'],
    ])
    expect(show('quiet')).toBe('')
    expect(show('none')).toBe('')
  })
})

describe('displayMode()', () => {
  const terminal = { columns: 80, rows: 24 }

  it.each([
    [{}, {}, undefined, 'plain'],
    [{}, {}, terminal, 'tty'],
    [{}, { TERM: 'dumb' }, terminal, 'plain'],
    [{}, { BUILDKIT_PROGRESS: 'plain' }, terminal, 'plain'],
    [{}, { BUILDKIT_PROGRESS: 'plain', TSBUILD_PROGRESS: 'rawjson' }, terminal, 'rawjson'],
    [{ progress: 'auto' }, { BUILDKIT_PROGRESS: 'json' }, terminal, 'tty'],
    [{ quiet: true }, { BUILDKIT_PROGRESS: 'json' }, terminal, 'quiet'],
  ] as const)('chooses by %j and %j', (flags, env, size, mode) => {
    expect(displayMode(flags, memoryHost({ env, ...(size === undefined ? {} : { terminal: size }) }))).toBe(
      mode,
    )
  })

  it('refuses a live view without a terminal, and modes that do not exist', () => {
    const usage = expect.objectContaining({ code: 'ERR_USAGE' })
    expect(() => displayMode({ progress: 'tty' }, memoryHost())).toThrow(usage)
    expect(() => displayMode({}, memoryHost({ env: { BUILDKIT_PROGRESS: 'x' } }))).toThrow(usage)
    expect(() => displayMode({ progress: 'json', quiet: true }, memoryHost())).toThrow(usage)
  })
})

describe('paletteOf()', () => {
  it('takes colours from BUILDKIT_COLORS and none with NO_COLOR', () => {
    const env = { BUILDKIT_COLORS: 'run=green:error=light-red:cancel=255,165,0:warning=256,0,0:bad:x=red' }
    expect(paletteOf(env)).toEqual({ ...defaultPalette, run: '32', error: '91', cancel: '38;2;255;165;0' })
    expect(paletteOf({ ...env, NO_COLOR: '1' }).run).toBe('')
    expect(paletteOf({ NO_COLOR: '' })).toEqual(defaultPalette)
  })
})

describe('warningsText()', () => {
  it('lists each warning once', () => {
    const source = { file: 'Dockerfile', startLine: 2, startColumn: 0, endLine: 2, endColumn: 1 }
    const one = { type: 'warning', rule: 'FromAsCasing', message: 'cases differ', source, at: 0 } as const
    expect(warningsText([])).toBe('')
    expect(warningsText([one, one])).toBe(
      '\n 1 warning found:\n - FromAsCasing: cases differ (Dockerfile:2)\n',
    )
    expect(warningsText([one, { ...one, rule: 'B', source: null }])).toBe(
      '\n 2 warnings found:\n - FromAsCasing: cases differ (Dockerfile:2)\n - B: cases differ\n',
    )
  })
})

describe('warningsText() of lint', () => {
  it('says at the end where more is said', () => {
    const page = 'docs/reference/lint/FromAsCasing.md'
    const one = { type: 'warning', rule: 'FromAsCasing', message: 'm', source: null, page, at: 0 } as const
    expect(warningsText([one])).toBe(
      '\n 1 warning found:\n - FromAsCasing: m\n `--check` shows the lines; docs/reference/lint/ has a page for each rule\n',
    )
  })
})

describe('format', () => {
  it('formatBytes() uses decimal units', () => {
    expect([0, 999, 1_000, 29_150_000, 1.5e12].map(formatBytes)).toEqual([
      '0B',
      '999B',
      '1.00kB',
      '29.15MB',
      '1.50TB',
    ])
  })

  it('formatOffset() keeps five characters', () => {
    expect([0, 9_999, 10_000, 99_990, 100_000].map(formatOffset)).toEqual([
      '0.000',
      '9.999',
      '10.00',
      '99.99',
      '100.0',
    ])
  })

  it('oneLine() drops control characters and what was overwritten', () => {
    expect(oneLine('a\x07b\x1b[2J\tc')).toBe('ab c')
    expect(oneLine('10%\r20%\r')).toBe('20%')
    expect(oneLine('\x1b]0;title\x07x')).toBe('x')
  })

  it('cutToWidth() counts columns, not code units', () => {
    expect(cutToWidth('日本語', 5)).toBe('日本')
    expect(cutToWidth('e\u0301e', 1)).toBe('e\u0301')
    expect(cutToWidth('abc', 0)).toBe('')
    expect(displayWidth('🐳 x')).toBe(4)
  })
})
