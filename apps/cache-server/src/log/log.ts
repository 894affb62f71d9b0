import { pino } from 'pino'
import type { Host } from '../host.ts'
import { textLine } from './text-line.ts'

/** Facts of a line, besides its message. */
export type LogFields = Readonly<Record<string, unknown>>

/** Where the server says what it does. A line is one JSON object; nothing in it is an order to a terminal. */
export interface Log {
  debug(fields: LogFields, message: string): void
  info(fields: LogFields, message: string): void
  warn(fields: LogFields, message: string): void
  error(fields: LogFields, message: string): void
  /** Whether lines of this level are written: for whoever would make one at some cost. */
  isOn(level: 'debug' | 'info'): boolean
  /** Writes what was kept back. */
  flush(): void
}

/** How the log is written. */
export interface LogOptions {
  readonly level: 'debug' | 'info' | 'warn' | 'error'
  readonly format: 'auto' | 'json' | 'text'
}

/** Lines are written together when so many bytes wait, or so many milliseconds have gone. */
const batch = { bytes: 16 * 1024, waitMs: 200 }

/**
 * Opens the log on standard error. Lines of requests are written in batches, so that a busy server does not wait for each of them;
 * warnings and errors at once.
 */
export function openLog(options: LogOptions, host: Pick<Host, 'stderr' | 'now'>): Log {
  const isText = options.format === 'text' || (options.format === 'auto' && host.stderr.isTTY === true)
  const { sink, flush } = batched(host.stderr, isText ? textLine : jsonLine)
  const logger = pino(
    {
      level: options.level,
      base: null,
      timestamp: () => `,"time":"${new Date(host.now()).toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      messageKey: 'message',
    },
    { write: sink },
  )
  const urgent = (level: 'warn' | 'error') => (fields: LogFields, message: string) => {
    logger[level](fields, message)
    flush()
  }
  return {
    debug: (fields, message) => logger.debug(fields, message),
    info: (fields, message) => logger.info(fields, message),
    warn: urgent('warn'),
    error: urgent('error'),
    isOn: (level) => logger.isLevelEnabled(level),
    flush,
  }
}

function batched(
  out: Host['stderr'],
  format: (line: string) => string,
): { sink: (line: string) => void; flush: () => void } {
  let waiting = ''
  let timer: NodeJS.Timeout | undefined
  const flush = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (waiting === '') return
    out.write(waiting)
    waiting = ''
  }
  const sink = (line: string): void => {
    waiting += format(line)
    if (waiting.length >= batch.bytes) flush()
    else timer ??= setTimeout(flush, batch.waitMs).unref()
  }
  return { sink, flush }
}

/** Beyond ASCII's control characters, which JSON escapes itself: those of Latin-1, and marks that turn the direction of text. */
const obeyed = /[\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

function jsonLine(line: string): string {
  return line.replace(obeyed, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
