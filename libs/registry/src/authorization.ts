import { EnvironmentError } from '@tsbuild/errors'
import { leadsInside } from '@tsbuild/http'
import { parseUrl } from '@tsbuild/shape'
import { type Challenge, parseChallenges } from './challenge.ts'
import type { Endpoint } from './endpoint.ts'
import type { Purpose } from './failures.ts'
import { isSameSite } from './same-site.ts'
import { fetchToken, type Token, type TokenRequest, type TokenSender } from './token.ts'
import type { CredentialProvider, Credentials } from './types.ts'

/** Gives requests their `Authorization`, from challenges, credentials and tokens that are kept until they end. */
export interface Authorizer {
  /** What to send without having been asked; undefined for nothing. */
  authorization(endpoint: Endpoint, call: AuthorizationCall): Promise<string | undefined>
  /**
   * Reads the challenge of a 401 and forgets what was refused, so that the next {@link authorization} is a new one.
   * @throws {EnvironmentError} `ERR_REGISTRY_AUTH` if nothing that may be sent could satisfy it
   */
  challenged(
    endpoint: Endpoint,
    header: string,
    sent: string | undefined,
    call: AuthorizationCall,
  ): Promise<void>
  /** Takes every secret that was sent or received out of a text. */
  hide(text: string): string
}

/** What a request is for. */
export interface AuthorizationCall {
  /** For example `repository:library/debian:pull`. */
  readonly scopes: readonly string[]
  readonly purpose: Purpose
  readonly signal?: AbortSignal | undefined
}

/** See {@link createAuthorizer}. */
export interface AuthorizerOptions {
  readonly credentials: CredentialProvider
  readonly trustedRealms: readonly string[]
  readonly sender: TokenSender
  readonly now: () => number
}

type Method =
  | { readonly type: 'basic' }
  | { readonly type: 'bearer'; readonly realm: URL; readonly service: string | undefined }

/** Makes an authorizer; its tokens live as long as it does. */
export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const methods = new Map<string, Method>()
  const tokens = new Map<string, Promise<Token>>()
  const credentials = new Map<string, Promise<Credentials | undefined>>()
  const secrets = new Set<string>()

  const credentialsFor = ({ registry }: Endpoint, call: AuthorizationCall) => {
    const repository = repositoryOf(call.scopes)
    const key = `${registry}/${repository ?? ''}`
    const known = credentials.get(key) ?? options.credentials(registry, repository).then(remember)
    credentials.set(key, known)
    return known
  }
  const remember = (found: Credentials | undefined): Credentials | undefined => {
    for (const secret of secretsOf(found)) secrets.add(secret)
    return found
  }
  /** Calls at the same time share one request: whoever finds a token ended first replaces it for all. */
  const tokenFor = async (request: TokenRequest): Promise<Token> => {
    const key = tokenKey(request.endpoint.registry, request.call.scopes)
    for (;;) {
      const existing = tokens.get(key)
      const known = await existing?.catch(() => undefined)
      if (known !== undefined && known.expiresAtMs > options.now()) return known
      if (tokens.get(key) !== existing) continue
      const fetched = fetchToken(options.sender, request, options.now)
      tokens.set(key, fetched)
      const token = await fetched
      secrets.add(token.value)
      return token
    }
  }
  const forget = async (key: string, sent: string): Promise<void> => {
    const existing = tokens.get(key)
    const known = await existing?.catch(() => undefined)
    if (sent === `Bearer ${known?.value}` && tokens.get(key) === existing) tokens.delete(key)
  }

  return {
    authorization: async (endpoint, call) => {
      const method = methods.get(endpoint.registry)
      if (method === undefined) return undefined
      const known = await credentialsFor(endpoint, call)
      if (method.type === 'basic') return known?.type === 'basic' ? basicHeader(known) : undefined
      const { realm, service } = method
      const trusted = options.trustedRealms.includes(realm.hostname)
      const token = await tokenFor({ endpoint, realm, service, credentials: known, trusted, call })
      return `Bearer ${token.value}`
    },
    challenged: async (endpoint, header, sent, call) => {
      const known = await credentialsFor(endpoint, call)
      const method = chooseMethod(endpoint, parseChallenges(header), known, call.purpose)
      if (method.type === 'basic' && known?.type === 'basic' && sent === basicHeader(known)) {
        throw refused(call.purpose, 'it refuses the user name or the password')
      }
      if (method.type === 'bearer')
        checkRealm(endpoint, method.realm, known, options.trustedRealms, call.purpose)
      methods.set(endpoint.registry, method)
      if (sent !== undefined) await forget(tokenKey(endpoint.registry, call.scopes), sent)
    },
    hide: (text) => {
      let hidden = text
      for (const secret of secrets) hidden = hidden.replaceAll(secret, '***')
      return hidden
    },
  }
}

