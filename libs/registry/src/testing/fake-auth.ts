import type { IncomingMessage, ServerResponse } from 'node:http'
import { reply, replyError } from './replies.ts'

/** How a fake registry tells who asks. */
export type Access =
  | { readonly type: 'basic'; readonly username: string; readonly password: string }
  | {
      readonly type: 'bearer'
      /** Where tokens come from; default: the fake registry's own `/token`. */
      readonly realm?: string | undefined
      /** Without it, anybody gets a token. */
      readonly user?: { readonly username: string; readonly password: string } | undefined
      readonly refreshToken?: string | undefined
      /** Valid now; tests take tokens out to let them end. */
      readonly tokens: Set<string>
      readonly expiresIn?: number | undefined
    }

interface Asked {
  readonly url: URL
  readonly request: IncomingMessage
  readonly response: ServerResponse
  readonly body: Buffer
  readonly host: string
}

/** Answers token requests and unauthorized ones. @returns whether the request is done with */
export function authorize(access: Access, asked: Asked): boolean {
  const { authorization } = asked.request.headers
  if (access.type === 'basic') {
    if (authorization === basic(access)) return false
    replyChallenge(asked.response, 'Basic realm="fake"')
    return true
  }
  if (asked.url.pathname === '/token') {
    giveToken(access, asked)
    return true
  }
  if (access.tokens.has(authorization?.replace(/^Bearer /, '') ?? '')) return false
  const realm = access.realm ?? `http://${asked.host}/token`
  replyChallenge(asked.response, `Bearer realm="${realm}",service="fake",scope="repository:x:pull"`)
  return true
}

function giveToken(access: Extract<Access, { type: 'bearer' }>, asked: Asked): void {
  const form = new URLSearchParams(asked.body.toString())
  const refreshed = access.refreshToken !== undefined && form.get('refresh_token') === access.refreshToken
  const known = access.user === undefined || asked.request.headers.authorization === basic(access.user)
  if (!refreshed && !known) {
    replyError(asked.response, 401, 'UNAUTHORIZED')
    return
  }
  const token = `token-${access.tokens.size + 1}-${asked.url.searchParams.getAll('scope').join('+')}`
  access.tokens.add(token)
  reply(asked.response, 200, {}, JSON.stringify({ token, expires_in: access.expiresIn }))
}

function replyChallenge(response: ServerResponse, challenge: string): void {
  response.setHeader('www-authenticate', challenge)
  replyError(response, 401, 'UNAUTHORIZED')
}

function basic(user: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${user.username}:${user.password}`).toString('base64')}`
}
