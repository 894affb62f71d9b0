import { type Exchange, HttpError, type Route, sendJson } from '@tsbuild/http-server'
import { readAuthorization } from '@tsbuild/trust'

/** Where clients get tokens, below the base of the server. */
const tokenPath = '/v2/token'
const service = 'tsbuild-cache'

/**
 * How clients come to show their tokens to a server that everybody may read from: most ask `/v2/` first, and show nothing to who does not
 * ask for it. Docker without credentials gives up where it is asked for Basic, so they are sent to a place that has a token for everybody.
 *
 * @see https://distribution.github.io/distribution/spec/auth/token/
 */
export interface SignIn {
  /** A token for who shows none, and how long it lasts, in seconds. */
  readonly anonymousToken: () => Promise<{ readonly token: string; readonly ttl: number }>
  /** Unix ms. */
  readonly now: () => number
}

/** The value of `WWW-Authenticate` for a server that clients call so, without a `/` at the end. */
export function signInChallenge(url: string): string {
  return `Bearer realm="${url}${tokenPath}",service="${service}"`
}

/** Refuses who shows no token where clients find out whether they have to. @throws {HttpError} 401 */
export function askForToken({ grant }: Exchange): void {
  if (!grant.authenticated) throw new HttpError(401, 'UNAUTHORIZED', 'a token is needed')
}

/** Gives who shows a token that token back, and everybody else one that permits what everybody may. */
export function tokenRoute({ anonymousToken, now }: SignIn): Route {
  return {
    ...{ method: 'GET', path: tokenPath, needs: 'public', target: () => ({ kind: 'server' }) },
    async handle({ request, response, grant }) {
      const shown = readAuthorization(request.headers.authorization)
      const { token, ttl } =
        shown.kind === 'token'
          ? { token: shown.token, ttl: Math.floor((grant.expiresAt ?? 0) - now() / 1000) }
          : await anonymousToken()
      const reply = { token, access_token: token, expires_in: ttl, issued_at: new Date(now()).toISOString() }
      sendJson(response, 200, reply, { 'Cache-Control': 'no-store' })
    },
  }
}
