import { StringDecoder } from 'node:string_decoder'
import type { LogChunk } from '@tsbuild/builder'
import { visibleLog } from '@tsbuild/command-line'

/** Makes what is printed out of what a step wrote. */
export interface LogPrinter {
  push(chunk: LogChunk): Uint8Array | string
  /** What was held back. */
  end(): string
  /** Whether a whole line came last, or nothing. */
  endsLine(): boolean
}

/** A terminal's line that never ends is shown in pieces of this many characters. */
const longestLine = 64 * 1024

const lineFeed = 0x0a

/** @param options with neither, everything comes out as it goes in */
export function createLogPrinter(options: {
  readonly timestamps: boolean
  readonly forTerminal: boolean
}): LogPrinter {
  const { timestamps, forTerminal } = options
  const stamp = timestamps ? createStamper() : undefined
  const escaper = forTerminal ? createEscaper() : undefined
  let endsLine = true
  const show = (chunk: LogChunk) => {
    endsLine = chunk.data.at(-1) === lineFeed
    const stamped = stamp === undefined ? chunk.data : stamp(chunk)
    return escaper === undefined ? stamped : escaper.push(stamped)
  }
  return { push: show, end: () => escaper?.end() ?? '', endsLine: () => endsLine }
}

/** Puts the time before each line. A line that goes on in another stream goes on in a line of its own. */
function createStamper(): (chunk: LogChunk) => Uint8Array {
  let open: LogChunk['stream'] | undefined
  return ({ data, stream, at }) => {
    const prefix = Buffer.from(`${new Date(at).toISOString()} `)
    const parts: Uint8Array[] = []
    if (open !== undefined && open !== stream) {
      parts.push(Buffer.of(lineFeed))
      open = undefined
    }
    for (let from = 0; from < data.length; ) {
      const newline = data.indexOf(lineFeed, from)
      const to = newline < 0 ? data.length : newline + 1
      if (open === undefined) parts.push(prefix)
      parts.push(data.subarray(from, to))
      open = newline < 0 ? stream : undefined
      from = to
    }
    return Buffer.concat(parts)
  }
}

/** Control characters are for the step's own terminal, and this is another one. */
function createEscaper() {
  const decoder = new StringDecoder('utf8')
  let held = ''
  return {
    push(data: Uint8Array): string {
      const lines = (held + decoder.write(Buffer.from(data))).split('\n')
      held = lines.pop() ?? ''
      const whole = lines.map((line) => `${visibleLog(line)}\n`).join('')
      if (held.length <= longestLine) return whole
      const piece = visibleLog(held)
      held = ''
      return whole + piece
    },
    end(): string {
      const rest = held + decoder.end()
      held = ''
      return visibleLog(rest)
    },
  }
}
