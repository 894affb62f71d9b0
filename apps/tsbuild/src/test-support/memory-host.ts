import { Readable } from 'node:stream'
import type { Builder, BuilderOptions } from '@tsbuild/builder'
import { textStream } from '@tsbuild/command-line/testing'
import type { Host } from '../host.ts'

/** A host whose streams are texts, for unit tests. */
export interface MemoryHost extends Host {
  readonly out: () => string
  readonly err: () => string
  /** Delivers a signal. */
  readonly signal: (name?: 'SIGINT' | 'SIGTERM' | 'SIGHUP') => void
  /** Gives the terminal another size. */
  readonly resize: () => void
  /** Whether anyone listens for signals. */
  readonly listening: () => boolean
  readonly exits: readonly number[]
  /** What the store was opened with. */
  readonly opened: readonly BuilderOptions[]
}

/** What a test may set. */
export interface MemoryHostOptions {
  readonly env?: Host['env']
  readonly cwd?: string
  readonly uid?: number
  readonly terminal?: { readonly columns: number; readonly rows: number }
  readonly stdoutIsTTY?: boolean
  readonly stdin?: Pick<Host['stdin'], 'isTTY' | 'setRawMode'>
  readonly builder?: Partial<Builder>
  readonly verifyStore?: Host['verifyStore']
}

/** Makes a host; what the builder is not given fails the test when it is called. */
export function memoryHost(options: MemoryHostOptions = {}): MemoryHost {
  const [stdout, out] = textStream()
  const [stderr, err] = textStream()
  const listeners = new Set<Parameters<Host['onSignal']>[0]>()
  const resized = new Set<() => void>()
  const exits: number[] = []
  const opened: BuilderOptions[] = []
  const terminal = options.terminal === undefined ? {} : { isTTY: true, ...options.terminal }
  return {
    env: options.env ?? {},
    cwd: options.cwd ?? '/work dir',
    uid: options.uid ?? 1000,
    stdin: Object.assign(Readable.from([]), options.stdin ?? {}),
    stdout: Object.assign(stdout, options.stdoutIsTTY === true ? { isTTY: true } : {}),
    stderr: Object.assign(stderr, terminal),
    now: () => 5_000,
    onSignal(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    onResize(listener) {
      resized.add(listener)
      return () => resized.delete(listener)
    },
    exitNow: (code) => exits.push(code),
    async openBuilder(settings) {
      opened.push(settings)
      return memoryBuilder(options.builder ?? {})
    },
    async verifyStore(settings) {
      opened.push(settings)
      if (options.verifyStore === undefined) throw new TypeError('The test did not expect this call')
      return await options.verifyStore(settings)
    },
    out,
    err,
    signal: (name = 'SIGINT') => {
      for (const listener of listeners) listener(name)
    },
    resize: () => {
      for (const listener of resized) listener()
    },
    listening: () => listeners.size > 0,
    exits,
    opened,
  }
}

function memoryBuilder(methods: Partial<Builder>): Builder {
  const unexpected = (): never => {
    throw new TypeError('The test did not expect this call')
  }
  return {
    build: unexpected,
    images: unexpected,
    compareImages: unexpected,
    removeImage: unexpected,
    check: unexpected,
    outline: unexpected,
    targets: unexpected,
    runImage: unexpected,
    signImage: unexpected,
    attestImage: unexpected,
    verifyImage: unexpected,
    shell: unexpected,
    failures: unexpected,
    diskUsage: unexpected,
    prune: unexpected,
    explain: unexpected,
    builds: unexpected,
    buildRecord: unexpected,
    buildExplanation: unexpected,
    buildLog: unexpected,
    removeBuilds: unexpected,
    bootstrap: unexpected,
    doctor: unexpected,
    pullImage: unexpected,
    pushImage: unexpected,
    copyImage: unexpected,
    tagImage: unexpected,
    listImages: unexpected,
    removeImages: unexpected,
    saveImages: unexpected,
    loadImages: unexpected,
    inspectImage: unexpected,
    createIndex: unexpected,
    close: async () => {},
    ...methods,
  }
}
