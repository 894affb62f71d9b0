import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'
import { afterAll, onTestFinished } from 'vitest'
import type { WriterReport, WriterTask } from './writer-protocol.ts'

/** A running store-writer.ts. */
export interface WriterProcess {
  readonly process: ChildProcess
  /** Everything it reported so far. */
  readonly reports: readonly WriterReport[]
  /** Resolves when it has reported the type; rejects if it ends without. */
  reported(type: WriterReport['type']): Promise<void>
  /** What it wrote to stderr: the error that ended it. */
  errorText(): string
  /** Lets it go on where it waits for a line. */
  proceed(): void
  /** Resolves when it has ended and all of its output was read. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>
}

/**
 * Starts processes that use a store. The program is bundled once for each test file: Node 20 runs no TypeScript. It
 * lies in `dist`, from where its native dependency is found.
 */
export function writerProcesses(): (
  root: string,
  task: WriterTask,
  through?: readonly string[],
) => WriterProcess {
  let program: string | undefined
  afterAll(() => {
    if (program !== undefined) rmSync(dirname(program), { recursive: true, force: true })
  })
  return (root, task, through = []) => {
    program ??= bundle()
    const command = [...through, process.execPath, program, root, JSON.stringify(task)]
    return start(command)
  }
}

function bundle(): string {
  const dist = fileURLToPath(new URL('../../dist/', import.meta.url))
  mkdirSync(dist, { recursive: true })
  const outfile = join(mkdtempSync(join(dist, 'writer-')), 'store-writer.mjs')
  const libs = fileURLToPath(new URL('../../../', import.meta.url))
  buildSync({
    entryPoints: [fileURLToPath(new URL('./store-writer.ts', import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    alias: Object.fromEntries(
      readdirSync(libs).map((lib) => [`@tsbuild/${lib}`, join(libs, lib, 'src', 'index.ts')]),
    ),
  })
  return outfile
}

function start(command: readonly string[]): WriterProcess {
  const [file = '', ...args] = command
  // One thread for file system calls, so that strace, which counts each thread's calls alone, can name any of them.
  const env = { ...process.env, UV_THREADPOOL_SIZE: '1' }
  const child = spawn(file, args, { env, stdio: ['pipe', 'pipe', 'pipe'] })
  onTestFinished(() => {
    child.kill('SIGKILL')
  })
  const errors: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => errors.push(chunk))
  const reports: WriterReport[] = []
  const lines = createInterface({ input: child.stdout })
  lines.on('line', (line) => reports.push(JSON.parse(line)))
  const ended = Promise.all([once(child, 'close'), once(lines, 'close')]).then(([[code, signal]]) => ({
    code,
    signal,
  }))
  child.stdin.on('error', () => {})
  return {
    process: child,
    reports,
    ended,
    errorText: () => Buffer.concat(errors).toString(),
    proceed: () => child.stdin.write('go\n'),
    reported: (type) =>
      new Promise((resolve, reject) => {
        const check = () => reports.some((entry) => entry.type === type) && resolve()
        check()
        lines.on('line', check)
        lines.once('close', () =>
          reject(new Error(`the child ended without reporting ${type}: ${Buffer.concat(errors)}`)),
        )
      }),
  }
}
