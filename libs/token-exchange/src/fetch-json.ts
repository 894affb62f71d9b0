import { EnvironmentError } from '@tsbuild/errors'
import { isLoopbackHost, type Transport } from '@tsbuild/http'
import { parseJson, parseUrl } from '@tsbuild/shape'

/**
 * Fetches a document of an issuer.
 *
 * @param namedBy the document that named this one, where the configuration did not
 * @throws {EnvironmentError} `ERR_CACHE_ISSUER`
 */
export type FetchJson = (url: string, namedBy?: string) => Promise<unknown>

/** Sets of keys have a few KiB. */
const maxBytes = 256 * 1024
const defaultTimeoutMs = 5000

/** Makes what asks issuers: no redirects, at most 256 KiB, five seconds in all, and no `http` but on this machine. */
export function createFetchJson(transport: Pick<Transport, 'send'>, timeoutMs = defaultTimeoutMs): FetchJson {
  return async (text, namedBy) => {
    const url = parseUrl(text)
    const by = namedBy === undefined ? undefined : parseUrl(namedBy)
    if (url === undefined || !isAllowed(url)) throw cannot(text, 'expected an https URL')
    const signal = AbortSignal.timeout(timeoutMs)
    const headers = { accept: 'application/json' }
    try {
      const request = { method: 'GET', url, headers, insecure: false, namedBy: by, signal } as const
      const response = await transport.send({ ...request, foreign: by !== undefined && by.host !== url.host })
      if (response.status !== 200) {
        await response.discard()
        throw cannot(text, `its status is ${response.status}`)
      }
      const parts: Buffer[] = []
      let size = 0
      for await (const part of response.body) {
        size += (part as Buffer).length
        if (size > maxBytes) throw cannot(text, `it is larger than ${maxBytes} bytes`)
        parts.push(part as Buffer)
      }
      return parseJson(Buffer.concat(parts).toString())
    } catch (cause) {
      if (cause instanceof EnvironmentError) throw cause
      throw cannot(text, signal.aborted ? `no answer within ${timeoutMs} ms` : 'no answer', cause)
    }
  }
}

/** Whether keys may come from there: somebody between could put in theirs. */
export function isAllowed(url: URL): boolean {
  const isPlain = url.username === '' && url.password === '' && url.hash === ''
  return isPlain && (url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname)))
}

function cannot(url: string, why: string, cause?: unknown): EnvironmentError {
  return new EnvironmentError('ERR_CACHE_ISSUER', `Cannot fetch "${url}": ${why}`, { cause })
}
