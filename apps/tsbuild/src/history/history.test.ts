import { PassThrough, Writable } from 'node:stream'
import type { BuildList, BuildRecord, BuildStep, LogChunk } from '@tsbuild/builder'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { main } from '../main.ts'
import { memoryHost } from '../test-support/memory-host.ts'
import { criticalPath } from './critical-path.ts'
import { createLogPrinter } from './log-printer.ts'
import { formatDuration } from './numbers.ts'
import { createOutlet } from './outlet.ts'
import { reportHtml } from './report-html.ts'
import { showText } from './show-text.ts'

const at = Date.UTC(2026, 10, 21, 19, 0, 0)

const step = (number: number, change: Partial<BuildStep> = {}): BuildStep => ({
  number,
  vertex: digestBytes(String(number)),
  name: `RUN step ${number}`,
  role: 'step',
  source: { file: 'Dockerfile', startLine: number, startColumn: 0, endLine: number, endColumn: 9 },
  inputs: [],
  outcome: 'completed',
  startedAt: at + number * 1000,
  endedAt: at + number * 1000 + 500,
  error: null,
  from: null,
  savedMs: null,
  miss: null,
  reads: [],
  explained: false,
  waitedFor: null,
  usage: null,
  transfers: [],
  log: { bytes: 0, lostBytes: 0 },
  ...change,
})

const build = (change: Partial<BuildRecord> = {}): BuildRecord => ({
  ref: '0123456789abcdef01234567',
  name: 'app:1',
  request: { context: '.', dockerfile: null, target: null, tags: ['app:1'], flags: ['--pull'] },
  version: '0.1.0',
  machine: 'linux/amd64',
  pid: 7,
  startedAt: at,
  endedAt: at + 65_000,
  outcome: 'completed',
  error: null,
  steps: [
    step(1, { role: 'internal', source: null }),
    step(2),
    step(3, { outcome: 'cached', startedAt: null, savedMs: 4000 }),
  ],
  warnings: [],
  image: null,
  ...change,
})

async function history(args: readonly string[], list: Partial<BuildList>) {
  const builds = async () => ({ builds: [], unreadable: [], ...list })
  const memory = memoryHost({ env: { TSBUILD_ROOT: '/store' }, builder: { builds } })
  const host = { ...memory, now: () => at + 120_000 }
  const code = await main(['history', ...args], host)
  return { code, out: host.out(), err: host.err() }
}

describe('main() history', () => {
  it('lists builds as a table, counts only steps, and names what cannot be read', async () => {
    const failed = build({
      ref: 'f'.repeat(24),
      name: `a/very/long/name/of/an/image/that/ends/in/\u001b[31mred:1`,
      outcome: 'failed',
      error: { kind: 'user', code: 'ERR_STEP_FAILED', message: 'm', hints: [], source: null, excerpt: null },
    })
    const { code, out, err } = await history([], { builds: [build(), failed], unreadable: ['bad'] })
    expect([code, err]).toEqual([0, expect.stringContaining('bad')])
    expect(out).toBe(
      [
        'BUILD          NAME                                       STATUS      STARTED         DURATION   RAN   CACHED   ERROR',
        '0123456789ab   app:1                                      completed   2 minutes ago   1m05s      1     1        -',
        'ffffffffffff   …/of/an/image/that/ends/in/\\x1b[31mred:1   failed      2 minutes ago   1m05s      1     1        ERR_STEP_FAILED',
        '',
      ].join('\n'),
    )
  })

  it.each([
    [['--filter', 'status=failed'], ['b']],
    [
      ['--filter', 'status=failed', '--filter', 'status=died'],
      ['b', 'c'],
    ],
    [['--filter', 'status=died', '--filter', 'name=app'], ['c']],
    [['--filter', 'status=failed', '--filter', 'name=other'], []],
  ])('lists with %j only %j', async (flags, expected) => {
    const builds = [
      build({ ref: 'a' }),
      build({ ref: 'b', outcome: 'failed' }),
      build({ ref: 'c', outcome: 'died', endedAt: null }),
      build({ ref: 'd', outcome: 'completed', name: 'other' }),
    ]
    const { out } = await history(['ls', '-q', ...flags], { builds })
    expect(out).toBe(expected.map((ref) => `${ref}\n`).join(''))
  })

  it.each([
    [['lss'], /Did you mean `ls`/],
    [['ls', '--filter', 'colour=red'], /no such filter/],
    [['ls', '--filter', 'status='], /no such filter/],
    [['rm'], /exactly one of/],
    [['rm', '--all', 'abc'], /exactly one of/],
    [['show', 'a', 'b'], /takes one argument/],
  ])('refuses %j', async (args, message) => {
    const { code, err } = await history(args, {})
    expect([code, err]).toEqual([2, expect.stringMatching(message)])
  })
})

