import type { Readable, Writable } from 'node:stream'
import type { Builder, BuilderOptions, VerifyOptions, VerifyReport } from '@tsbuild/builder'

/** A stream that may be a terminal. */
export type Terminal = Writable & {
  readonly isTTY?: boolean | undefined
  readonly columns?: number | undefined
  readonly rows?: number | undefined
}

/** Everything that the command takes from the process it runs in; tests pass their own. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Absolute. */
  readonly cwd: string
  readonly uid: number
  readonly stdin: Readable & {
    readonly isTTY?: boolean | undefined
    /** Of a terminal: hands every byte on as it is typed. Unset when the process ends, whatever ends it. */
    readonly setRawMode?: ((raw: boolean) => unknown) | undefined
  }
  readonly stdout: Terminal
  readonly stderr: Terminal
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  /** Calls `listener` for SIGINT, SIGTERM and SIGHUP until the returned function is called. */
  readonly onSignal: (listener: (signal: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => void) => () => void
  /** Calls `listener` when the terminal has another size, until the returned function is called. */
  readonly onResize: (listener: () => void) => () => void
  /** Leaves at once, without waiting for anything. */
  readonly exitNow: (code: number) => void
  readonly openBuilder: (options: BuilderOptions) => Promise<Builder>
  /** Apart from the builder, which cannot open a damaged store. */
  readonly verifyStore: (options: VerifyOptions) => Promise<VerifyReport>
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The host of a real run. The builder is loaded when it is first opened: most of start-up time is there. */
export function processHost(): Host {
  for (const stream of [process.stdout, process.stderr]) ignoreBrokenPipe(stream)
  return {
    env: process.env,
    cwd: process.cwd(),
    uid: process.getuid?.() ?? -1,
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    now: Date.now,
    onSignal(listener) {
      for (const signal of signals) process.on(signal, listener)
      return () => {
        for (const signal of signals) process.off(signal, listener)
      }
    },
    onResize(listener) {
      process.on('SIGWINCH', listener)
      return () => process.off('SIGWINCH', listener)
    },
    exitNow: (code) => process.exit(code),
    async openBuilder(options) {
      const { createBuilder } = await import('@tsbuild/builder')
      return await createBuilder(options)
    },
    async verifyStore(options) {
      const { verify } = await import('@tsbuild/builder')
      return await verify(options)
    },
  }
}

/**
 * A reader that goes away (`| head`, a closed terminal) must not end a build half-way: what is written after that is lost
 * and nothing else happens. An exporter that writes to the stream has its own listener and fails; what becomes of the
 * command's own output is for the entry to say.
 */
function ignoreBrokenPipe(stream: Writable): void {
  stream.on('error', () => {})
}
