import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { EnvironmentError, InternalError, isBuildError, isErrorCode, UserError } from '@tsbuild/errors'
import { parseReply } from './parse-reply.ts'
import type { IdMap } from './protocol.ts'
import {
  type Envelope,
  type Outcome,
  type OutcomeOf,
  protocolVersion,
  type Reply,
  type Request,
} from './protocol.ts'

/** What is given to a helper process besides its request. */
export interface CallOptions {
  readonly signal?: AbortSignal | undefined
  /** Descriptors 3 and up of the helper: numbers of this process, or a pipe that `onProcess` finds in `stdio`. */
  readonly extraFds?: readonly (number | 'pipe' | 'ignore')[] | undefined
  readonly onProcess?: ((child: ChildProcess) => void) | undefined
  readonly onReply?: ((reply: Reply) => void) | undefined
  /** Of those that come after the result. */
  readonly onLaterReply?: ((reply: Reply) => void) | undefined
  /** The helper enters the user namespace on its descriptor 8 in place of one of its own. */
  readonly joinUserNamespace?: boolean | undefined
}

/** Where the helper is and which user namespace it enters. */
export interface HelperTarget {
  readonly helperPath: string
  readonly idMap: IdMap | undefined
}

/** How long an operation may take to end after SIGTERM before it is killed, besides what it leaves its step. */
const graceMs = 1000

/** An operation whose result can be used before it has ended. */
export interface Started<O extends Outcome['op']> {
  /** @throws what {@link call} throws */
  readonly outcome: Promise<OutcomeOf<O>>
  /** The replies after the result. Resolves when the helper has ended well; rejects whenever `outcome` does. */
  readonly finished: Promise<readonly Reply[]>
}

/**
 * Starts the helper with one request and waits until it has ended.
 *
 * The helper gets an empty environment and its own session, so that a Ctrl-C of the terminal reaches this process only.
 *
 * @throws {UserError} `ERR_CANCELLED` if the signal fires; the helper and everything it started has ended then
 * @throws {EnvironmentError} `ERR_HELPER_MISSING` if the program cannot be started
 * @throws {BuildError} with the code of the helper's own error
 */
export async function call<O extends Outcome['op']>(
  target: HelperTarget,
  request: Request & { readonly op: O },
  options: CallOptions = {},
): Promise<OutcomeOf<O>> {
  const { outcome, finished } = start<O>(target, request, options)
  await finished
  return await outcome
}

/** As {@link call}, for an operation that has something to do after its result. */
export function start<O extends Outcome['op']>(
  target: HelperTarget,
  request: Request & { readonly op: O },
  options: CallOptions = {},
): Started<O> {
  let usable: (outcome: OutcomeOf<O>) => void = () => {}
  let failed: (error: unknown) => void = () => {}
  const outcome = new Promise<OutcomeOf<O>>((resolve, reject) => {
    usable = resolve
    failed = reject
  })
  const finished = perform<O>(target, request, options, usable)
  finished.catch(failed)
  outcome.catch(() => {})
  return { outcome, finished }
}

async function perform<O extends Outcome['op']>(
  target: HelperTarget,
  request: Request & { readonly op: O },
  options: CallOptions,
  usable: (outcome: OutcomeOf<O>) => void,
): Promise<readonly Reply[]> {
  if (options.signal?.aborted) throw cancelled()
  const child = spawn(target.helperPath, [], {
    stdio: ['pipe', 'pipe', 'pipe', ...(options.extraFds ?? [])],
    env: {},
    detached: true,
  })
  const ended = waitForEnd(child, target.helperPath)
  // A rejection is handled below; until then it must not count as unhandled.
  ended.catch(() => {})
  const stop = cancellation(
    child,
    options.signal,
    graceMs + ('stopGraceMs' in request ? request.stopGraceMs : 0),
  )
  try {
    options.onProcess?.(child)
    const joinUserNamespace = options.joinUserNamespace === true
    const idMap = joinUserNamespace ? null : (target.idMap ?? null)
    send(child, { protocol: protocolVersion, idMap, joinUserNamespace, request })
    const complaint = collect(child)
    const after: Reply[] = []
    let result: OutcomeOf<O> | undefined
    for await (const reply of replies(child)) {
      if (reply.event === 'error') throw toError(reply)
      if (reply.event !== 'result') {
        if (result === undefined) options.onReply?.(reply)
        else {
          options.onLaterReply?.(reply)
          after.push(reply)
        }
      } else if (result === undefined && reply.result.op === request.op) {
        result = reply.result as OutcomeOf<O>
        usable(result)
      } else throw unexpected(request.op, reply.result.op)
    }
    assertEnd(request.op, result !== undefined, await ended, complaint())
    if (options.signal?.aborted) throw cancelled()
    return after
  } catch (error) {
    // A helper that reported its own error ends by itself; whatever else went wrong, nothing may be left running.
    if (!isBuildError(error) || error.code === 'ERR_HELPER_PROTOCOL') child.kill('SIGKILL')
    child.stdout?.resume()
    await ended.catch(() => {})
    throw options.signal?.aborted ? cancelled() : error
  } finally {
    stop()
  }
}

