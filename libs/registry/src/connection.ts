import type { Readable } from 'node:stream'
import {
  type HttpRequest,
  type HttpResponse,
  isForeignHost,
  isRedirect,
  maxRedirects,
  type RetryContext,
  TransientFailure,
  type Transport,
  type Tries,
  withRetry,
} from '@tsbuild/http'
import { type Authorizer, createAuthorizer } from './authorization.ts'
import { type Endpoint, endpointOf, resolveLocation } from './endpoint.ts'
import { networkFailure, nonsense, type Purpose, readErrorAnswer, statusFailure } from './failures.ts'
import { makeFirstContact } from './first-contact.ts'
import type { Trust } from './hosts.ts'
import type { TokenSender } from './token.ts'
import type { CredentialProvider } from './types.ts'

/** A request to a registry; where it goes, what it may do, and how to make its body again. */
export interface RegistryRequest {
  readonly registry: string
  /** For example `repository:library/debian:pull`. */
  readonly scopes: readonly string[]
  readonly method: HttpRequest['method']
  /** Below the registry's origin, or an upload address that it gave. */
  readonly target: string | URL
  readonly headers?: Readonly<Record<string, string>> | undefined
  /** A stream is opened anew each time the request is sent. */
  readonly body?: Uint8Array | (() => Readable) | undefined
  readonly purpose: Purpose
  readonly signal?: AbortSignal | undefined
  /** Called when the registry asks who asks. */
  readonly onChallenge?: (() => void) | undefined
  /** How many milliseconds longer than usual the answer may take. */
  readonly patienceMs?: number | undefined
}

/** Talks to registries: authorizes, follows redirects, tries again. Shared by all operations. */
export interface Connection {
  /**
   * Sends a request once, after at most one round of authorization and with its redirects. Any status but 401 comes back.
   * A request with a stream is not sent again after a 401: it fails transiently, and the caller finds out what arrived.
   */
  exchange(request: RegistryRequest): Promise<HttpResponse>
  /** Runs an operation until it succeeds or cannot, see `withRetry`. */
  retry<T>(
    purpose: Purpose,
    signal: AbortSignal | undefined,
    attempt: (tries: Tries) => Promise<T>,
  ): Promise<T>
  /** Makes the error of an unexpected status, with what the server says and without secrets; throw it. */
  failure(response: HttpResponse, purpose: Purpose): Promise<Error>
  endpoint(registry: string): Endpoint
  /** Milliseconds since the Unix epoch. */
  now(): number
}

/** See {@link createConnection}. */
export interface ConnectionOptions {
  readonly transport: Transport
  readonly credentials: CredentialProvider
  readonly trustedRealms: readonly string[]
  readonly insecureHosts: readonly string[]
  /** Of every registry that is asked through this connection. */
  readonly trust: Trust
  /** What stands before each target that is a text. */
  readonly basePath: string
  readonly userAgent: string
  readonly retry: RetryContext
  readonly now: () => number
  /** Told when a registry says that it is asked too much. */
  readonly onThrottled: (registry: string) => void
}

/** Makes a connection over a transport. */
export function createConnection(options: ConnectionOptions): Connection {
  const endpoints = new Map<string, Endpoint>()
  const endpoint = (registry: string): Endpoint => {
    const known = endpoints.get(registry) ?? endpointOf(registry, options.insecureHosts, options.trust)
    endpoints.set(registry, known)
    return known
  }
  const retry: Connection['retry'] = (purpose, signal, attempt) =>
    withRetry(
      options.retry,
      { what: purpose.what, failureOf: (error) => networkFailure(error, purpose) },
      signal,
      attempt,
    )
  const sender: TokenSender = (request, call) =>
    retry(call.purpose, call.signal, async () => {
      const plain = request()
      const headers = { ...plain.headers, 'user-agent': options.userAgent }
      const response = await options.transport.send({ ...plain, headers, signal: call.signal })
      if (response.status === 200) return response
      throw await failure(response, call.purpose)
    })
  const authorizer = createAuthorizer({ ...options, sender })
  const failure: Connection['failure'] = async (response, purpose) => {
    const answer = await readErrorAnswer(response, authorizer.hide)
    return statusFailure(response, answer, purpose, options.now())
  }
  const exchange = createExchange(options, authorizer, {
    endpoint,
    settled: (to) => endpoints.set(to.registry, to),
  })
  return { exchange, retry, failure, endpoint, now: options.now }
}

interface Endpoints {
  readonly endpoint: (registry: string) => Endpoint
  readonly settled: (endpoint: Endpoint) => void
}

function createExchange(
  options: ConnectionOptions,
  authorizer: Authorizer,
  endpoints: Endpoints,
): Connection['exchange'] {
  const settle = async (endpoint: Endpoint, sendTo: (to: Endpoint) => Promise<HttpResponse>) => {
    const first = await makeFirstContact(endpoint, sendTo)
    endpoints.settled(first.endpoint)
    return first.response
  }
  const attempt = async (request: RegistryRequest, authorized: boolean): Promise<HttpResponse> => {
    const endpoint = endpoints.endpoint(request.registry)
    const target =
      typeof request.target === 'string' ? `${options.basePath}${request.target}` : request.target
    const url = new URL(target, endpoint.origin)
    const home = url.origin === endpoint.origin.origin
    const authorization = home ? await authorizer.authorization(endpoint, request) : undefined
    const sendTo = (to: Endpoint) =>
      sendFollowing({ options, endpoint: to, request }, new URL(target, to.origin), authorization)
    const response = endpoint.settled ? await sendTo(endpoint) : await settle(endpoint, sendTo)
    if (response.status === 429) options.onThrottled(request.registry)
    if (response.status !== 401 || authorized || !home) return response
    const header = response.header('www-authenticate') ?? ''
    await response.discard()
    request.onChallenge?.()
    await authorizer.challenged(endpoint, header, authorization, request)
    if (typeof request.body !== 'function') return attempt(request, true)
    throw new TransientFailure(nonsense(request.purpose, 'that its token ended while a blob was sent'), {
      retryAfterMs: 0,
    })
  }
  return (request) => attempt(request, false)
}

interface Sending {
  readonly options: ConnectionOptions
  readonly endpoint: Endpoint
  readonly request: RegistryRequest
}

/** Only the registry itself ever sees the authorization; once a redirect has left it, it is gone for good. */
async function sendFollowing(
  { options, endpoint, request }: Sending,
  first: URL,
  authorization: string | undefined,
): Promise<HttpResponse> {
  let url = first
  let trusted = authorization
  for (let hop = 0; ; hop++) {
    const headers = {
      'user-agent': options.userAgent,
      ...request.headers,
      ...(trusted === undefined ? {} : { authorization: trusted }),
    }
    const response = await options.transport.send({
      method: request.method,
      url,
      headers,
      body: typeof request.body === 'function' ? request.body() : request.body,
      insecure: endpoint.insecure,
      foreign: isForeignHost(endpoint.origin.hostname, url.hostname),
      namedBy: endpoint.origin,
      signal: request.signal,
      patienceMs: request.patienceMs,
    })
    const location = response.header('location')
    const follows = request.method === 'GET' || request.method === 'HEAD'
    if (!follows || location === undefined || !isRedirect(response)) return response
    await response.discard()
    if (hop >= maxRedirects) throw nonsense(request.purpose, `with more than ${maxRedirects} redirects`)
    url = resolveLocation(endpoint, url, location)
    if (url.origin !== first.origin) trusted = undefined
  }
}