describe('showText()', () => {
  it.each([
    ['completed', 'not needed'],
    ['failed', 'not reached'],
  ] as const)('says of a build that %s which steps were %s', (outcome, text) => {
    const shown = showText(
      build({ outcome, steps: [step(1), step(2, { outcome: 'not-reached', startedAt: null })] }),
      at,
    )
    expect(shown).toContain(`Steps      2: 1 ran, 0 from the cache, 1 ${text}\n`)
    expect(shown).toMatch(new RegExp(`^2 +${text} +- +- +RUN step 2$`, 'm'))
  })

  it('shows a running build with what is known up to now, and nothing that a terminal would obey', () => {
    const usage = {
      userMicros: 1_500_000,
      systemMicros: 0,
      peakMemoryBytes: 5_000_000,
      readBytes: 0,
      writtenBytes: 1000,
    }
    const text = showText(
      build({
        outcome: 'running',
        endedAt: null,
        name: 'app\u001b]0;title\u0007',
        steps: [
          step(1, {
            outcome: 'running',
            endedAt: null,
            miss: { code: 'files', text: 'package.json changed' },
            usage,
            waitedFor: 'another process runs this step',
            log: { bytes: 2048, lostBytes: 7 },
            transfers: [
              {
                id: 'pushing layer',
                startedAt: at,
                at: at + 900,
                currentBytes: 1000,
                totalBytes: 2000,
                done: false,
              },
              { id: 'naming', startedAt: at, at, currentBytes: 0, totalBytes: null, done: true },
            ],
          }),
        ],
      }),
      at + 3000,
    )
    expect(text).not.toContain('\u001b')
    const lines = text.split('\n').map((line) => line.trim())
    for (const wanted of [
      'Status     running',
      'Duration   3.0s',
      '1   running   +1.0s   2.0s   RUN step 1',
      'missed: package.json changed',
      'waited: another process runs this step',
      'used 1.5s of CPU, 5.00MB of memory, 0B read and 1.00kB written',
      'pushing layer 1.00kB / 2.00kB 0.9s, not finished',
      'wrote 2 KiB',
      'wrote 7 bytes that are not kept: the disk was full',
    ])
      expect(lines).toContain(wanted)
    expect(text).not.toContain('naming')
  })

  it('shows a failure with the lines as they were, and where its output is', () => {
    const source = { file: 'Dockerfile', startLine: 2, startColumn: 0, endLine: 2, endColumn: 5 }
    const text = showText(
      build({
        outcome: 'failed',
        steps: [step(4, { outcome: 'failed', error: 'exit code: 2', log: { bytes: 9, lostBytes: 0 } })],
        error: {
          kind: 'user',
          code: 'ERR_STEP_FAILED',
          message: 'it failed',
          hints: ['Try.'],
          source,
          excerpt: { firstLine: 1, lines: ['FROM a', 'RUN b'] },
        },
      }),
      at,
    )
    expect(text).toContain(
      'Error: it failed  [ERR_STEP_FAILED]\nDockerfile:2\n   1 |     FROM a\n   2 | >>> RUN b\nHint: Try.\nIts output: `tsbuild logs 0123456789ab 4`\n',
    )
  })
})

