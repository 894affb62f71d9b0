import { type Capabilities, maxReplyBytes, parseCapabilities } from '@tsbuild/cache-protocol'
import { type BuildError, EnvironmentError, isBuildError, redact, UserError } from '@tsbuild/errors'
import {
  createTransport,
  type HttpResponse,
  isTransientStatus,
  networkFault,
  retryAfterMs,
  sleepFor,
  TransientFailure,
  type Transport,
  userAgent,
  withRetry,
} from '@tsbuild/http'
import type { ImageReference } from '@tsbuild/oci'
import { createRegistryClient, noHosts, type RegistryClient } from '@tsbuild/registry'
import { isRecord, parseJson, parseUrl } from '@tsbuild/shape'
import { readUnverified, type Scope } from '@tsbuild/trust'
import type { CiIdentity, OpenTools, ServerPlace } from '../types.ts'
import { identityToken } from './ci-token.ts'
import { createServerAnswers, type ServerAnswers } from './server-answers.ts'
import { loadTrust, nameOf, type ServerTrust } from './server-trust.ts'
import { refuseTokenInClear } from './token-in-clear.ts'

/** How long a server may take to be reached, and to begin its answer: a look-up is worth no more. */
const promptMs = 2000
/** How much longer the answer to what it stores may take: it makes everything durable first. */
const storingMs = 30_000

/** One request to `/v1`. */
export interface ServerCall {
  readonly method: 'GET' | 'POST'
  /** `/v1/plan`. */
  readonly path: string
  readonly body?: unknown
  /** `store` may take longer than a look-up, and is tried again. */
  readonly purpose: 'look up' | 'store'
  readonly signal: AbortSignal
}

/** A cache-server as one build sees it. */
export interface ServerConnection {
  /** Its URL. */
  readonly name: string
  /** What it says of itself and of the token, and whose signatures count; asked once in a build. */
  trust(signal: AbortSignal): Promise<ServerTrust>
  /** @throws {EnvironmentError} `ERR_CACHE_SERVER` for whatever keeps an answer from coming, or is none */
  call(call: ServerCall): Promise<string>
  /** Of the repositories of scopes. */
  readonly registry: RegistryClient
  /** @param repository below `/v2` */
  reference(repository: string): ImageReference
  /** What images of the same registry may mount layers from; undefined where no image has a name there: below a path. */
  registryName(repository: string): string | undefined
  close(): Promise<void>
}

/** Makes a connection. Nothing is asked yet. @throws {UserError} `ERR_CACHE_SERVER_URL` */
export function connectTo(place: ServerPlace, tools: OpenTools): ServerConnection {
  return new Connection(place, tools)
}

class Connection implements ServerConnection {
  readonly name: string
  readonly registry: RegistryClient
  readonly #place: ServerPlace
  readonly #tools: OpenTools
  readonly #url: URL
  readonly #transport: Transport
  readonly #answers: ServerAnswers
  #token: Promise<string | undefined> | undefined
  #trust: Promise<ServerTrust> | undefined

  constructor(place: ServerPlace, tools: OpenTools) {
    this.name = place.url
    this.#place = place
    this.#tools = tools
    this.#answers = tools.servers ?? createServerAnswers()
    this.#url = serverUrl(place.url)
    refuseTokenInClear(place, tools.network?.insecureHosts ?? [])
    const { ca, proxy, certificates = async () => undefined } = tools.network ?? {}
    const timeouts = { connectMs: promptMs, headersMs: promptMs }
    this.#transport = createTransport({ ca, proxy, certificates, timeouts })
    this.registry = createRegistryClient({
      credentials: async () => {
        const password = await this.#tokenOf(AbortSignal.timeout(promptMs))
        return password === undefined ? undefined : { type: 'basic', username: 'token', password }
      },
      hosts: async () => ({ ...noHosts, certificates }),
      ...{ ca, proxy, basePath: this.#base },
      insecureHosts: this.#url.protocol === 'http:' ? [this.#url.host] : [],
    })
  }

  get #base(): string {
    return this.#url.pathname.replace(/\/+$/, '')
  }

