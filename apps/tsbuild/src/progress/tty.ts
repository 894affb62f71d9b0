import { StringDecoder } from 'node:string_decoder'
import { stripVTControlCharacters } from 'node:util'
import type { Digest } from '@tsbuild/digest'
import type { BuildEvent, Millis } from '@tsbuild/events'
import type { Terminal } from '../host.ts'
import type { Palette } from './colors.ts'
import type { Display } from './display.ts'
import { oneLine } from './format.ts'
import { displayWidth } from './text-width.ts'
import { createTrace, updateTrace } from './trace.ts'
import { drawFrame } from './tty-frame.ts'

/** How the live view looks. */
export interface TtyOptions {
  readonly palette: Palette
  /** How many log lines of a running step are shown. BuildKit shows 6. */
  readonly logLines: number
}

const hideCursor = '\x1b[?25l'
const showCursor = '\x1b[?25h'
/** Without auto-wrap a line that a terminal finds wider than we do stays one line. */
const wrapOff = '\x1b[?7l'
const wrapOn = '\x1b[?7h'
const clearBelow = '\x1b[J'
/** Before a line, not after it: with auto-wrap off the cursor stays on the last column and would take it away. */
const clearLine = '\x1b[2K'
/** Frames come no faster; a fast build would spend its time on drawing. */
const frameMs = 100

/**
 * A live view that is drawn over itself, on the normal screen, so that the end of the build stays in the scroll-back.
 * The cursor is hidden from the first frame until `end`, which must be called whatever happens.
 */
export function createTtyDisplay(terminal: Terminal, options: TtyOptions): Display {
  const trace = createTrace()
  const logs = new Map<Digest, LogTail>()
  let drawn: readonly string[] = []
  let drawnAt = Number.NEGATIVE_INFINITY
  let begun = false

  const draw = (now: Millis, final: boolean): void => {
    const width = Math.max(10, terminal.columns ?? 80)
    const lines = drawFrame(trace, {
      width,
      height: Math.max(3, terminal.rows ?? 24),
      now,
      palette: options.palette,
      logs: new Map([...logs].map(([vertex, tail]) => [vertex, tail.lines()])),
      final,
    })
    terminal.write(
      `${begun ? '' : hideCursor}${wrapOff}${backOver(drawn, width)}${body(lines)}${clearBelow}${wrapOn}`,
    )
    begun = true
    drawn = lines
    drawnAt = now
  }
  return {
    update(event) {
      updateTrace(trace, event)
      if (event.type === 'vertex.log') keepLog(logs, event, options.logLines)
      if (isEnd(event)) logs.delete(event.vertex)
      if (event.at - drawnAt >= frameMs) draw(event.at, false)
    },
    tick(now) {
      if (begun && now - drawnAt >= frameMs) draw(now, false)
    },
    end(now) {
      if (!begun && trace.vertexes.size === 0) return
      draw(now, true)
      terminal.write(showCursor)
    },
  }
}

function isEnd(event: BuildEvent): event is BuildEvent & { vertex: Digest } {
  return (
    event.type === 'vertex.completed' || event.type === 'vertex.failed' || event.type === 'vertex.cancelled'
  )
}

function keepLog(
  logs: Map<Digest, LogTail>,
  event: BuildEvent & { type: 'vertex.log' },
  count: number,
): void {
  const tail = logs.get(event.vertex) ?? new LogTail(count)
  logs.set(event.vertex, tail)
  tail.add(event.data)
}

/** Moves to the first line of the frame before. A terminal that got narrower has broken its lines into several. */
function backOver(drawn: readonly string[], width: number): string {
  let rows = 0
  for (const line of drawn)
    rows += Math.max(1, Math.ceil(displayWidth(stripVTControlCharacters(line)) / width))
  return rows === 0 ? '' : `\x1b[${rows}A\r`
}

function body(lines: readonly string[]): string {
  return lines.map((line) => `${clearLine}${line}\n`).join('')
}

/** The last lines of a log, the unfinished one with them. */
class LogTail {
  readonly #count: number
  readonly #decoder = new StringDecoder('utf8')
  #lines: string[] = []
  #partial = ''

  constructor(count: number) {
    this.#count = count
  }

  add(data: Uint8Array): void {
    const lines = `${this.#partial}${this.#decoder.write(Buffer.from(data))}`.split('\n')
    // A progress bar that never ends its line must not be kept from its beginning.
    this.#partial = (lines.pop() ?? '').slice(-4096)
    this.#lines = [...this.#lines, ...lines].slice(-this.#count)
  }

  lines(): readonly string[] {
    const all = this.#partial === '' ? this.#lines : [...this.#lines, this.#partial]
    return this.#count === 0 ? [] : all.filter((line) => oneLine(line).trim() !== '').slice(-this.#count)
  }
}
