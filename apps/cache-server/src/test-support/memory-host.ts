import { Readable } from 'node:stream'
import { textStream } from '@tsbuild/command-line/testing'
import type { Host, Signal } from '../host.ts'

/** A host whose streams are texts, for unit tests. */
export interface MemoryHost extends Host {
  readonly out: () => string
  readonly err: () => string
  /** Delivers a signal. */
  readonly signal: (name: Signal) => void
  readonly exits: readonly number[]
}

/** What a test may set. */
export interface MemoryHostOptions {
  readonly env?: Host['env']
  readonly cwd?: string
  readonly stdin?: string
  readonly isTTY?: boolean
  readonly now?: () => number
}

/** Makes a host. */
export function memoryHost(options: MemoryHostOptions = {}): MemoryHost {
  const [stdout, out] = textStream()
  const [stderr, err] = textStream()
  const listeners = new Set<(signal: Signal) => void>()
  const exits: number[] = []
  return {
    env: options.env ?? {},
    cwd: options.cwd ?? '/work',
    stdin: Readable.from(options.stdin === undefined ? [] : [options.stdin]),
    stdout,
    stderr: Object.assign(stderr, options.isTTY === true ? { isTTY: true } : {}),
    now: options.now ?? (() => 1_700_000_000_000),
    pid: 7,
    onSignal(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    exitNow: (code) => exits.push(code),
    out,
    err,
    signal: (name) => {
      for (const listener of listeners) listener(name)
    },
    exits,
  }
}
