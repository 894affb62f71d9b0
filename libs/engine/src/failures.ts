import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import { errorCode } from '@tsbuild/http'
import { formatAddress } from './connection.ts'
import type { EngineCandidate } from './types.ts'

const archiveHint =
  'Without an engine: `-o type=docker,dest=image.tar` writes an archive for `docker load` and `podman load`.'

/** A place that was tried, and why it did not do. */
export interface FailedTry {
  readonly candidate: EngineCandidate
  readonly error: unknown
}

/** The error where no engine answers at any of the places that were tried. */
export function noEngine(tries: readonly FailedTry[]): EnvironmentError {
  const reasons = tries.map(
    ({ candidate, error }) => `${formatAddress(candidate.address)}: ${reasonOf(error)}`,
  )
  const named = tries[0]?.candidate.namedBy
  const subject = named === undefined ? 'Docker or podman' : `the engine of ${named}`
  const refused = tries.find(({ error }) => isPermission(error))
  return new EnvironmentError('ERR_ENGINE_UNREACHABLE', `Cannot reach ${subject}: ${reasons.join('; ')}`, {
    cause: tries[0]?.error,
    details: { tried: tries.map(({ candidate }) => formatAddress(candidate.address)) },
    hints: [
      ...(refused === undefined ? [startHint(named)] : [permissionHint(refused.candidate)]),
      archiveHint,
    ],
  })
}

/** The error of an engine that went away in the middle of something; errors of our own pass through. */
export function lostEngine(title: string, what: string, error: unknown): unknown {
  if (isBuildError(error)) return error
  return new EnvironmentError('ERR_ENGINE_UNREACHABLE', `Cannot ${what}: ${title} ${reasonOf(error)}`, {
    cause: error,
    hints: [archiveHint],
  })
}

function startHint(named: string | undefined): string {
  if (named !== undefined) return 'Start that engine, or name another one with DOCKER_HOST or `context=NAME`.'
  return 'Start one: `systemctl start docker`, or `systemctl --user start podman.socket`. DOCKER_HOST names one that listens elsewhere.'
}

function permissionHint({ address }: EngineCandidate): string {
  const place = formatAddress(address).replace(/^unix:\/\//, '')
  return `Only members of its group may use "${place}", and who may use it can become root of this machine. An engine of your own needs no such right: \`systemctl --user start podman.socket\`.`
}

function isPermission(error: unknown): boolean {
  const code = errorCode(error)
  return code === 'EACCES' || code === 'EPERM'
}

const reasons: ReadonlyMap<string | undefined, string> = new Map([
  ['ENOENT', 'there is no such socket'],
  ['ENOTDIR', 'there is no such socket'],
  ['ENOTSOCK', 'it is no socket'],
  ['ECONNREFUSED', 'nobody listens there'],
  ['EACCES', 'permission denied'],
  ['EPERM', 'permission denied'],
  ['ECONNRESET', 'closed the connection'],
  ['EPIPE', 'closed the connection'],
  ['ENOTFOUND', 'there is no such host'],
])

function reasonOf(error: unknown): string {
  return reasons.get(errorCode(error)) ?? (error instanceof Error ? error.message : String(error))
}