function unexpected(asked: string, answered: string): InternalError {
  return new InternalError(
    'ERR_HELPER_PROTOCOL',
    `The helper was asked "${asked}" and gave a result of "${answered}"`,
  )
}

function cancelled(): UserError {
  return new UserError('ERR_CANCELLED', 'The build was cancelled')
}

function send(child: ChildProcess, envelope: Envelope): void {
  // A helper that died early closes its end; its exit status says more than EPIPE.
  child.stdin?.on('error', () => {})
  child.stdin?.end(JSON.stringify(envelope))
}

function collect(child: ChildProcess): () => string {
  let text = ''
  child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
    if (text.length < 4096) text += chunk
  })
  return () => text.trim()
}

async function* replies(child: ChildProcess): AsyncGenerator<Reply> {
  if (child.stdout === null) return
  for await (const line of createInterface({ input: child.stdout, crlfDelay: Number.POSITIVE_INFINITY })) {
    yield parseReply(line)
  }
}

interface ExitStatus {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

function waitForEnd(child: ChildProcess, helperPath: string): Promise<ExitStatus> {
  return new Promise((resolve, reject) => {
    child.once('error', (cause) => {
      const hints = ['Run `npm run build` in a checkout of tsbuild, or set TSBUILD_HELPER to the program.']
      reject(
        new EnvironmentError('ERR_HELPER_MISSING', `Cannot start the helper "${helperPath}"`, {
          cause,
          hints,
        }),
      )
    })
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
}

function cancellation(child: ChildProcess, signal: AbortSignal | undefined, patienceMs: number): () => void {
  if (signal === undefined) return () => {}
  let timer: NodeJS.Timeout | undefined
  const onAbort = () => {
    child.kill('SIGTERM')
    timer = setTimeout(() => child.kill('SIGKILL'), patienceMs)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  return () => {
    clearTimeout(timer)
    signal.removeEventListener('abort', onAbort)
  }
}

function assertEnd(op: string, hasResult: boolean, status: ExitStatus, complaint: string): void {
  if (hasResult && status.code === 0) return
  // Nothing in it sends itself this one: the kernel did, as memory ran out, or somebody's hand.
  if (status.signal === 'SIGKILL') {
    throw new EnvironmentError(
      'ERR_HELPER_KILLED',
      `Cannot finish "${op}": the helper was killed from outside`,
      { hints: ['Look for "Out of memory" in the messages of the kernel (`dmesg`), and build again.'] },
    )
  }
  const end = status.signal === null ? `exit code ${status.code}` : `signal ${status.signal}`
  throw new InternalError(
    'ERR_HELPER_PROTOCOL',
    `The helper ended with ${end} before it had done "${op}"${complaint === '' ? '' : `: ${complaint}`}`,
  )
}

/** An ordinary user without subordinate ids has root as the only id. */
const subordinateIdsHint =
  'Give this user subordinate ids: a line `USER:100000:65536` in /etc/subuid and in /etc/subgid, and the package uidmap.'

function toError(reply: Extract<Reply, { event: 'error' }>) {
  if (!isErrorCode(reply.code)) {
    return new InternalError(
      'ERR_HELPER_PROTOCOL',
      `The helper gave the unknown code ${reply.code}: ${reply.message}`,
    )
  }
  const details = reply.errno === null ? {} : { errno: reply.errno }
  const hints = reply.code === 'ERR_ROOTLESS_IDMAP' ? [subordinateIdsHint] : []
  switch (reply.kind) {
    case 'user':
      return new UserError(reply.code, sentence(reply.message), { details, hints })
    case 'environment':
      return new EnvironmentError(reply.code, reply.message, { details, hints })
    case 'internal':
      return new InternalError(reply.code, reply.message, { details })
  }
}

/** The helper speaks as strace does; what it says to users begins like the other messages. */
function sentence(message: string): string {
  return /^[a-z]+ /.test(message) ? `${message.charAt(0).toUpperCase()}${message.slice(1)}` : message
}
