import { createHash } from 'node:crypto'
import { nobody } from './grants.ts'
import { maxTokenLength, revoked, type TokenRules, type TokenVerdict, verifyToken } from './token.ts'
import type { Grant, TrustedKey } from './types.ts'

/** What an `Authorization` header holds. */
export type Credentials =
  | { readonly kind: 'none' }
  | { readonly kind: 'token'; readonly token: string }
  | { readonly kind: 'malformed' }

/**
 * Reads an `Authorization` header: a token after `Bearer`, or as the password of `Basic` with any user name, which is what OCI
 * clients can send.
 */
export function readAuthorization(header: string | undefined): Credentials {
  if (header === undefined || header === '') return { kind: 'none' }
  const [, scheme = '', written = ''] = /^([A-Za-z]+) +([A-Za-z0-9._~+/=-]+)$/.exec(header) ?? []
  const token = scheme.toLowerCase() === 'basic' ? passwordOf(written) : written
  const isKnown = ['basic', 'bearer'].includes(scheme.toLowerCase())
  return isKnown && token !== '' ? { kind: 'token', token } : { kind: 'malformed' }
}

/** Who shows an `Authorization` header. */
export type Authenticate = (header: string | undefined) => Promise<TokenVerdict>

/** What an authenticator needs; `now` gives Unix ms. */
export interface AuthenticatorOptions extends Omit<TokenRules, 'now'> {
  readonly keys: () => readonly TrustedKey[]
  readonly now: () => number
  /** Of whoever shows nothing. Whoever shows a wrong token is not taken for nobody: that is a mistake to tell of. */
  readonly anonymous?: Grant | undefined
}

/** How many verified tokens are remembered: each is verified once, and then a look-up by its SHA-256. */
const maxRemembered = 1024

/**
 * Makes what reads the `Authorization` headers of a server. A verified token is remembered until it ends; whether it was revoked,
 * or the keys are others now, is asked each time.
 */
export function createAuthenticator(options: AuthenticatorOptions): Authenticate {
  const { issuer, audience, isRevoked, anonymous = nobody } = options
  const remembered = new Map<string, Grant>()
  let keysThen = options.keys()
  return async (header) => {
    const credentials = readAuthorization(header)
    if (credentials.kind === 'none') return { grant: anonymous }
    if (credentials.kind === 'malformed') return { reason: 'the Authorization header makes no sense' }
    const { token } = credentials
    if (token.length > maxTokenLength) return { reason: 'longer than a token is' }
    const now = options.now()
    const keys = options.keys()
    if (keys !== keysThen) remembered.clear()
    keysThen = keys
    // By a digest: how long the look-up takes tells nothing of tokens that are known.
    const name = createHash('sha256').update(token).digest('base64')
    const known = remembered.get(name)
    if (known?.expiresAt !== undefined && known.expiresAt * 1000 > now)
      return isRevoked?.(known.id) === true ? revoked(known) : { grant: known }
    remembered.delete(name)
    const verdict = await verifyToken(token, keys, { issuer, audience, now, isRevoked })
    // Where the keys were changed while it was verified, it is verified by them the next time.
    if (verdict.grant !== undefined && options.keys() === keys) {
      const [oldest] = remembered.keys()
      if (remembered.size >= maxRemembered && oldest !== undefined) remembered.delete(oldest)
      remembered.set(name, verdict.grant)
    }
    return verdict
  }
}

function passwordOf(written: string): string {
  const text = Buffer.from(written, 'base64').toString()
  const colon = text.indexOf(':')
  const password = colon === -1 ? '' : text.slice(colon + 1)
  return /^[\x21-\x7e]+$/.test(password) ? password : ''
}
