import type { ChildProcess } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import { type HelperTarget, start } from './call.ts'
import type { Connection, NativeSession, SessionParts } from './native.ts'
import type { Reply } from './protocol.ts'
import type { SessionRequest } from './protocol-run.ts'

/** How long a session may take to kill what is left in it, before it is killed itself. */
const endMs = 5000

/** See `Native.session`. */
export function startSession(target: HelperTarget, request: Omit<SessionRequest, 'op'>): NativeSession {
  const parts = deferred<SessionParts>()
  const connection = deferred<Connection | undefined>()
  const opened: number[] = []
  let child: ChildProcess | undefined
  let timer: NodeJS.Timeout | undefined
  let made = false
  let wanted = false
  let unusable: unknown

  function onSession(reply: Extract<Reply, { event: 'session' }>): void {
    made = true
    // Of one that was waited for the number may be another process's by now.
    if (child?.exitCode !== null || child.signalCode !== null) throw overAlready()
    const open = (kind: 'net' | 'user') => {
      const fd = openNamespace(reply.pid, kind)
      opened.push(fd)
      return fd
    }
    const networkFd = request.network === null ? undefined : open('net')
    const userFd = target.idMap === undefined ? undefined : open('user')
    const { cgroups, unlimited } = reply
    parts.resolve({ cgroups, unlimited, namespaces: { networkFd, userFd } })
    if (request.network === null) connection.resolve(undefined)
  }
  function onReply(reply: Reply): void {
    if (reply.event === 'connected') connection.resolve({ dns: reply.dns, address: reply.address })
    if (reply.event !== 'session') return
    try {
      onSession(reply)
    } catch (error) {
      // Either it has just ended, and says why; or it would hold for ever what nobody can use.
      unusable = error
      child?.kill('SIGTERM')
    }
  }
  const onProcess = (process: ChildProcess) => {
    child = process
  }
  const { finished } = start(target, { op: 'session', ...request }, { onReply, onProcess })
  const ended = over()

  async function over(): Promise<void> {
    try {
      await finished
      if (unusable !== undefined) throw unusable
      if (!wanted) throw overAlready()
    } catch (error) {
      // One that is ended before it has made anything just dies.
      if (wanted && !made) return
      parts.reject(error)
      connection.reject(error)
      throw error
    } finally {
      clearTimeout(timer)
      for (const fd of opened.splice(0)) closeSync(fd)
      const cancelled = new UserError('ERR_CANCELLED', 'The build was cancelled')
      // No effect on what has happened.
      parts.reject(cancelled)
      connection.reject(cancelled)
    }
  }
  // Who waits for it still gets the rejection; it does not count as unhandled where nobody does.
  ended.catch(() => {})

  async function end(): Promise<void> {
    if (!wanted) {
      wanted = true
      child?.kill('SIGTERM')
      timer = setTimeout(() => child?.kill('SIGKILL'), endMs)
    }
    await ended.catch(() => {})
  }
  return { ready: parts.promise, connected: connection.promise, ended, end }
}

function overAlready(): EnvironmentError {
  return new EnvironmentError('ERR_NETWORK', 'The session of the build ended by itself')
}

interface Deferred<T> {
  readonly promise: Promise<T>
  readonly resolve: (value: T) => void
  readonly reject: (error: unknown) => void
}

/** A promise that is settled from outside; a rejection that nobody waits for is not unhandled. */
function deferred<T>(): Deferred<T> {
  let resolve: (value: T) => void = () => {}
  let reject: (error: unknown) => void = () => {}
  const promise = new Promise<T>((...settle) => {
    ;[resolve, reject] = settle
  })
  promise.catch(() => {})
  return { promise, resolve, reject }
}

/** @throws {EnvironmentError} `ERR_NAMESPACE_DENIED` where this process may not look into its child */
function openNamespace(pid: number, kind: 'net' | 'user'): number {
  const path = `/proc/${pid}/ns/${kind}`
  try {
    return openSync(path, 'r')
  } catch (cause) {
    throw new EnvironmentError('ERR_NAMESPACE_DENIED', `Cannot open the namespace "${path}"`, { cause })
  }
}
