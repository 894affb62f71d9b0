import { type BuildError, EnvironmentError, isBuildError, redact, UserError } from '@tsbuild/errors'
import {
  type HttpResponse,
  isForeignHost,
  isRedirect,
  isTransientStatus,
  leadsInside,
  maxRedirects,
  networkFault,
  retryAfterMs,
  TransientFailure,
  type Transport,
  userAgent,
} from '@tsbuild/http'
import { parseUrl } from '@tsbuild/shape'
import { type SourceUrl, showUrl } from './source-url.ts'

/** One GET, with whatever redirects it takes. */
export interface Get {
  readonly source: SourceUrl
  readonly authorization: string | undefined
  readonly headers: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

/**
 * Sends a request and follows its redirects; any other answer comes back. The authorization is for the URL's own host:
 * once a redirect has left it, it is gone for good.
 *
 * `Accept-Encoding: identity` because the file is what the server keeps under the URL: only then are Content-Length, ranges
 * and a strong ETag those of its bytes.
 *
 * @throws {EnvironmentError} `ERR_HTTP_RESPONSE` where a redirect leads to where it must not
 */
export async function sendGet(transport: Transport, get: Get): Promise<HttpResponse> {
  const first = get.source.url
  let url = first
  let trusted = get.authorization
  for (let hop = 0; ; hop++) {
    const response = await transport.send({
      method: 'GET',
      url,
      headers: {
        'user-agent': userAgent,
        'accept-encoding': 'identity',
        ...get.headers,
        ...(trusted === undefined ? {} : { authorization: trusted }),
      },
      insecure: false,
      foreign: isForeignHost(first.hostname, url.hostname),
      signal: get.signal,
    })
    if (!isRedirect(response)) return response
    await response.discard()
    if (hop >= maxRedirects) throw nonsense(get.source, `it is redirected more than ${maxRedirects} times`)
    const next = redirectTarget(get, url, response.header('location') ?? '')
    if (!sameServer(url, next)) trusted = undefined
    url = next
  }
}

/** Where a redirect leads; refused where it would show a credential, or make us talk to our own machine. */
function redirectTarget(get: Get, from: URL, location: string): URL {
  const refuse = (to: string, why: string) =>
    nonsense(get.source, `it is redirected to ${JSON.stringify(to)}, and ${why}`)
  if (parseUrl(location, from.href) === undefined)
    throw refuse(location.replace(/\?.*/s, '?…').slice(0, 200), 'that is no URL')
  const url = new URL(location, from.href)
  const shown = showUrl(url).slice(0, 200)
  url.hash = ''
  if (url.protocol !== 'https:' && url.protocol !== 'http:')
    throw refuse(shown, 'that is neither https nor http')
  if (url.username !== '' || url.password !== '') throw refuse(shown, 'that has credentials in it')
  if (leadsInside(get.source.url.hostname, url.hostname))
    throw refuse(shown, 'that is an address of this machine')
  if (get.authorization !== undefined && from.protocol === 'https:' && url.protocol === 'http:')
    throw refuse(shown, 'what needs a credential does not leave HTTPS')
  return url
}

/** The same host and port, or the same host by HTTPS where both schemes have their own port. */
function sameServer(from: URL, to: URL): boolean {
  if (from.origin === to.origin) return true
  const upgraded = from.protocol === 'http:' && to.protocol === 'https:' && from.port === '' && to.port === ''
  return upgraded && from.hostname === to.hostname
}

/** The error of an answer that makes no sense, or that is refused. @param why a clause: `it is …` */
export function nonsense(source: SourceUrl, why: string): EnvironmentError {
  return new EnvironmentError('ERR_HTTP_RESPONSE', `Cannot fetch ${JSON.stringify(source.shown)}: ${why}`)
}

/** The failure of an answer that does not come to its end; worth another try. */
export function interrupted(source: SourceUrl, sent: string): TransientFailure {
  return new TransientFailure(
    new EnvironmentError(
      'ERR_HTTP_UNREACHABLE',
      `Cannot fetch ${JSON.stringify(source.shown)}: ${source.url.host} sends ${sent}`,
    ),
  )
}

/** The error of a status that is no success. */
export function statusFailure(
  get: Get,
  response: HttpResponse,
  nowMs: number,
): BuildError | TransientFailure {
  const { status } = response
  const [host = ''] = get.source.hosts
  const denied = status === 401 || status === 403
  const hints = denied
    ? [
        get.authorization === undefined
          ? `Give a token as the secret \`HTTP_AUTH_TOKEN_${host}\`, or a whole header as \`HTTP_AUTH_HEADER_${host}\`.`
          : `Check the credential for ${host}.`,
      ]
    : []
  const failure = new UserError(
    'ERR_HTTP_STATUS',
    `Cannot fetch ${JSON.stringify(get.source.shown)}: invalid response status ${status}`,
    { hints, details: { status } },
  )
  if (!isTransientStatus(status)) return failure
  return new TransientFailure(failure, { retryAfterMs: retryAfterMs(response.header('retry-after'), nowMs) })
}

/** Gives an error of the network its class. */
export function networkFailure(error: unknown, source: SourceUrl): BuildError | TransientFailure {
  if (error instanceof TransientFailure || isBuildError(error)) return error
  const fault = networkFault(error)
  const { host } = source.url
  const unreachable = (state: string, hints: readonly string[] = []) =>
    new EnvironmentError('ERR_HTTP_UNREACHABLE', `Cannot fetch ${JSON.stringify(source.shown)}: ${state}`, {
      cause: error,
      hints,
    })
  switch (fault.kind) {
    case 'plain':
      return unreachable(`${host} does not speak HTTPS`)
    case 'certificate':
      return unreachable(`the certificate of ${host} cannot be trusted`, [
        'Name the certificate authority that signed it.',
      ])
    case 'client-certificate':
      return unreachable(`${host} wants a client certificate`)
    case 'internal':
      return nonsense(source, 'it is redirected to an address of this machine')
    case 'unreachable': {
      const failure = unreachable(`${host} does not answer (${redact(fault.code ?? String(error))})`)
      return fault.maxAttempts === 1 ? failure : new TransientFailure(failure, fault)
    }
  }
}
