import { spawn } from 'node:child_process'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import type { Credentials } from './types.ts'

const helperName = /^[a-z0-9][a-z0-9-]{0,63}$/
const defaultTimeoutMs = 10_000
const maxOutputBytes = 64 * 1024

/** Asks a credential helper for a registry. @returns undefined if it knows none */
export type AskHelper = (helper: string, serverUrl: string) => Promise<Credentials | undefined>

/**
 * Runs `docker-credential-<helper> get`. The server's address goes to its standard input, JSON comes back. Its error texts
 * are not shown: they may hold what it keeps.
 *
 * @throws {UserError} `ERR_CONFIG` if the name could be anything else than the end of a program's name
 * @throws {EnvironmentError} `ERR_TOOL_MISSING` if there is no such program; `ERR_REGISTRY_AUTH` if it fails, is silent for
 *   `timeoutMs` (10 s), or says something else
 * @see https://github.com/docker/docker-credential-helpers
 */
export async function askCredentialHelper(
  helper: string,
  serverUrl: string,
  timeoutMs = defaultTimeoutMs,
): Promise<Credentials | undefined> {
  const program = programOf(helper)
  const { code, output } = await run(program, 'get', serverUrl, timeoutMs)
  if (code !== 0) {
    if (output.includes('credentials not found')) return undefined
    throw failed(program, `it ended with code ${code}`)
  }
  return readAnswer(program, output)
}

/**
 * Hands credentials to `docker-credential-<helper> store`, or has them forgotten with `erase` where there are none.
 *
 * @throws {UserError} `ERR_CONFIG`, {EnvironmentError} `ERR_TOOL_MISSING`, `ERR_REGISTRY_AUTH` as {@link askCredentialHelper}
 */
export async function tellCredentialHelper(
  helper: string,
  serverUrl: string,
  credentials: Credentials | undefined,
  timeoutMs = defaultTimeoutMs,
): Promise<void> {
  const program = programOf(helper)
  const { code, output } =
    credentials === undefined
      ? await run(program, 'erase', serverUrl, timeoutMs)
      : await run(program, 'store', JSON.stringify(toAnswer(serverUrl, credentials)), timeoutMs)
  if (code === 0 || (credentials === undefined && output.includes('credentials not found'))) return
  throw failed(program, `it ended with code ${code}`)
}

function toAnswer(serverUrl: string, credentials: Credentials): object {
  return credentials.type === 'basic'
    ? { ServerURL: serverUrl, Username: credentials.username, Secret: credentials.password }
    : { ServerURL: serverUrl, Username: '<token>', Secret: credentials.token }
}

function programOf(helper: string): string {
  if (helperName.test(helper)) return `docker-credential-${helper}`
  throw new UserError(
    'ERR_CONFIG',
    `Cannot use the credential helper ${JSON.stringify(helper.slice(0, 80))}: expected lowercase letters, digits and "-"`,
  )
}

interface HelperRun {
  readonly code: number | null
  readonly output: string
}

function run(program: string, verb: string, input: string, timeoutMs: number): Promise<HelperRun> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, [verb], { stdio: ['pipe', 'pipe', 'ignore'] })
    // What a helper starts may hold the pipe open after its death, so the timer lets go of the pipe as well.
    const give = (error: EnvironmentError) => {
      child.kill('SIGKILL')
      child.stdout.destroy()
      reject(error)
    }
    const timer = setTimeout(() => give(failed(program, `it is silent for ${timeoutMs} ms`)), timeoutMs)
    const chunks: Buffer[] = []
    let length = 0
    child.stdout.on('data', (chunk: Buffer) => {
      length += chunk.length
      chunks.push(chunk)
      if (length > maxOutputBytes) give(failed(program, `its answer is longer than ${maxOutputBytes} bytes`))
    })
    child.once('error', (error) => {
      clearTimeout(timer)
      reject(startFailure(program, error))
    })
    child.once('close', (code) => {
      clearTimeout(timer)
      resolve({ code, output: Buffer.concat(chunks).toString() })
    })
    // A helper that does not read its input is no reason to die of EPIPE.
    child.stdin.on('error', () => undefined)
    child.stdin.end(`${input}\n`)
  })
}

function startFailure(program: string, error: Error): EnvironmentError {
  return 'code' in error && error.code === 'ENOENT'
    ? new EnvironmentError('ERR_TOOL_MISSING', `Cannot run ${program}: it is not installed`, { cause: error })
    : failed(program, 'it cannot be started', error)
}

function readAnswer(program: string, output: string): Credentials | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(output)
  } catch {
    throw failed(program, 'its answer is not JSON')
  }
  const username = textOf(parsed, 'Username')
  const secret = textOf(parsed, 'Secret')
  if (username === undefined || secret === undefined)
    throw failed(program, 'its answer has no user name and secret')
  if (secret === '') return undefined
  return username === '<token>'
    ? { type: 'identityToken', token: secret }
    : { type: 'basic', username, password: secret }
}

function textOf(value: unknown, name: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const member: unknown = Object.getOwnPropertyDescriptor(value, name)?.value
  return typeof member === 'string' ? member : undefined
}

function failed(program: string, why: string, cause?: unknown): EnvironmentError {
  return new EnvironmentError('ERR_REGISTRY_AUTH', `Cannot use the credential helper ${program}: ${why}`, {
    cause,
  })
}
