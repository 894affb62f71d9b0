import { lookup as systemLookup } from 'node:dns'
import type { LookupFunction } from 'node:net'
import type { Readable } from 'node:stream'
import type { Dispatcher, Pool } from 'undici'
import { isLoopbackHost } from './addresses.ts'
import { errorCode } from './failures.ts'
import { createGuards, type Guard, guardedLookup } from './guard.ts'
import { isExcepted } from './no-proxy.ts'
import type { ProxySettings, TimeoutSettings } from './types.ts'

/** One HTTP request; a stream in it can be sent once. */
export interface HttpRequest {
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly body?: Uint8Array | Readable | undefined
  /** An unproven certificate is borne. */
  readonly insecure: boolean
  /** A server named this address: connections to this machine are refused after its name was resolved. */
  readonly foreign: boolean
  /** The server that named it, which may be this one: one in public may not lead into private networks either. Its authorities count here too. */
  readonly namedBy?: URL | undefined
  readonly signal?: AbortSignal | undefined
  /** How many milliseconds longer than usual the answer may take. */
  readonly patienceMs?: number | undefined
}

/** An answer; the caller reads `body` to its end, or discards it. */
export interface HttpResponse {
  readonly status: number
  /** @param name in lowercase; several headers of one name are joined by commas */
  header(name: string): string | undefined
  readonly body: Readable
  /** Gives up the rest of the body, without losing the connection where little is left. */
  discard(): Promise<void>
}

/** Sends requests, each once: no retries, no redirects, no credentials of its own. */
export interface Transport {
  /** Rejects with the system's or undici's error where there is no answer. */
  send(request: HttpRequest): Promise<HttpResponse>
  close(): Promise<void>
}

/** See {@link createTransport}. */
export interface TransportOptions {
  readonly ca?: readonly string[] | undefined
  /** Finds what a host is shown and what proves it; asked once for each host. @param host with its port, unless that is 443 */
  readonly certificates?: ((host: string) => Promise<Certificates | undefined>) | undefined
  readonly proxy?: ProxySettings | undefined
  readonly timeouts?: TimeoutSettings | undefined
  readonly lookup?: LookupFunction | undefined
}

/** Of one host, PEM texts. */
export interface Certificates {
  /** Authorities besides the general ones. */
  readonly ca: readonly string[]
  /** Shown to this host, and to no other. */
  readonly client: { readonly certificate: string; readonly key: string } | undefined
}

const discardLimitBytes = 64 * 1024

/** What this program calls itself. */
export const userAgent = 'tsbuild/0.1.0'

/** How many redirects a client may follow for one request. */
export const maxRedirects = 10

const redirectStatuses = new Set([301, 302, 303, 307, 308])

/** Whether an answer sends its reader elsewhere. */
export function isRedirect(response: Pick<HttpResponse, 'status' | 'header'>): boolean {
  return redirectStatuses.has(response.status) && response.header('location') !== undefined
}

/** Makes a transport over undici, which is loaded with the first request: most builds make none. */
export function createTransport(options: TransportOptions): Transport {
  const dispatchers = new Map<string, Promise<Dispatcher>>()
  const certificates = new Map<string, Promise<Certificates | undefined>>()
  const guards = createGuards(lookupOf(options))
  const certificatesOf = async (url: URL | undefined): Promise<Certificates | undefined> => {
    if (options.certificates === undefined || url?.protocol !== 'https:') return undefined
    const known = certificates.get(url.host) ?? options.certificates(url.host)
    certificates.set(url.host, known)
    return known
  }
  /** A site's authority signs its token server and its storage as well; a client certificate is for one host. */
  const certificatesFor = async ({ url, namedBy }: HttpRequest): Promise<Certificates | undefined> => {
    const away = namedBy?.host === url.host ? undefined : namedBy
    const [own, of] = await Promise.all([certificatesOf(url), certificatesOf(away)])
    const ca = [...(own?.ca ?? []), ...(of?.ca ?? [])]
    return ca.length === 0 && own === undefined ? undefined : { ca, client: own?.client }
  }
  const dispatcherFor = async (request: HttpRequest): Promise<Dispatcher> => {
    const guard = await guards.of(request)
    const own = await certificatesFor(request)
    const proxy = proxyFor(request.url, options.proxy)
    const key = `${request.insecure} ${guard} ${proxy ?? ''} ${own === undefined ? '' : `${request.url.host} ${request.namedBy?.host}`}`
    const existing = dispatchers.get(key)
    if (existing !== undefined) return existing
    const made = createDispatcher({ insecure: request.insecure, guard, proxy, own }, options)
    dispatchers.set(key, made)
    return made
  }
  return {
    send: async (request) => {
      const dispatcher = await dispatcherFor(request)
      const response = await dispatcher.request({
        origin: request.url.origin,
        path: `${request.url.pathname}${request.url.search}`,
        method: request.method,
        headers: { ...request.headers },
        body: request.body ?? null,
        signal: request.signal ?? null,
        headersTimeout: (options.timeouts?.headersMs ?? 30_000) + (request.patienceMs ?? 0),
        bodyTimeout: options.timeouts?.bodyMs ?? 30_000,
      })
      return {
        status: response.statusCode,
        header: (name) => joined(response.headers[name]),
        body: response.body,
        discard: () => response.body.dump({ limit: discardLimitBytes }),
      }
    },
    close: async () => {
      const open = await Promise.all(dispatchers.values())
      await Promise.all(open.map((dispatcher) => dispatcher.destroy()))
    },
  }
}

