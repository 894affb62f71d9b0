import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { delimiter, isAbsolute, join } from 'node:path'
import { EnvironmentError, redact, UserError } from '@tsbuild/errors'

const maxOutputBytes = 32 * 2 ** 20
const maxComplaintBytes = 16 * 2 ** 10

/** git ended with an error. Caught by whoever knows what it means. */
export class GitFailure extends Error {
  /** The end of what it wrote to standard error, without secrets and control characters. */
  readonly complaint: string
  /** Whether it talked to a remote; otherwise the repository of the store is at fault, or the disk. */
  readonly remote: boolean

  constructor(complaint: string, remote: boolean) {
    super(`git failed: ${complaint}`)
    this.complaint = complaint
    this.remote = remote
  }
}

/** One run of git. */
export interface GitRun {
  /** Absolute. */
  readonly program: string
  readonly args: readonly string[]
  readonly cwd: string
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>
  readonly signal: AbortSignal
  /** How long it may write nothing. */
  readonly silenceMs: number
  readonly remote: boolean
  /** Texts that must not be seen in a complaint. */
  readonly secrets: readonly string[]
  /** Takes the output instead of having it gathered; what it throws ends the run. */
  readonly onOutput?: ((chunk: Buffer) => void) | undefined
  /** Bytes received, by git's own count. */
  readonly onReceived?: ((bytes: number) => void) | undefined
}

/**
 * Descriptor 3 is a pipe that only this process holds open at the other end: when it closes, because we are gone, the whole
 * group is killed, which includes what git started. Files get the usual modes.
 */
const wrapper = `umask 022
(read -r _ <&3; kill -s KILL 0) </dev/null >/dev/null 2>&1 &
watcher=$!
"$@" 3<&- </dev/null
status=$?
kill -s KILL $watcher
exit $status`

/**
 * Runs git in a process group of its own and gives what it writes to standard output.
 *
 * @throws {GitFailure} if it ends with another code than 0, is silent for too long, or writes more than 32 MiB
 * @throws {UserError} `ERR_CANCELLED` if the signal fires; nothing of the group is left then
 */
export async function runGit(run: GitRun): Promise<string> {
  if (run.signal.aborted) throw cancelled()
  const child = spawn('/bin/sh', ['-c', wrapper, 'sh', run.program, ...run.args], {
    cwd: run.cwd,
    env: run.env,
    stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    detached: true,
  })
  let end: unknown
  const stop = (reason: unknown) => {
    end ??= reason
    killGroup(child)
    // Whoever left the group may hold the pipes open.
    child.stdout?.destroy()
    child.stderr?.destroy()
  }
  const onAbort = () => stop(cancelled())
  run.signal.addEventListener('abort', onAbort, { once: true })
  try {
    const { code, output, complaint } = await watch(child, run, stop)
    if (end !== undefined) throw end
    if (code !== 0) throw new GitFailure(presentable(complaint, run.secrets), run.remote)
    return output
  } finally {
    run.signal.removeEventListener('abort', onAbort)
  }
}

function cancelled(): UserError {
  return new UserError('ERR_CANCELLED', 'The build was cancelled')
}

interface Ended {
  readonly code: number | null
  readonly output: string
  readonly complaint: string
}

function watch(child: ChildProcess, run: GitRun, stop: (reason: unknown) => void): Promise<Ended> {
  const failed = (why: string) => new GitFailure(why, run.remote)
  return new Promise((resolve, reject) => {
    const silence = () => stop(failed(`nothing was heard for ${run.silenceMs / 1000} s`))
    const timer = setTimeout(silence, run.silenceMs)
    const chunks: Buffer[] = []
    let length = 0
    let complaint = ''
    child.stdout?.on('data', (chunk: Buffer) => {
      timer.refresh()
      try {
        if (run.onOutput !== undefined) run.onOutput(chunk)
        else chunks.push(chunk)
      } catch (error) {
        stop(error)
      }
      length += run.onOutput === undefined ? chunk.length : 0
      if (length > maxOutputBytes) stop(failed('its answer is longer than 32 MiB'))
    })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      timer.refresh()
      complaint = (complaint + text).slice(-maxComplaintBytes)
      const received = receivedBytes(text)
      if (received !== undefined) run.onReceived?.(received)
    })
    // A process that ends while its pipes are cut is no error of its own.
    for (const stream of child.stdio) stream?.on('error', () => {})
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(new EnvironmentError('ERR_TOOL_MISSING', 'Cannot start /bin/sh for git', { cause: error }))
    })
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, output: Buffer.concat(chunks).toString(), complaint })
    })
  })
}

/** Only while its leader has not been waited for: afterwards the number may belong to somebody else. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // It has just ended.
  }
}

const units: Readonly<Record<string, number>> = { bytes: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 }

/** What git last said that it received, in a text of its progress; undefined if nothing. */
export function receivedBytes(text: string): number | undefined {
  // A remote says what it likes here: each of its lines is looked at once, and no further than git writes.
  const last = [
    ...text.matchAll(/Receiving objects:[^\r\n]{0,60}?, (\d[\d.]{0,20}) (bytes|KiB|MiB|GiB)/g),
  ].at(-1)
  return last === undefined ? undefined : Math.round(Number(last[1]) * (units[last[2] ?? ''] ?? 1))
}

/** The last lines, as they may be shown: what a server sends may have escape sequences, and must not have our secrets. */
function presentable(complaint: string, secrets: readonly string[]): string {
  const clean = secrets.reduce((text, secret) => text.replaceAll(secret, '***'), complaint)
  const lines = redact(clean)
    .split(/[\r\n]+/)
    .map((line) =>
      line
        .replace(/\p{Cc}+/gu, ' ')
        .trim()
        .replace(/\.$/, ''),
    )
    .filter((line) => line !== '' && !/^(?:remote: )?[A-Z][a-z]+ [a-z]+: +\d+/.test(line))
  return lines.slice(-6).join('; ').slice(-1500) || 'git fails and does not say why'
}

/**
 * Finds git and makes sure that it takes its configuration from the environment, without which nothing here would hold.
 *
 * @param env whose `PATH` is searched
 * @throws {EnvironmentError} `ERR_TOOL_MISSING` if it is not there or older than 2.31
 */
export async function findGit(
  env: Readonly<Record<string, string | undefined>>,
  versionOf: (program: string) => Promise<string>,
): Promise<string> {
  const folders = (env.PATH ?? '').split(delimiter).filter(isAbsolute)
  for (const folder of folders) {
    const program = join(folder, 'git')
    try {
      await access(program, constants.X_OK)
    } catch {
      continue
    }
    const text = await versionOf(program).catch((error: unknown) => {
      throw error instanceof GitFailure ? missing(`${program} does not run: ${error.complaint}`) : error
    })
    const [, major, minor] = /(\d+)\.(\d+)/.exec(text) ?? []
    if (Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 31)) return program
    throw missing(`git 2.31 or newer is needed, and ${program} says ${JSON.stringify(text.trim())}`)
  }
  throw missing('the program git is not in PATH')
}

function missing(why: string): EnvironmentError {
  return new EnvironmentError('ERR_TOOL_MISSING', `Cannot fetch a git repository: ${why}`, {
    hints: ['Install it: `apt-get install git`, `dnf install git` or `apk add git`.'],
  })
}
