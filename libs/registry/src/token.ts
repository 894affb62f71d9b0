import { EnvironmentError } from '@tsbuild/errors'
import { type HttpRequest, type HttpResponse, isForeignHost } from '@tsbuild/http'
import { type AuthorizationCall, basicHeader } from './authorization.ts'
import type { Endpoint } from './endpoint.ts'
import { nonsense, readBody } from './failures.ts'
import type { Credentials } from './types.ts'

const maxTokenResponseBytes = 4 * 1024 * 1024
const defaultLifetimeMs = 60_000
/** A token is given up this long before its end: the request that carries it needs time to arrive. */
const safetyMarginMs = 10_000

/** A bearer token and when to stop using it, by our own clock: the server's may be wrong. */
export interface Token {
  readonly value: string
  readonly expiresAtMs: number
}

/** What a token is wanted for and from whom. */
export interface TokenRequest {
  readonly endpoint: Endpoint
  readonly realm: URL
  readonly service: string | undefined
  readonly credentials: Credentials | undefined
  /** The user named the realm: it may be anywhere. */
  readonly trusted: boolean
  readonly call: AuthorizationCall
}

/** Sends a request with retries and gives back a response of status 200; anything else is an error. */
export type TokenSender = (
  request: () => Omit<HttpRequest, 'signal'>,
  call: AuthorizationCall,
) => Promise<HttpResponse>

/**
 * Fetches a token: anonymously, with a user name and password, or with a refresh token.
 *
 * @throws {EnvironmentError} `ERR_REGISTRY_AUTH` if the server refuses; `ERR_REGISTRY_RESPONSE` if it sends no token
 * @see https://distribution.github.io/distribution/spec/auth/token/ and `/oauth/`
 */
export async function fetchToken(
  sender: TokenSender,
  request: TokenRequest,
  now: () => number,
): Promise<Token> {
  const { call, endpoint, realm, credentials } = request
  const purpose = { what: call.purpose.what, host: realm.host }
  const foreign = !request.trusted && isForeignHost(endpoint.origin.hostname, realm.hostname)
  const askedAt = now()
  const response = await sender(
    () => ({
      insecure: endpoint.insecure,
      foreign,
      namedBy: endpoint.origin,
      ...(credentials?.type === 'identityToken'
        ? refreshRequest(request, credentials.token)
        : getRequest(request)),
    }),
    { ...call, purpose },
  )
  const parsed = parseToken(await readBody(response, maxTokenResponseBytes, purpose))
  if (parsed === undefined) throw nonsense(purpose, 'without a token')
  const lifetimeMs = parsed.lifetimeMs ?? defaultLifetimeMs
  const margin = Math.min(safetyMarginMs, lifetimeMs / 2)
  return { value: parsed.value, expiresAtMs: askedAt + lifetimeMs - margin }
}

type PlainRequest = Pick<HttpRequest, 'method' | 'url' | 'headers' | 'body'>

function getRequest({ realm, service, call, credentials }: TokenRequest): PlainRequest {
  const url = new URL(realm)
  if (service !== undefined) url.searchParams.set('service', service)
  for (const scope of call.scopes) url.searchParams.append('scope', scope)
  if (credentials?.type !== 'basic') return { method: 'GET', url, headers: {} }
  url.searchParams.set('account', credentials.username)
  return { method: 'GET', url, headers: { authorization: basicHeader(credentials) } }
}

function refreshRequest({ realm, service, call }: TokenRequest, refreshToken: string): PlainRequest {
  const form = new URLSearchParams({
    grant_type: 'refresh_token',
    client_id: 'tsbuild',
    service: service ?? '',
    scope: call.scopes.join(' '),
    refresh_token: refreshToken,
  })
  const headers = { 'content-type': 'application/x-www-form-urlencoded' }
  return { method: 'POST', url: realm, headers, body: Buffer.from(form.toString()) }
}

function parseToken(bytes: Buffer): { value: string; lifetimeMs: number | undefined } | undefined {
  let parsed: unknown
  try {
    parsed = JSON.parse(bytes.toString())
  } catch (cause) {
    throw new EnvironmentError('ERR_REGISTRY_RESPONSE', 'Cannot read a token: the answer is not JSON', {
      cause,
    })
  }
  if (typeof parsed !== 'object' || parsed === null) return undefined
  const token = textMember(parsed, 'token') ?? textMember(parsed, 'access_token')
  // A line break in it would become a header of its own.
  if (token === undefined || !/^[\x21-\x7e]+$/.test(token)) return undefined
  const seconds = 'expires_in' in parsed ? parsed.expires_in : undefined
  const usable = typeof seconds === 'number' && Number.isFinite(seconds) && seconds > 0
  return { value: token, lifetimeMs: usable ? seconds * 1000 : undefined }
}

function textMember(object: object, name: string): string | undefined {
  const value: unknown = Object.getOwnPropertyDescriptor(object, name)?.value
  return typeof value === 'string' && value !== '' ? value : undefined
}