interface DispatcherSettings {
  readonly insecure: boolean
  readonly guard: Guard
  readonly proxy: string | undefined
  readonly own: Certificates | undefined
}

async function createDispatcher(
  { insecure, guard, proxy, own }: DispatcherSettings,
  options: TransportOptions,
): Promise<Dispatcher> {
  const { Agent, EnvHttpProxyAgent, Pool } = await loadUndici()
  const general = options.ca ?? []
  const tls = {
    rejectUnauthorized: !insecure,
    ...(await authorities([...general, ...(own?.ca ?? [])])),
    ...(own?.client === undefined ? {} : { cert: own.client.certificate, key: own.client.key }),
  }
  const connect = {
    ...tls,
    timeout: options.timeouts?.connectMs ?? 10_000,
    lookup: guardedLookup(lookupOf(options), guard),
  }
  if (proxy === undefined) return new Agent({ connect })
  const headersTimeout = options.timeouts?.headersMs ?? 30_000
  return new EnvHttpProxyAgent({
    // Who is excepted is decided already. An empty text keeps undici from reading the environment, which is the caller's.
    ...{ httpProxy: proxy, httpsProxy: proxy, noProxy: '' },
    ...{ requestTls: tls, proxyTls: await authorities(general), connect },
    clientFactory: (origin, settings) => failingOnHangUp(new Pool(origin, { ...settings, headersTimeout })),
  })
}

/** Given authorities replace the built-in ones, so these are given too. */
async function authorities(ca: readonly string[]): Promise<{ readonly ca?: string[] }> {
  if (ca.length === 0) return {}
  const { rootCertificates } = await import('node:tls')
  return { ca: [...rootCertificates, ...ca] }
}

/** A proxy that closes the connection instead of opening a tunnel: undici would ask it again without end. */
function failingOnHangUp(proxy: Pool): Pool {
  const connect = proxy.connect.bind(proxy)
  const connectOrFail = (asked: Dispatcher.ConnectOptions) =>
    connect(asked).catch((cause: unknown) => {
      if (errorCode(cause) !== 'UND_ERR_SOCKET') throw cause
      throw Object.assign(new Error('the proxy hung up', { cause }), { code: 'ECONNRESET' })
    })
  proxy.connect = connectOrFail as typeof proxy.connect
  return proxy
}

/** As Go has it: loopback is never proxied, and each scheme has its own proxy. */
function proxyFor(url: URL, proxy: ProxySettings | undefined): string | undefined {
  if (isLoopbackHost(url.hostname) || isExcepted(url, proxy?.noProxy ?? '')) return undefined
  return (url.protocol === 'https:' ? proxy?.httpsProxy : proxy?.httpProxy) || undefined
}

function lookupOf({ lookup }: TransportOptions): LookupFunction {
  return lookup ?? (systemLookup as LookupFunction)
}

function joined(value: string | string[] | undefined): string | undefined {
  return typeof value === 'object' ? value.join(', ') : value
}

/** Loaded at the first request. Bundled, a CommonJS package has its exports below `default`. */
async function loadUndici(): Promise<typeof import('undici')> {
  const loaded = await import('undici')
  return 'Agent' in loaded ? loaded : (loaded as { readonly default: typeof import('undici') }).default
}
