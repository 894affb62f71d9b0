import { EnvironmentError } from '@tsbuild/errors'
import { isRecord, listOf, objectOf, text } from '@tsbuild/shape'
import type { JWK } from 'jose'
import type { FetchJson } from './fetch-json.ts'
import type { TrustedIssuer } from './types.ts'

/** The key of an issuer by its id; undefined for none. */
export type FindKey = (issuer: TrustedIssuer, kid: string) => Promise<JWK | undefined>

/** See {@link createKeySets}. Milliseconds. */
export interface KeySetsOptions {
  readonly fetchJson: FetchJson
  readonly now: () => number
  /** How long keys count without being asked for again: a key that was withdrawn counts no longer than that. */
  readonly maxAgeMs?: number | undefined
  /** How soon an unknown key makes it ask again: whoever sends tokens with keys that nobody has costs the issuer nothing more. */
  readonly cooldownMs?: number | undefined
}

interface KeySet {
  readonly keys: readonly JWK[]
  readonly at: number
}

const maxKeys = 64
const keySetShape = objectOf({ keys: listOf(isRecord) })
const discoveryShape = objectOf({ issuer: text, jwks_uri: text })

/**
 * Makes what knows the keys of issuers. They are fetched when first needed, again after ten minutes, and when a token names a key
 * that is not among them, but not more than every thirty seconds. Each issuer is asked once at a time. Keys that are remembered
 * count for ten minutes when the issuer is down, and not longer.
 *
 * What it gives throws {EnvironmentError} `ERR_CACHE_ISSUER` where there are no keys to go by.
 */
export function createKeySets(options: KeySetsOptions): FindKey {
  const { fetchJson, now, maxAgeMs = 600_000, cooldownMs = 30_000 } = options
  const known = new Map<string, KeySet>()
  const asked = new Map<string, number>()
  const underWay = new Map<string, Promise<KeySet>>()

  const fetchSet = (issuer: TrustedIssuer): Promise<KeySet> => {
    const name = issuer.issuer
    const current = underWay.get(name)
    if (current !== undefined) return current
    const at = now()
    asked.set(name, at)
    const next = fetchKeys(issuer, fetchJson)
      .then((keys) => {
        const set = { keys, at }
        known.set(name, set)
        return set
      })
      .finally(() => underWay.delete(name))
    underWay.set(name, next)
    return next
  }

  return async (issuer, kid) => {
    const name = issuer.issuer
    const remembered = known.get(name)
    const isFresh = remembered !== undefined && now() - remembered.at < maxAgeMs
    const found = isFresh ? keyOf(remembered, kid) : undefined
    if (found !== undefined) return found
    const mayAsk = underWay.has(name) || now() - (asked.get(name) ?? Number.NEGATIVE_INFINITY) >= cooldownMs
    if (mayAsk) return keyOf(await fetchSet(issuer), kid)
    if (isFresh) return undefined
    throw new EnvironmentError(
      'ERR_CACHE_ISSUER',
      `Cannot fetch the keys of "${name}": it gave none just now`,
    )
  }
}

async function fetchKeys(issuer: TrustedIssuer, fetchJson: FetchJson): Promise<readonly JWK[]> {
  const set =
    issuer.keys === undefined ? await discover(issuer.issuer, fetchJson) : await fetchJson(issuer.keys)
  if (!keySetShape(set)) throw wrong(issuer.issuer, 'its key set makes no sense')
  const { keys } = set as { readonly keys: readonly JWK[] }
  if (keys.length > maxKeys) throw wrong(issuer.issuer, `it has more than ${maxKeys} keys`)
  return keys.filter(isUsable)
}

/** @see https://openid.net/specs/openid-connect-discovery-1_0.html#ProviderConfigurationValidation */
async function discover(issuer: string, fetchJson: FetchJson): Promise<unknown> {
  const document = await fetchJson(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  if (!discoveryShape(document)) throw wrong(issuer, 'its discovery document makes no sense')
  const found = document as { readonly issuer: string; readonly jwks_uri: string }
  if (found.issuer !== issuer) throw wrong(issuer, 'its discovery document is of another issuer')
  return await fetchJson(found.jwks_uri, issuer)
}

/** Whether it is a public key for signatures that are taken. A symmetric key of a set would be everybody's. */
function isUsable({ kty, use, kid, d, k }: JWK): boolean {
  return (
    typeof kid === 'string' &&
    (kty === 'RSA' || kty === 'EC' || kty === 'OKP') &&
    (use === undefined || use === 'sig') &&
    d === undefined &&
    k === undefined
  )
}

/** Two keys of one id are none: which is meant nobody knows. */
function keyOf({ keys }: KeySet, kid: string): JWK | undefined {
  const [key, second] = keys.filter((each) => each.kid === kid)
  return second === undefined ? key : undefined
}

function wrong(issuer: string, why: string): EnvironmentError {
  return new EnvironmentError('ERR_CACHE_ISSUER', `Cannot fetch the keys of "${issuer}": ${why}`)
}
