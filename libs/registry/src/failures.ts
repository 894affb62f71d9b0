import { type BuildError, EnvironmentError, isBuildError, redact } from '@tsbuild/errors'
import {
  type HttpResponse,
  isTransientStatus,
  networkFault,
  retryAfterMs,
  TransientFailure,
} from '@tsbuild/http'

const certificateHint = 'Certificates of clients are looked for in certs.d, see docs/reference/registries.md.'
const shownBodyBytes = 64 * 1024
const shownTextLength = 300

/** What a request was for, for messages: `pull debian:12`, and the host that is asked. */
export interface Purpose {
  readonly what: string
  readonly host: string
}

/** Gives an error of the network its class: what to try again, and what the user can do. */
export function networkFailure(error: unknown, purpose: Purpose): BuildError | TransientFailure {
  if (error instanceof TransientFailure || isBuildError(error)) return error
  const cannot = `Cannot ${purpose.what}:`
  const fault = networkFault(error)
  switch (fault.kind) {
    case 'plain':
      return new EnvironmentError('ERR_REGISTRY_TLS', `${cannot} ${purpose.host} does not speak HTTPS`, {
        cause: error,
        hints: [
          `If ${purpose.host} is a registry in plain HTTP that you trust, declare it insecure: \`--insecure-registry ${purpose.host}\`.`,
        ],
      })
    case 'certificate':
      return new EnvironmentError(
        'ERR_REGISTRY_TLS',
        `${cannot} the certificate of ${purpose.host} cannot be trusted`,
        {
          cause: error,
          hints: ['Name the certificate authority that signed it, or declare the registry insecure.'],
        },
      )
    case 'client-certificate':
      return new EnvironmentError(
        'ERR_REGISTRY_TLS',
        `${cannot} ${purpose.host} wants a client certificate that it trusts`,
        {
          cause: error,
          hints: [certificateHint],
        },
      )
    case 'internal':
      return new EnvironmentError(
        'ERR_REGISTRY_RESPONSE',
        `${cannot} it leads to an address of this machine or of a private network`,
        { cause: error },
      )
    case 'unreachable': {
      const failure = new EnvironmentError(
        'ERR_REGISTRY_UNREACHABLE',
        `${cannot} ${purpose.host} does not answer (${redact(fault.code ?? String(error))})`,
        { cause: error, hints: fault.hungUp ? [`If it wants a client certificate: ${certificateHint}`] : [] },
      )
      return fault.maxAttempts === 1 ? failure : new TransientFailure(failure, fault)
    }
  }
}

/** What an error response says. */
export interface ErrorAnswer {
  /** The protocol's error codes, for example `MANIFEST_UNKNOWN`. */
  readonly codes: readonly string[]
  /** One line, without secrets; may be empty. */
  readonly text: string
}

/** Reads the body of an error response; never fails. @param hide takes secrets out of a text */
export async function readErrorAnswer(
  response: HttpResponse,
  hide: (text: string) => string,
): Promise<ErrorAnswer> {
  const body = await readBody(response, shownBodyBytes, { what: 'read an error', host: '' }).then(
    (bytes) => bytes.toString(),
    () => '',
  )
  const listed = errorList(body)
  const text = listed.length > 0 ? listed.map(({ code, message }) => `${code}: ${message}`).join('; ') : body
  return { codes: listed.map(({ code }) => code), text: shorten(hide(redact(text))) }
}

/** The error for a status that the operation cannot go on with. */
export function statusFailure(
  response: HttpResponse,
  answer: ErrorAnswer,
  purpose: Purpose,
  nowMs: number,
): BuildError | TransientFailure {
  const { status } = response
  const said = answer.text === '' ? '' : `: ${answer.text}`
  const details = { status, codes: answer.codes }
  if (status === 401 || status === 403) {
    return new EnvironmentError(
      'ERR_REGISTRY_AUTH',
      `Cannot ${purpose.what}: ${purpose.host} refuses it with status ${status}${said}`,
      {
        details,
        hints: ['Check the name, and the credentials for this registry: `tsbuild login` keeps them.'],
      },
    )
  }
  const failure = new EnvironmentError(
    'ERR_REGISTRY_STATUS',
    `Cannot ${purpose.what}: ${purpose.host} answers with status ${status}${said}`,
    { details },
  )
  if (!isTransientStatus(status)) return failure
  return new TransientFailure(failure, { retryAfterMs: retryAfterMs(response.header('retry-after'), nowMs) })
}

/** Whether a registry refused a manifest because it has not all that the manifest names. */
export function isBlobUnknown(error: unknown): boolean {
  if (!isBuildError(error) || error.code !== 'ERR_REGISTRY_STATUS') return false
  const { codes } = error.details
  return Array.isArray(codes) && codes.some((code) => unknownCodes.has(code))
}

/** Whether a registry did not take a manifest because its tag means another one by now. */
export function isPreconditionFailed(error: unknown): boolean {
  return isBuildError(error) && error.code === 'ERR_REGISTRY_STATUS' && error.details.status === 412
}

/** `BLOB_UNKNOWN` is what some registries say of a manifest; `MANIFEST_UNKNOWN` is said of an index. */
const unknownCodes: ReadonlySet<unknown> = new Set([
  'MANIFEST_BLOB_UNKNOWN',
  'BLOB_UNKNOWN',
  'MANIFEST_UNKNOWN',
])

/** The error for an answer that is not the protocol. */
export function nonsense(purpose: Purpose, fault: string): BuildError {
  return new EnvironmentError(
    'ERR_REGISTRY_RESPONSE',
    `Cannot ${purpose.what}: ${purpose.host} answers ${fault}`,
  )
}

/** The failure of an answer that does not come to its end; worth another try. */
export function interrupted(purpose: Purpose, sent: string): TransientFailure {
  return new TransientFailure(
    new EnvironmentError('ERR_REGISTRY_UNREACHABLE', `Cannot ${purpose.what}: ${purpose.host} sends ${sent}`),
  )
}

/** @throws {EnvironmentError} `ERR_REGISTRY_RESPONSE` if it is longer than `maxBytes`, or announced to be */
export async function readBody(response: HttpResponse, maxBytes: number, purpose: Purpose): Promise<Buffer> {
  const tooLong = () => {
    response.body.destroy()
    return nonsense(purpose, `with more than ${maxBytes} bytes`)
  }
  if (Number(response.header('content-length') ?? 0) > maxBytes) throw tooLong()
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response.body) {
    length += chunk.length
    if (length > maxBytes) throw tooLong()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

function errorList(body: string): readonly { code: string; message: string }[] {
  try {
    const parsed: unknown = JSON.parse(body)
    const errors: unknown =
      typeof parsed === 'object' && parsed !== null && 'errors' in parsed ? parsed.errors : undefined
    return Array.isArray(errors) ? errors.slice(0, 5).flatMap(readErrorEntry) : []
  } catch {
    return []
  }
}

function readErrorEntry(entry: unknown): readonly { code: string; message: string }[] {
  if (typeof entry !== 'object' || entry === null || !('code' in entry) || typeof entry.code !== 'string')
    return []
  const message = 'message' in entry && typeof entry.message === 'string' ? entry.message : ''
  return [{ code: entry.code, message }]
}

function shorten(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: a server's text must not steer the terminal
  const line = text.replace(/[\u0000-\u001f\u007f-\u009f\s]+/g, ' ').trim()
  return line.length > shownTextLength ? `${line.slice(0, shownTextLength)}…` : line
}