describe('criticalPath()', () => {
  const timed = (number: number, [start, end]: readonly [number, number], inputs: readonly number[]) =>
    step(number, {
      startedAt: at + start,
      endedAt: at + end,
      inputs: inputs.map((input) => digestBytes(String(input))),
    })
  const numbersOf = (steps: readonly BuildStep[]) => {
    const path = criticalPath({ steps })
    return steps.filter(({ vertex }) => path.has(vertex)).map(({ number }) => number)
  }

  it('goes from the step that ended last through the inputs that it waited for', () => {
    const steps = [
      timed(1, [0, 10], []),
      timed(2, [10, 50], [1]),
      timed(3, [10, 30], [1]),
      timed(4, [50, 60], [3, 2]),
      timed(5, [30, 40], [3]),
    ]
    expect(numbersOf(steps)).toEqual([1, 2, 4])
  })

  it('ends at what was found, and at nothing for a build in which nothing ran', () => {
    const cached = step(1, { outcome: 'cached', startedAt: null })
    expect(numbersOf([cached, timed(2, [10, 20], [1])])).toEqual([2])
    expect(numbersOf([cached])).toEqual([])
    expect(numbersOf([])).toEqual([])
  })

  it('ends for steps that name each other, as only a damaged file has them', () => {
    expect(numbersOf([timed(1, [0, 10], [2]), timed(2, [0, 10], [1])])).toEqual([1, 2])
  })
})

describe('reportHtml()', () => {
  it('takes no text of a build for markup, and loads nothing', () => {
    const evil = `"'><script>alert(1)</script><img src=x onerror=alert(1)>&`
    const source = { file: evil, startLine: 1, startColumn: 0, endLine: 1, endColumn: 0 }
    const html = reportHtml(
      build({
        name: evil,
        outcome: 'failed',
        request: { context: evil, dockerfile: evil, target: evil, tags: [evil], flags: [evil] },
        machine: evil,
        version: evil,
        warnings: [{ rule: evil, message: evil, source, page: evil }],
        image: { digest: evil, configDigest: evil },
        error: {
          kind: 'user',
          code: evil,
          message: evil,
          hints: [evil],
          source,
          excerpt: { firstLine: 1, lines: [evil] },
        },
        steps: [
          step(1, {
            name: evil,
            source,
            error: evil,
            outcome: 'failed',
            waitedFor: evil,
            miss: { code: 'files', text: evil },
            transfers: [{ id: evil, startedAt: at, at: at + 50, currentBytes: 1, totalBytes: 2, done: true }],
          }),
        ],
      }),
      at,
    )
    const tags = new Set([...html.matchAll(/<([a-z0-9]+)/g)].map(([, tag]) => tag))
    expect([tags.has('script'), tags.has('img'), html.includes(' onerror=alert(1)>')]).toEqual([
      false,
      false,
      false,
    ])
    expect(html).not.toMatch(/<[^>]*\b(?:src|href)=|url\(|@import/)
    expect(html.split('&lt;script&gt;').length).toBeGreaterThan(12)
  })

  it('puts steps where their times are, whatever those are', () => {
    const html = (change: Partial<BuildRecord>) => reportHtml(build(change), at + 10_000)
    const one = html({
      endedAt: at + 10_000,
      steps: [
        step(1, { startedAt: at + 2500, endedAt: at + 5000 }),
        step(2, { outcome: 'cached', startedAt: null, endedAt: at + 5000, savedMs: 700 }),
      ],
    })
    expect(one).toContain(
      '<i class="completed critical" style="left:25%;width:25%"></i><span style="left:50%">2.5s</span>',
    )
    expect(one).toContain(
      '<i class="cached" style="left:50%;width:0%"></i><span style="left:50%">saved 0.7s</span>',
    )
    expect([...one.matchAll(/<span style="left:[\d.]+%">(0|\ds)</g)].map(([, tick]) => tick)).toEqual([
      '0',
      '2s',
      '4s',
      '6s',
      '8s',
    ])
    for (const change of [
      { steps: [] },
      { endedAt: at - 5000 },
      { endedAt: null, outcome: 'died' },
      { endedAt: null, outcome: 'running', steps: [step(1, { outcome: 'running', endedAt: null })] },
      { startedAt: at + 1e12, endedAt: at },
    ] as const)
      expect(html(change)).not.toMatch(/NaN|Infinity|%;width:-/)
  })
})

describe('formatDuration()', () => {
  it.each([
    [undefined, '-'],
    [0, '0.0s'],
    [-5, '0.0s'],
    [59_940, '59.9s'],
    [59_960, '1m00s'],
    [3_599_400, '59m59s'],
    [3_725_000, '1h02m'],
  ])('shows %s as %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text)
  })
})

