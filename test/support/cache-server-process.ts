import { type ChildProcess, spawn } from 'node:child_process'
import { join } from 'node:path'
import { isRecord, parseJson } from '@tsbuild/shape'
import { stopProcess } from './registry-process.ts'
import { repository } from './repository.ts'
import { check, cleanEnvironment, type RunOptions } from './tsbuild.ts'

/** The built program. */
export const cacheServer = join(repository, 'node_modules', '.bin', 'cache-server')

/** A running cache-server. */
export interface CacheServerProcess {
  readonly child: ChildProcess
  /** `http://127.0.0.1:port`, or https. */
  readonly url: string
  /** `127.0.0.1:port`. */
  readonly host: string
  /** Lines of its log so far. */
  readonly log: () => readonly Readonly<Record<string, unknown>>[]
  /** Waits for a line of the log with this message; rejects when the server has ended without one. */
  readonly saw: (message: string) => Promise<Readonly<Record<string, unknown>>>
  /** Its exit code, when it has ended. */
  readonly ended: Promise<number | null>
  /** Ends it as an administrator would. @returns its exit code */
  readonly stop: (signal?: NodeJS.Signals) => Promise<number | null>
}

/**
 * Starts a cache-server with its data in `dir`; resolves when it is ready.
 *
 * @param args further flags; without `--listen` among them it listens on a free port of the loopback address
 */
export async function startCacheServer(
  dir: string,
  args: readonly string[] = [],
  env: RunOptions['env'] = {},
): Promise<CacheServerProcess> {
  const listen = args.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']
  const child = spawn(cacheServer, ['--dir', dir, ...listen, ...args], {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: cleanEnvironment(env) as NodeJS.ProcessEnv,
  })
  let text = ''
  const waiting = new Set<() => void>()
  const wake = () => {
    for (const each of waiting) each()
  }
  child.stderr?.setEncoding('utf8').on('data', (part) => {
    text += part
    wake()
  })
  const ended = new Promise<number | null>((resolve) => {
    child.on('close', (code) => {
      resolve(code)
      wake()
    })
  })
  const log = () => text.split('\n').flatMap((line) => [parseJson(line)].filter(isRecord))
  const saw = (message: string) =>
    new Promise<Readonly<Record<string, unknown>>>((resolve, reject) => {
      const look = () => {
        const line = log().find((each) => each.message === message)
        const ended = child.exitCode !== null || child.signalCode !== null
        if (line === undefined && !ended) return
        waiting.delete(look)
        if (line !== undefined) resolve(line)
        else reject(new Error(`cache-server ended (${child.exitCode}) without "${message}"\n${text}`))
      }
      waiting.add(look)
      look()
    })
  const ready = await saw('ready')
  const [url = ''] = ready.listen as readonly string[]
  return {
    child,
    url,
    host: url.replace(/^https?:\/\//, ''),
    log,
    saw,
    ended,
    stop: async (signal = 'SIGTERM') => {
      await stopProcess(child, signal)
      return child.exitCode
    },
  }
}

/** Makes a token with the key in a server's directory. */
export async function makeToken(dir: string, ...args: readonly string[]): Promise<string> {
  const stdout = await check(cacheServer, ['token', 'create', '--dir', dir, ...args])
  return stdout.trim()
}
