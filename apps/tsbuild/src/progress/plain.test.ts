import type { BuildEvent } from '@tsbuild/events'
import { describe, expect, it } from 'vitest'
import {
  cached,
  completed,
  copy,
  from,
  load,
  log,
  planned,
  run,
  simpleBuild,
  started,
  status,
} from '../test-support/build-events.ts'
import { createPlainDisplay } from './plain.ts'
import { createTrace, updateTrace } from './trace.ts'

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