describe('createLogPrinter()', () => {
  const chunk = (text: string | Buffer, change: Partial<LogChunk> = {}): LogChunk => ({
    stream: 'stdout',
    at,
    data: Buffer.from(text),
    ...change,
  })
  const printed = (chunks: readonly LogChunk[], timestamps: boolean, forTerminal: boolean): string => {
    const printer = createLogPrinter({ timestamps, forTerminal })
    return chunks.map((one) => Buffer.from(printer.push(one)).toString('latin1')).join('') + printer.end()
  }

  it('changes no byte where nothing is asked for', () => {
    const data = Buffer.from(Array.from({ length: 256 }, (_, byte) => byte))
    expect(printed([chunk(data)], false, false)).toBe(data.toString('latin1'))
  })

  it('stamps lines, and begins a new one where another stream goes on in the middle of one', () => {
    const chunks = [
      chunk('a\nb'),
      chunk('c\n', { at: at + 1 }),
      chunk('d'),
      chunk('E\n', { stream: 'stderr', at: at + 2 }),
      chunk('\n'),
    ]
    expect(printed(chunks, true, false)).toBe(
      [
        '2026-11-21T19:00:00.000Z a',
        '2026-11-21T19:00:00.000Z bc',
        '2026-11-21T19:00:00.000Z d',
        '2026-11-21T19:00:00.002Z E',
        '2026-11-21T19:00:00.000Z ',
        '',
      ].join('\n'),
    )
  })

  it('shows a terminal what it would obey, but for colours, however the bytes are cut', () => {
    const text = 'ok \u001b[31mred\u001b[0m \u001b]0;title\u0007\nrest\u001b[2J'
    for (let cut = 0; cut < text.length; cut++) {
      const shown = printed([chunk(text.slice(0, cut)), chunk(text.slice(cut))], false, true)
      expect(shown).toBe('ok \u001b[31mred\u001b[0m \\x1b]0;title\\x07\nrest\\x1b[2J')
    }
  })

  it('holds back no more than a piece of a line that never ends', () => {
    const printer = createLogPrinter({ timestamps: false, forTerminal: true })
    let shown = 0
    for (let count = 0; count < 100; count++) shown += printer.push(chunk('x'.repeat(10_000))).length
    expect(shown).toBeGreaterThan(900_000)
    expect(shown + printer.end().length).toBe(1_000_000)
  })
})

describe('createOutlet()', () => {
  it('waits for a slow reader, and for no reader that has gone away', async () => {
    const slow = new PassThrough({ highWaterMark: 4 })
    const outlet = createOutlet(slow)
    let written = false
    const writing = outlet.write('12345').then(() => {
      written = true
    })
    await new Promise(setImmediate)
    expect(written).toBe(false)
    slow.resume()
    await writing
    const gone = new Writable({
      highWaterMark: 1,
      write: (_data, _encoding, done) => done(new Error('EPIPE')),
    })
    gone.on('error', () => {})
    const closed = createOutlet(gone)
    await closed.write('12345')
    await closed.write('more')
    expect(closed.isClosed()).toBe(true)
  })
})
