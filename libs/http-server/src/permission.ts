import type { IncomingMessage } from 'node:http'
import { type Decision, type Grant, nobody, type Target } from '@tsbuild/trust'
import { HttpError } from './failure.ts'
import type { Authenticate, Decide, Params, Route } from './types.ts'

/** What is asked before a handler is called. */
export interface Permission {
  readonly authenticate: Authenticate
  readonly decide: Decide
}

/**
 * Lets a request pass, or says why not. Whoever may not know that something is there is told what is told of what is not.
 *
 * @returns whose request it is; undefined for nobody's, which only a public route gets
 * @throws {HttpError} 401, 403, 404
 */
export async function admit(
  permission: Permission,
  request: IncomingMessage,
  route: Route,
  params: Params,
): Promise<Grant | undefined> {
  const grant = await permission.authenticate(request)
  if (route.needs === 'public') return grant
  const target = route.target(params)
  // What makes no sense is asked about like the server itself, so that strangers learn nothing of which names make sense.
  const decision = permission.decide(
    grant ?? nobody,
    target === undefined ? 'any' : route.needs,
    target ?? { kind: 'server' },
  )
  if (decision === 'unauthenticated') throw unauthenticated()
  if (target === undefined) throw notThere(undefined)
  refuse(decision, target)
  return grant
}

/** @throws {HttpError} where a decision is not `allowed` */
export function refuse(decision: Decision, target: Target): void {
  switch (decision) {
    case 'allowed':
      return
    case 'unauthenticated':
      throw unauthenticated()
    case 'hidden':
      throw notThere(target)
    case 'forbidden':
      throw new HttpError(403, 'DENIED', 'the token does not permit this')
  }
}

function unauthenticated(): HttpError {
  return new HttpError(401, 'UNAUTHORIZED', 'a token is needed')
}

/** The same answer for what is not there and for what is hidden. */
function notThere(target: Target | undefined): HttpError {
  return target?.kind === 'scope'
    ? new HttpError(404, 'NOT_FOUND', 'there is no such scope')
    : new HttpError(404, 'NAME_UNKNOWN', 'there is no such repository')
}
