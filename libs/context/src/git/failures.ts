import { EnvironmentError, UserError } from '@tsbuild/errors'
import type { RemoteAccess } from './credentials.ts'
import { GitFailure } from './run-git.ts'

/** The ref that was wanted and the remote that has it not. */
export function refNotFound(ref: string, remote: string, hints: readonly string[] = []): UserError {
  return new UserError(
    'ERR_GIT_REF_NOT_FOUND',
    `Cannot fetch ${JSON.stringify(ref)} of ${JSON.stringify(remote)}: the repository has no such branch, tag or commit`,
    { hints },
  )
}

/** Something in the repository that is refused, or that is not there. */
export function contentRefused(what: string, remote: string, why: string): UserError {
  return new UserError('ERR_GIT_CONTENT', `Cannot use ${what} of ${JSON.stringify(remote)}: ${why}`)
}

/** What a failed run means to the user; other errors come back as they are. */
export function explain(error: unknown, access: RemoteAccess): unknown {
  if (!(error instanceof GitFailure)) return error
  const { remote } = access.remote
  return new EnvironmentError(
    'ERR_GIT_FAILED',
    `Cannot fetch ${JSON.stringify(remote)}: ${error.complaint}`,
    { hints: hintsFor(error.complaint, access) },
  )
}

const denied =
  /could not read (?:Username|Password)|Authentication failed|error: 40[134]|Permission denied|Host key|not found/i
const redirected = /error: 30[12378]|url base from redirection/

function hintsFor(complaint: string, access: RemoteAccess): readonly string[] {
  if (redirected.test(complaint))
    return ['The server redirects, and credentials are not taken along: give the URL that it redirects to.']
  return denied.test(complaint) ? access.hints : []
}

/** The server does not hand out single commits, or does not have this one. */
export function refusesCommit(error: unknown): boolean {
  return (
    error instanceof GitFailure &&
    /not our ref|unadvertised object|Server does not allow request|remote ref|does not point to a valid object/i.test(
      error.complaint,
    )
  )
}

/** The server speaks a protocol that has no shallow fetches. */
export function refusesDepth(error: unknown): boolean {
  return error instanceof GitFailure && /shallow|--depth/.test(error.complaint)
}

/** The repository in the store is at fault, and making it anew may help. */
export function isLocalDamage(error: unknown): boolean {
  if (!(error instanceof GitFailure)) return false
  return (
    !error.remote ||
    /bad object|corrupt|not a git repository|unable to read|bad config|invalid (?:shallow|index-pack)|is empty/i.test(
      error.complaint,
    )
  )
}
