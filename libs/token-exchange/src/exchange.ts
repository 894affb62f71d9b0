import { isBuildError } from '@tsbuild/errors'
import { type Exchange, HttpError, type Route, sendJson } from '@tsbuild/http-server'
import { exactly, parseJson, text } from '@tsbuild/shape'
import { type Grant, mintToken, type SigningKey } from '@tsbuild/trust'
import type { FindKey } from './key-sets.ts'
import { mapClaims } from './map-claims.ts'
import type { TrustedIssuer } from './types.ts'
import { maxIdTokenLength, verifyIdToken } from './verify-id-token.ts'

/** What the exchange is made of. */
export interface ExchangeOptions {
  readonly issuers: readonly TrustedIssuer[]
  readonly findKey: FindKey
  /** Of the server: signs what is given. Asked for with each token: it may be another one by then. */
  readonly key: SigningKey
  /** Of the server's own tokens. */
  readonly issuer: string
  readonly audience: string
  /** Unix ms. */
  readonly now: () => number
  /** Gives an id that no token has had. */
  readonly newId: () => string
  /** For the log: why a token was refused, and to whom which was given. Must not throw. */
  readonly onExchange?: ((entry: ExchangeEntry) => void) | undefined
}

/** One try. Texts may hold anything that a token said. */
export type ExchangeEntry =
  | { readonly outcome: 'refused'; readonly reason: string }
  | {
      readonly outcome: 'exchanged'
      readonly id: string
      readonly subject: string
      readonly write: string | undefined
    }

/** The reply: the token, and what it permits. */
export interface ExchangeReply extends Pick<Grant, 'subject' | 'read' | 'operations'> {
  readonly token: string
  /** Unix seconds. */
  readonly expiresAt: number
  readonly write: string | null
}

/** How many ids of tokens that may be exchanged once are remembered; each until its token ends. */
const maxSpent = 100_000
const requestShape = exactly({ token: text })

/**
 * The route `POST /v1/auth/exchange`: `{"token": "<identity token>"}` gives an {@link ExchangeReply}. Whatever is wrong with a token is
 * answered by the same 401. 503 says that the issuer's keys are not to be had.
 */
export function exchangeRoutes(options: ExchangeOptions): readonly Route[] {
  const spent = createSpent(options.now)
  return [
    {
      method: 'POST',
      path: '/v1/auth/exchange',
      needs: 'public',
      target: () => ({ kind: 'server' }),
      handle: (exchange) => handle(exchange, options, spent),
    },
  ]
}

async function handle(exchange: Exchange, options: ExchangeOptions, spent: Spent): Promise<void> {
  const { issuers, findKey, key, issuer, audience, newId, onExchange } = options
  const token = await readToken(exchange)
  const refuse = (reason: string): HttpError => {
    onExchange?.({ outcome: 'refused', reason })
    return new HttpError(401, 'UNAUTHORIZED', 'this token is exchanged for none')
  }
  const now = options.now()
  const verdict = await verifyIdToken(token, issuers, { findKey, now }).catch((error: unknown) => {
    if (!isBuildError(error) || error.code !== 'ERR_CACHE_ISSUER') throw error
    onExchange?.({ outcome: 'refused', reason: error.message })
    throw new HttpError(503, 'UNAVAILABLE', 'the keys of the issuer are not to be had', {
      headers: { 'Retry-After': '30' },
      cause: error,
    })
  })
  if (verdict.reason !== undefined) throw refuse(verdict.reason)
  const mapped = mapClaims(verdict.issuer.rules, verdict.claims)
  if ('reason' in mapped) throw refuse(mapped.reason)
  if (verdict.issuer.once) {
    if (verdict.id === undefined) throw refuse('it has no id, and is to be exchanged once')
    if (!spent(`${verdict.issuer.issuer} ${verdict.id}`, verdict.expiresAt))
      throw refuse('it was exchanged before')
  }
  const id = newId()
  const { ttl, ...claims } = mapped
  // A job may come back as often as it likes: what it uses up under one token does not begin anew under the next.
  const account = mapped.subject
  const made = await mintToken(key, { ...claims, ttl, issuer, audience, id, account }, now)
  onExchange?.({ outcome: 'exchanged', id, subject: mapped.subject, write: mapped.write })
  const { subject, read, write = null, operations } = mapped
  const reply: ExchangeReply = {
    token: made,
    expiresAt: Math.floor(now / 1000) + ttl,
    subject,
    read,
    write,
    operations,
  }
  sendJson(exchange.response, 200, reply, { 'Cache-Control': 'no-store' })
}

async function readToken(exchange: Exchange): Promise<string> {
  const body = parseJson((await exchange.readBody(maxIdTokenLength + 1024)).toString())
  if (!requestShape(body)) throw new HttpError(400, 'UNSUPPORTED', 'expected {"token": "<identity token>"}')
  return (body as { readonly token: string }).token
}

/** Remembers what was used; false for what had been. What would be forgotten too early is not taken at all. */
type Spent = (name: string, until: number) => boolean

function createSpent(now: () => number): Spent {
  const ends = new Map<string, number>()
  return (name, until) => {
    if (ends.has(name)) return false
    if (ends.size >= maxSpent) {
      // The tolerance of clocks included.
      for (const [each, end] of ends) if ((end + 60) * 1000 < now()) ends.delete(each)
    }
    if (ends.size >= maxSpent) return false
    ends.set(name, until)
    return true
  }
}
