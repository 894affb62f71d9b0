import { errors, importJWK, type JWK, type JWTPayload, jwtVerify } from 'jose'
import type { FindKey } from './key-sets.ts'
import type { Claims, TrustedIssuer } from './types.ts'

/** The algorithms that count; each with the only kind of key that it goes with. */
const algorithms: Readonly<Record<string, Pick<JWK, 'kty' | 'crv'>>> = {
  RS256: { kty: 'RSA' },
  ES256: { kty: 'EC', crv: 'P-256' },
  EdDSA: { kty: 'OKP', crv: 'Ed25519' },
}
/** GitLab's tokens may list groups. */
export const maxIdTokenLength = 16 * 1024
/** Clocks differ. Seconds. */
const clockTolerance = 5

/** What an identity token says, or why it does not count: for the log only. */
export type IdTokenVerdict =
  | {
      readonly issuer: TrustedIssuer
      readonly claims: Claims
      /** `jti`, and `exp` in Unix seconds. */
      readonly id: string | undefined
      readonly expiresAt: number
      readonly reason?: undefined
    }
  | { readonly reason: string }

/**
 * Verifies an identity token: by its issuer's keys, which its own headers never name, and an algorithm that the key is for.
 *
 * @param now Unix ms
 * @throws {EnvironmentError} `ERR_CACHE_ISSUER` where the issuer's keys are not to be had
 */
export async function verifyIdToken(
  token: string,
  issuers: readonly TrustedIssuer[],
  { findKey, now }: { readonly findKey: FindKey; readonly now: number },
): Promise<IdTokenVerdict> {
  if (token.length > maxIdTokenLength) return { reason: 'longer than a token is' }
  // Only to know whom to ask: what is read here counts when it was verified.
  const said = unverifiedIssuer(token)
  const issuer = issuers.find((each) => each.issuer === said)
  if (issuer === undefined) return { reason: 'its issuer is none of those that are trusted' }
  try {
    const { payload } = await jwtVerify(
      token,
      async ({ alg = '', kid = '' }) => {
        const key = await findKey(issuer, kid)
        if (key === undefined || !isFor(key, alg)) throw new errors.JWKSNoMatchingKey()
        return await importJWK({ ...key, alg }, alg)
      },
      {
        algorithms: Object.keys(algorithms),
        issuer: issuer.issuer,
        audience: [...issuer.audiences],
        currentDate: new Date(now),
        clockTolerance,
        requiredClaims: ['iss', 'aud', 'exp', 'iat'],
      },
    )
    const { jti, exp = 0 } = payload
    return {
      issuer,
      claims: claimsOf(payload),
      id: typeof jti === 'string' ? jti : undefined,
      expiresAt: exp,
    }
  } catch (error) {
    if (error instanceof errors.JOSEError) return { reason: `${error.code}: ${error.message}` }
    // A key of the set that is none: jose passes on what the system says.
    if (error instanceof TypeError || isCryptoError(error)) return { reason: 'its key cannot be used' }
    throw error
  }
}

function isFor(key: JWK, alg: string): boolean {
  const wanted = Object.hasOwn(algorithms, alg) ? algorithms[alg] : undefined
  if (wanted === undefined || key.kty !== wanted.kty) return false
  return (wanted.crv === undefined || key.crv === wanted.crv) && (key.alg === undefined || key.alg === alg)
}

function unverifiedIssuer(token: string): unknown {
  const [, payload = ''] = token.split('.')
  try {
    return (JSON.parse(Buffer.from(payload, 'base64url').toString()) as { readonly iss?: unknown }).iss
  } catch {
    return undefined
  }
}

/** Texts, numbers and truth values, as texts. Lists and objects are nothing that patterns could be about. */
function claimsOf(payload: JWTPayload): Claims {
  return Object.fromEntries(
    Object.entries(payload).flatMap(([name, value]) =>
      typeof value === 'string' || typeof value === 'boolean' || Number.isSafeInteger(value)
        ? [[name, String(value)]]
        : [],
    ),
  )
}

function isCryptoError(error: unknown): boolean {
  return error instanceof Error && (error.name === 'DataError' || error.name === 'NotSupportedError')
}
