import type { IncomingMessage } from 'node:http'
import { HttpError } from './failure.ts'

/** A name or address, and a port. Of a name nothing is looked up: this is only about its form. */
const hostForm = /^([a-zA-Z0-9._-]{1,255}|\[[0-9a-fA-F:.]{2,45}\])(:[0-9]{1,5})?$/

/**
 * Refuses a request whose extent or destination two programs could see differently: Node's parser is strict, but it joins
 * headers that came twice, and takes chunks after another coding.
 *
 * @param hosts names that `Host` may have, lowercase and without port; undefined for any
 * @throws {HttpError} 400, 403, 415, 421, 431
 * @see https://www.rfc-editor.org/rfc/rfc9112#section-6.3
 */
export function checkHead(
  request: IncomingMessage,
  limits: { readonly headerCount: number },
  hosts: ReadonlySet<string> | undefined,
): void {
  const { rawHeaders, headers } = request
  if (rawHeaders.length / 2 > limits.headerCount) {
    throw new HttpError(431, 'UNSUPPORTED', 'the request has too many headers')
  }
  let host = 0
  let framing = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    switch (rawHeaders[index]?.toLowerCase()) {
      case 'host':
        host += 1
        break
      case 'content-length':
      case 'transfer-encoding':
        framing += 1
        break
    }
  }
  if (host !== 1 || !hostForm.test(headers.host ?? ''))
    throw bad('the Host header is missing, wrong or there twice')
  if (framing > 1) throw bad('the length of the body is given twice')
  checkFraming(request)
  checkOrigin(request, hosts)
}

function checkFraming(request: IncomingMessage): void {
  const {
    'transfer-encoding': coding,
    'content-length': length,
    'content-encoding': encoding,
  } = request.headers
  if (coding !== undefined && (coding.toLowerCase() !== 'chunked' || request.httpVersion !== '1.1')) {
    throw bad('the transfer coding is not just chunked')
  }
  if (length !== undefined && !/^[0-9]{1,15}$/.test(length)) throw bad('the Content-Length is no number')
  // What is stored is what was sent: nothing is unpacked here, so nothing can unpack to more than was sent.
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') {
    throw new HttpError(415, 'UNSUPPORTED', 'a body with a Content-Encoding is not taken')
  }
}

/**
 * A page that a browser shows may send requests to servers of the same machine or network. No client of this server is a page of
 * another site.
 */
function checkOrigin(request: IncomingMessage, hosts: ReadonlySet<string> | undefined): void {
  const { host = '', origin } = request.headers
  const name = host.replace(/:[0-9]+$/, '').toLowerCase()
  if (hosts !== undefined && !hosts.has(name)) {
    throw new HttpError(421, 'DENIED', 'this server does not answer for that Host')
  }
  const site = request.headers['sec-fetch-site']
  const foreign =
    site === undefined
      ? origin !== undefined && origin.replace(/^https?:\/\//, '') !== host
      : site !== 'same-origin' && site !== 'none'
  if (foreign) throw new HttpError(403, 'DENIED', 'pages of other sites may not use this server')
}

function bad(why: string): HttpError {
  return new HttpError(400, 'UNSUPPORTED', why)
}