  trust(signal: AbortSignal): Promise<ServerTrust> {
    this.#trust ??= this.#askTrust(signal)
    return this.#trust
  }

  reference(repository: string): ImageReference {
    return { registry: this.#url.host, repository }
  }

  registryName(repository: string): string | undefined {
    return this.#base === '' ? `${this.#url.host}/${repository}` : undefined
  }

  async call(call: ServerCall): Promise<string> {
    const attempts = call.purpose === 'look up' ? 1 : 4
    const context = { settings: { attempts }, random: Math.random, sleep: sleepFor }
    const attempted = { what: this.#what, failureOf: (error: unknown) => this.#failureOf(error) }
    return await withRetry(context, attempted, call.signal, () => this.#ask(call))
  }

  async close(): Promise<void> {
    await Promise.all([this.#transport.close(), this.registry.close()])
  }

  async #askTrust(signal: AbortSignal): Promise<ServerTrust> {
    const token = await this.#tokenOf(signal)
    const key = JSON.stringify([nameOf(this.#url), this.#place.policy?.file, token])
    return await this.#answers.trusts.get(key, () => this.#newTrust(signal), signal)
  }

  async #newTrust(signal: AbortSignal): Promise<ServerTrust> {
    const written = await this.call({ method: 'GET', path: '/v1/capabilities', purpose: 'look up', signal })
    const capabilities: Capabilities | undefined = parseCapabilities(written)
    if (capabilities === undefined)
      throw this.#error('what answers there is no cache-server that this version knows')
    const token = await this.#tokenOf(signal)
    const own = { ...capabilities, read: withinToken(capabilities.read, token) }
    return await loadTrust({
      capabilities: own,
      url: this.#url,
      policy: this.#place.policy,
      tools: this.#tools,
    })
  }

  /** Once more where the token was not taken, and another one can be had. */
  async #ask(call: ServerCall): Promise<string> {
    const token = await this.#tokenOf(call.signal)
    const response = await this.#send(call, token)
    if (response.status !== 401 || token === undefined) return await this.#read(response)
    this.#token = undefined
    this.#answers.tokens.forget(this.#identityKey)
    const another = await this.#tokenOf(call.signal)
    if (another === token) return await this.#read(response)
    await response.discard()
    return await this.#read(await this.#send(call, another))
  }

  async #send(call: ServerCall, token: string | undefined): Promise<HttpResponse> {
    const { method, path, body, purpose, signal } = call
    const written = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    return await this.#transport.send({
      method,
      url: new URL(`${this.#base}${path}`, this.#url.origin),
      headers: {
        accept: 'application/json',
        'user-agent': userAgent,
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(written === undefined ? {} : { 'content-type': 'application/json' }),
      },
      body: written,
      insecure: false,
      foreign: false,
      signal,
      patienceMs: purpose === 'store' ? storingMs : 0,
    })
  }

  async #read(response: HttpResponse): Promise<string> {
    const written = await readText(response)
    if (written === undefined) throw this.#error('its answer is too long')
    if (response.status === 200) return written
    const failure = this.#error(saidBy(response.status, written), hintsFor(response.status, this.#place))
    if (!isTransientStatus(response.status)) throw failure
    const after = response.header('retry-after')
    throw new TransientFailure(failure, {
      retryAfterMs: after === undefined ? undefined : retryAfterMs(after, this.#tools.now()),
    })
  }

  #tokenOf(signal: AbortSignal): Promise<string | undefined> {
    this.#token ??= this.#newToken(signal)
    this.#token.catch(() => {
      this.#token = undefined
    })
    return this.#token
  }

