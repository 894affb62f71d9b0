import { isBuildError } from '@tsbuild/errors'
import { errorCode, type HttpResponse, networkFault } from '@tsbuild/http'
import type { Endpoint } from './endpoint.ts'
import { readErrorAnswer } from './failures.ts'

/** An answer, and the endpoint as the answer showed it to be. */
export interface FirstAnswer {
  readonly response: HttpResponse
  readonly endpoint: Endpoint
}

type Send = (endpoint: Endpoint) => Promise<HttpResponse>

/**
 * Sends the first request to a registry that may speak plain HTTP: as its endpoint says, and once more in the other way where
 * the answer, or its absence, is what servers of the one give to clients of the other.
 */
export function makeFirstContact(endpoint: Endpoint, send: Send): Promise<FirstAnswer> {
  return endpoint.origin.protocol === 'https:'
    ? contactSecurely(endpoint, send)
    : contactPlainly(endpoint, send)
}

async function contactSecurely(endpoint: Endpoint, send: Send): Promise<FirstAnswer> {
  try {
    return { response: await send(endpoint), endpoint: { ...endpoint, settled: true } }
  } catch (error) {
    if (!mayBePlain(error, endpoint.origin)) throw error
    const origin = new URL(endpoint.origin.href.replace(/^https:/, 'http:'))
    const plain = { ...endpoint, origin, settled: true }
    try {
      return { response: await send(plain), endpoint: plain }
    } catch (second) {
      // That it does not speak HTTPS is no news to who allowed HTTP.
      throw networkFault(error).kind === 'plain' ? second : error
    }
  }
}

/** Nothing listens for HTTPS, or what listens does not understand it. With a port written out both ways lead to the same place. */
function mayBePlain(error: unknown, origin: URL): boolean {
  if (networkFault(error).kind === 'plain' || isClosedUnanswered(error)) return true
  const unreached = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ETIMEDOUT', 'UND_ERR_CONNECT_TIMEOUT'])
  return origin.port === '' && unreached.has(errorCode(error) ?? '')
}

async function contactPlainly(endpoint: Endpoint, send: Send): Promise<FirstAnswer> {
  const secure = {
    ...endpoint,
    origin: new URL(endpoint.origin.href.replace(/^http:/, 'https:')),
    settled: true,
  }
  let response: HttpResponse
  try {
    response = await send(endpoint)
  } catch (error) {
    if (!isClosedUnanswered(error)) throw error
    const answer = await send(secure).catch(unlessOurs)
    if (answer === undefined) throw error
    return { response: answer, endpoint: secure }
  }
  if (await isPlainRefusal(response)) return { response: await send(secure), endpoint: secure }
  if (isWordless400(response)) {
    const answer = await send(secure).catch(unlessOurs)
    if (answer !== undefined) {
      await response.discard()
      return { response: answer, endpoint: secure }
    }
  }
  return { response, endpoint: { ...endpoint, settled: true } }
}

/** What the other way says is of no interest; what is wrong with our own files is. */
function unlessOurs(error: unknown): undefined {
  if (isBuildError(error)) throw error
}

/** Go's and nginx's servers say in plain text that they were spoken to in plain text. */
async function isPlainRefusal(response: HttpResponse): Promise<boolean> {
  if (response.status !== 400 || response.header('content-type')?.includes('json') === true) return false
  const answer = await readErrorAnswer(response, (text) => text)
  return /HTTP request .*HTTPS (?:server|port)/i.test(answer.text)
}

/** The answer to a HEAD has no text that would say why. A registry has no reason to give this one to a first request. */
function isWordless400(response: HttpResponse): boolean {
  return response.status === 400 && response.header('content-type')?.includes('json') !== true
}

/** Others hang up, or answer with a TLS alert. */
function isClosedUnanswered(error: unknown): boolean {
  const code = errorCode(error) ?? ''
  return code === 'UND_ERR_SOCKET' || code === 'ECONNRESET' || code.startsWith('HPE_')
}
