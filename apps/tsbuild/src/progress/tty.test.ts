import type { BuildEvent } from '@tsbuild/events'
import { describe, expect, it } from 'vitest'
import {
  completed,
  copy,
  from,
  log,
  planned,
  run,
  simpleBuild,
  started,
} from '../test-support/build-events.ts'
import { memoryHost } from '../test-support/memory-host.ts'
import { defaultPalette, paletteOf } from './colors.ts'
import { displayWidth } from './text-width.ts'
import { createTrace, updateTrace } from './trace.ts'
import { createTtyDisplay } from './tty.ts'
import { drawFrame, type FrameOptions } from './tty-frame.ts'

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