  async #newToken(signal: AbortSignal): Promise<string | undefined> {
    const { token, identity } = this.#place
    if (token !== undefined) return await token()
    if (identity === undefined) return undefined
    return await this.#answers.tokens.get(this.#identityKey, () => this.#exchange(identity, signal), signal)
  }

  get #identityKey(): string {
    return JSON.stringify([nameOf(this.#url), this.#place.identity])
  }

  async #exchange(identity: CiIdentity, signal: AbortSignal): Promise<string> {
    const audience = `${this.#url.origin}${this.#base}`
    const proof = await identityToken(identity, audience, this.#transport, signal)
    const body = { token: proof }
    const call = { method: 'POST', path: '/v1/auth/exchange', body, purpose: 'look up', signal } as const
    const reply = parseJson(await this.#read(await this.#send(call, undefined)))
    if (isRecord(reply) && typeof reply.token === 'string' && reply.token !== '') return reply.token
    throw this.#error('it exchanged the identity of this CI job for something that is no token')
  }

  get #what(): string {
    return `use cache-server "${redact(this.name)}"`
  }

  #error(why: string, hints: readonly string[] = [], cause?: unknown): EnvironmentError {
    return new EnvironmentError('ERR_CACHE_SERVER', `Cannot ${this.#what}: ${why}`, { hints, cause })
  }

  #failureOf(error: unknown): BuildError | TransientFailure {
    if (error instanceof TransientFailure || isBuildError(error)) return error
    const fault = networkFault(error)
    switch (fault.kind) {
      case 'plain':
        return this.#error('it does not speak HTTPS', [], error)
      case 'certificate':
        return this.#error(
          'its certificate is not of an authority that is trusted here',
          ['`--ca FILE` adds an authority.'],
          error,
        )
      case 'client-certificate':
        return this.#error('it wants a client certificate', [], error)
      case 'internal':
        return this.#error('it leads to this machine', [], error)
      case 'unreachable': {
        const why = `it cannot be reached${fault.code === undefined ? '' : ` (${fault.code})`}`
        return new TransientFailure(this.#error(why, [], error), { maxAttempts: fault.maxAttempts })
      }
    }
  }
}

function serverUrl(text: string): URL {
  const url = parseUrl(text)
  const isUsable =
    url !== undefined &&
    (url.protocol === 'https:' || url.protocol === 'http:') &&
    url.username === '' &&
    url.password === '' &&
    url.search === '' &&
    url.hash === ''
  if (isUsable) return url
  throw new UserError(
    'ERR_CACHE_SERVER_URL',
    `Cannot use cache-server "${redact(text)}": expected http://HOST or https://HOST, with a path or without, and nothing else`,
  )
}

/** The body as text; undefined for one that is too long. */
async function readText(response: HttpResponse): Promise<string | undefined> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of response.body) {
    length += part.length
    if (length > maxReplyBytes) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts).toString('utf8')
}

/** What a server says of why not, as far as it can be shown. */
function saidBy(status: number, written: string): string {
  const value = parseJson(written)
  const [first] = isRecord(value) && Array.isArray(value.errors) ? value.errors : []
  const message = isRecord(first) && typeof first.message === 'string' ? first.message : ''
  const shown = message.replace(/[^\p{L}\p{N}\p{P}\p{S} ]/gu, '').slice(0, 200)
  return `it answers ${status}${shown === '' ? '' : `: ${shown}`}`
}

function hintsFor(status: number, { token, identity }: ServerPlace): readonly string[] {
  if (status !== 401) return []
  return token === undefined && identity === undefined
    ? ['`token-file=FILE`, or TSBUILD_CACHE_TOKEN, shows a token.']
    : token === undefined
      ? ['The token may have ended, or be of another server.']
      : [
          'Another one is made by `cache-server token create` where the server runs; `token-file=FILE`, or TSBUILD_CACHE_TOKEN, shows it.',
        ]
}

/**
 * The scopes that the token itself says too. Whoever answers in the place of a server has records with its signature, those of a pull
 * request among them: that their scope is read must not be their word.
 */
function withinToken(read: readonly Scope[], token: string | undefined): readonly Scope[] {
  const claims = token === undefined ? undefined : readUnverified(token)
  if (claims === undefined) return read
  const own = Array.isArray(claims.read) ? claims.read : []
  return read.filter((scope) => own.includes(scope))
}