/** The value of a Basic `Authorization`. */
export function basicHeader(credentials: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`
}

function chooseMethod(
  endpoint: Endpoint,
  challenges: readonly Challenge[],
  known: Credentials | undefined,
  purpose: Purpose,
): Method {
  const bearer = challenges.find((challenge) => challenge.scheme === 'bearer')
  const realm = bearer?.parameters.get('realm')
  if (bearer !== undefined && realm !== undefined) {
    const url = parseUrl(realm)
    if (url === undefined || !/^https?:$/.test(url.protocol))
      throw refused(purpose, 'its token server has no valid address')
    return { type: 'bearer', realm: url, service: bearer.parameters.get('service') }
  }
  if (!challenges.some((challenge) => challenge.scheme === 'basic')) {
    throw refused(purpose, 'it wants to know who asks in a way that tsbuild does not know')
  }
  if (known?.type !== 'basic') {
    throw refused(purpose, `it wants a user name and a password, and none are known for ${endpoint.registry}`)
  }
  return { type: 'basic' }
}

/** A registry that was taken over names its own token server and waits for passwords: CVE-2026-33540. */
function checkRealm(
  endpoint: Endpoint,
  realm: URL,
  known: Credentials | undefined,
  trusted: readonly string[],
  purpose: Purpose,
): void {
  if (leadsInside(endpoint.origin.hostname, realm.hostname) && !trusted.includes(realm.hostname)) {
    throw refused(purpose, `its token server ${realm.host} is an address of this machine`)
  }
  if (realm.protocol !== 'https:' && !(realm.protocol === 'http:' && endpoint.plain)) {
    throw refused(purpose, `its token server ${realm.host} does not speak HTTPS`)
  }
  if (known === undefined || trusted.includes(realm.hostname)) return
  if (isSameSite(endpoint.origin.hostname, realm.hostname)) return
  throw new EnvironmentError(
    'ERR_REGISTRY_AUTH',
    `Cannot ${purpose.what}: ${purpose.host} wants its credentials to be shown to ${realm.host}, which belongs to another site`,
    {
      hints: [
        `If ${realm.host} is the token server of ${purpose.host}, name "${realm.hostname}" in "trustedRealms" of the configuration.`,
      ],
    },
  )
}

function refused(purpose: Purpose, why: string): EnvironmentError {
  return new EnvironmentError(
    'ERR_REGISTRY_AUTH',
    `Cannot ${purpose.what}: ${purpose.host} asks for credentials, and ${why}`,
    {
      hints: ['Log in with `tsbuild login`, or check the credentials that are kept for this registry.'],
    },
  )
}

/** What is written comes first among the scopes. */
function repositoryOf(scopes: readonly string[]): string | undefined {
  return /^repository:([^:]+):/.exec(scopes[0] ?? '')?.[1]
}

function tokenKey(registry: string, scopes: readonly string[]): string {
  return [registry, ...[...scopes].sort()].join(' ')
}

/** Short texts are no secrets that could be told from ordinary words. */
function secretsOf(found: Credentials | undefined): readonly string[] {
  const all =
    found === undefined
      ? []
      : found.type === 'basic'
        ? // Without the padding, which may stand behind it as `%3D`.
          [
            basicHeader(found).slice('Basic '.length).replace(/=+$/, ''),
            found.password,
            encodeURIComponent(found.password),
          ]
        : [found.token, encodeURIComponent(found.token)]
  return all.filter((secret) => secret.length >= 4)
}
