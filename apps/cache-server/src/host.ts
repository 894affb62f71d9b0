import type { Readable, Writable } from 'node:stream'

/** A stream that may be a terminal. */
export type Terminal = Writable & { readonly isTTY?: boolean | undefined }

/** A signal that the server listens to. */
export type Signal = 'SIGINT' | 'SIGTERM' | 'SIGHUP'

/** Everything that the command takes from the process it runs in; tests pass their own. */
export interface Host {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Absolute. */
  readonly cwd: string
  readonly stdin: Readable
  readonly stdout: Terminal
  readonly stderr: Terminal
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  readonly pid: number
  /** Calls `listener` for SIGINT, SIGTERM and SIGHUP until the returned function is called. */
  readonly onSignal: (listener: (signal: Signal) => void) => () => void
  /** Leaves at once, without waiting for anything. */
  readonly exitNow: (code: number) => void
}

const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

/** The host of a real run. */
export function processHost(): Host {
  // A reader that goes away (`| head`, a closed terminal) must not end a server.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  return {
    env: process.env,
    cwd: process.cwd(),
    stdin: process.stdin,
    stdout: process.stdout,
    stderr: process.stderr,
    now: Date.now,
    pid: process.pid,
    onSignal(listener) {
      for (const signal of signals) process.on(signal, listener)
      return () => {
        for (const signal of signals) process.off(signal, listener)
      }
    },
    exitNow: (code) => process.exit(code),
  }
}
