import { isRecord } from '@tsbuild/shape'
import type { errors as JoseErrors, JWTPayload } from 'jose'
import { publicKeyObject } from './key.ts'
import { isScope } from './scope.ts'
import type { Grant, Operation, Scope, SigningKey, TrustedKey } from './types.ts'

/** Of the header: no token that was made for something else is taken for ours, though the same key signed it. */
const tokenType = 'tsbuild-cache+jwt'
/** A token comes with every request. */
export const maxTokenLength = 8192
/** Clocks of agents and servers differ. Seconds. */
const clockTolerance = 5
const operations: readonly Operation[] = ['pull', 'push', 'delete', 'admin']

/** What a new token says. */
export interface TokenClaims {
  readonly subject: string
  readonly issuer: string
  readonly audience: string
  readonly read: readonly Scope[]
  readonly write: Scope | undefined
  readonly operations: readonly Operation[]
  readonly repositories: Grant['repositories']
  readonly maxBytes?: number | undefined
  /** Seconds. */
  readonly ttl: number
  /** The token's own id: revocation names it. */
  readonly id: string
  /** Tokens of one account are counted together by quotas; undefined: each by itself. */
  readonly account?: string | undefined
}

/** What a token must be to count. */
export interface TokenRules {
  readonly issuer: string
  readonly audience: string
  /** Unix ms. */
  readonly now: number
  /** Whether a token of this id was taken back. */
  readonly isRevoked?: ((id: string) => boolean) | undefined
}

/**
 * A grant, or why there is none. `reason` is for the server's log only; `told` may be said to the caller: it is there only where one of the
 * keys had signed the token, which ended since.
 */
export type TokenVerdict =
  | { readonly grant: Grant; readonly reason?: undefined; readonly told?: undefined }
  | { readonly grant?: undefined; readonly reason: string; readonly told?: string | undefined }

/**
 * Makes a token: an EdDSA JWT with the claims `iss`, `aud`, `sub`, `iat`, `nbf`, `exp`, `jti`, `v`, `read`, `write`, `ops`, `pull`,
 * `push`, `maxBytes` and `account`.
 *
 * @param now Unix ms
 */
export async function mintToken(key: SigningKey, claims: TokenClaims, now: number): Promise<string> {
  const seconds = Math.floor(now / 1000)
  const { read, write, repositories, maxBytes, account } = claims
  const { SignJWT } = await import('jose')
  return await new SignJWT({
    v: 1,
    read,
    ...(write === undefined ? {} : { write }),
    ops: claims.operations,
    pull: repositories.pull,
    push: repositories.push,
    ...(maxBytes === undefined ? {} : { maxBytes }),
    ...(account === undefined ? {} : { account }),
  })
    .setProtectedHeader({ alg: 'EdDSA', kid: key.id, typ: tokenType })
    .setIssuer(claims.issuer)
    .setAudience(claims.audience)
    .setSubject(claims.subject)
    .setIssuedAt(seconds)
    .setNotBefore(seconds)
    .setExpirationTime(seconds + claims.ttl)
    .setJti(claims.id)
    .sign(key.privateKey)
}

/**
 * Verifies a token. Only EdDSA counts, whatever the token says, and only keys that are given: what a header names as a place of keys
 * is not looked at. Never throws for a token.
 */
export async function verifyToken(
  token: string,
  keys: readonly TrustedKey[],
  { issuer, audience, now, isRevoked }: TokenRules,
): Promise<TokenVerdict> {
  if (token.length > maxTokenLength) return { reason: 'longer than a token is' }
  // Agents, which only show tokens, never load it.
  const { errors, jwtVerify } = await import('jose')
  try {
    const { payload } = await jwtVerify(
      token,
      ({ kid }) => {
        const key = keys.find(({ id }) => id === kid)
        if (key === undefined) throw new errors.JWKSNoMatchingKey()
        return publicKeyObject(key)
      },
      {
        algorithms: ['EdDSA'],
        typ: tokenType,
        issuer,
        audience,
        currentDate: new Date(now),
        clockTolerance,
        requiredClaims: ['iss', 'aud', 'sub', 'iat', 'nbf', 'exp', 'jti'],
      },
    )
    const grant = grantOf(payload)
    if (grant === undefined) return { reason: 'the claims make no sense' }
    return isRevoked?.(grant.id) === true ? revoked(grant) : { grant }
  } catch (error) {
    if (error instanceof errors.JWTExpired) return expired(error)
    if (error instanceof errors.JOSEError) return { reason: `${error.code}: ${error.message}` }
    throw error
  }
}

/** Of a token whose signature counts. */
export function revoked({ id }: Pick<Grant, 'id'>): TokenVerdict {
  return { reason: `${id} was revoked`, told: 'the token was taken back' }
}

/** Times are looked at after the signature. */
function expired({ code, message, payload: { exp = 0 } }: JoseErrors.JWTExpired): TokenVerdict {
  return { reason: `${code}: ${message}`, told: `the token ended at ${new Date(exp * 1000).toISOString()}` }
}

function grantOf(payload: JWTPayload): Grant | undefined {
  const { v, sub, jti, exp, read, write, ops, pull, push, maxBytes, account } = payload
  if (v !== 1 || !isText(sub) || !isText(jti) || exp === undefined) return undefined
  if (!isListOf(read, isScopeValue) || !(write === undefined || isScopeValue(write))) return undefined
  if (!isListOf(ops, isOperation) || !isListOf(pull, isText) || !isListOf(push, isText)) return undefined
  if (maxBytes !== undefined && !isSize(maxBytes)) return undefined
  if (account !== undefined && !isText(account)) return undefined
  return {
    authenticated: true,
    subject: sub,
    read,
    write,
    operations: ops,
    repositories: { pull, push },
    maxBytes,
    expiresAt: exp,
    id: jti,
    ...(account === undefined ? {} : { account }),
  }
}

const isText = (value: unknown): value is string => typeof value === 'string'
const isScopeValue = (value: unknown): value is Scope => isText(value) && isScope(value)
const isOperation = (value: unknown): value is Operation => operations.some((each) => each === value)
const isSize = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

function isListOf<T>(value: unknown, isOne: (value: unknown) => value is T): value is readonly T[] {
  return Array.isArray(value) && value.every(isOne)
}

/** What a token says about itself, unverified: for showing, never for deciding. Undefined for what is no JWT. */
export function readUnverified(token: string): Readonly<Record<string, unknown>> | undefined {
  const [, payload = ''] = token.split('.')
  try {
    const value: unknown = JSON.parse(Buffer.from(payload, 'base64url').toString())
    return isRecord(value) ? value : undefined
  } catch {
    return undefined
  }
}
