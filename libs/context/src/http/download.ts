import type { Digest } from '@tsbuild/digest'
import {
  type HttpResponse,
  progressBytes,
  type RetryContext,
  startPace,
  TransientFailure,
  type Transport,
  type Tries,
  withRetry,
} from '@tsbuild/http'
import { BodyFile } from './body-file.ts'
import { interrupted, networkFailure, nonsense, sendGet, statusFailure } from './exchange.ts'
import type { SourceUrl } from './source-url.ts'

/** What a download works with. */
export interface DownloadParts {
  readonly transport: Transport
  readonly retry: RetryContext
  readonly now: () => number
  /** More than this is refused. */
  readonly maxBytes: number
}

/** What tells a server which version of a file is known. */
export interface Validators {
  readonly etag: string | undefined
  readonly lastModified: string | undefined
}

/** What is fetched, and what of it is known already. */
export interface Wanted {
  readonly source: SourceUrl
  readonly authorization: string | undefined
  readonly known: Validators | undefined
  readonly signal: AbortSignal
  readonly onProgress: (received: number, total: number | undefined) => void
}

/** What a server gave. */
export interface Downloaded {
  /** Where the body is. */
  readonly path: string
  /** In bytes, of what was sent. */
  readonly size: number
  /** Of what was sent. */
  readonly digest: Digest
  readonly encoding: string | undefined
  readonly etag: string | undefined
  readonly lastModified: string | undefined
  /** When the server says that it sent it. */
  readonly date: string | undefined
}

/**
 * Fetches a file, or finds out that it is the one that is known. A connection that is cut is continued where
 * that was, if the server's strong ETag says that it is still the same file; otherwise it is fetched anew.
 *
 * @param openPath asked once, when there is something to write: a file to make in a directory that is there
 * @throws {UserError} `ERR_HTTP_STATUS`, `ERR_CANCELLED`
 * @throws {EnvironmentError} `ERR_HTTP_UNREACHABLE`, `ERR_HTTP_RESPONSE`
 */
export async function download(
  parts: DownloadParts,
  wanted: Wanted,
  openPath: () => Promise<string>,
): Promise<Downloaded | 'unchanged'> {
  const { source, signal } = wanted
  const body = new BodyFile(openPath)
  const run: Run = { parts, wanted, body, known: wanted.known, answer: undefined }
  const attempted = {
    what: `fetch ${JSON.stringify(source.shown)}`,
    failureOf: (error: unknown) => networkFailure(error, source),
  }
  try {
    return await withRetry(parts.retry, attempted, signal, (tries) => attempt(run, tries))
  } finally {
    await body.close()
  }
}

/** A download under way. */
interface Run {
  readonly parts: DownloadParts
  readonly wanted: Wanted
  readonly body: BodyFile
  /** Undefined once the server's word about it is not to be trusted. */
  known: Validators | undefined
  /** What the answer said that the bytes so far are of. */
  answer: Answer | undefined
}

/** What the headers of an answer say of its body. */
interface Answer extends Omit<Downloaded, 'path' | 'size' | 'digest'> {
  readonly total: number | undefined
}

async function attempt(run: Run, tries: Tries): Promise<Downloaded | 'unchanged'> {
  const { wanted, parts, body } = run
  const etag = body.position > 0 ? strongEtag(run.answer?.etag) : undefined
  const headers =
    etag === undefined ? conditions(run.known) : { range: `bytes=${body.position}-`, 'if-range': etag }
  const get = { ...wanted, headers }
  const response = await sendGet(parts.transport, get)
  try {
    switch (kindOf(run, response, etag !== undefined)) {
      case 'unchanged':
        return await unchanged(run, response)
      case 'rest':
        run.answer = answerOfRest(run, response)
        return await copyBody(run, response, tries)
      case 'other rest':
        await body.restart()
        throw interrupted(wanted.source, 'something else than it began with')
      case 'whole':
        await body.restart()
        run.answer = answerOf(response)
        return await copyBody(run, response, tries)
      case 'failed':
        await response.discard()
        throw statusFailure(get, response, parts.now())
    }
  } finally {
    // What is left of a body is not wanted, and neither is its complaint.
    response.body.on('error', () => {})
    response.body.destroy()
  }
}

/** @param continues only the rest was asked for, and not whether anything changed */
function kindOf(
  run: Run,
  response: HttpResponse,
  continues: boolean,
): 'unchanged' | 'rest' | 'other rest' | 'whole' | 'failed' {
  const { status } = response
  if (continues && status === 206) return answerOfRest(run, response) === undefined ? 'other rest' : 'rest'
  if (continues && status === 416) return 'other rest'
  if (status === 304 && !continues && run.known !== undefined) return 'unchanged'
  if (status < 200 || status > 299 || status === 206) return 'failed'
  // Some servers have ETags and do not know If-None-Match.
  const etag = strongEtag(response.header('etag'))
  return etag !== undefined && etag === run.known?.etag ? 'unchanged' : 'whole'
}

/**
 * The answer whose body the rest belongs to, with its length. Not every server that knows ranges knows If-Range.
 * @returns undefined where it does not go on where we stopped, or nobody says where it ends
 */
function answerOfRest({ answer, body }: Run, response: HttpResponse): Answer | undefined {
  const range = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(response.header('content-range') ?? '')
  const etag = response.header('etag') ?? answer?.etag
  if (answer === undefined || Number(range?.[1]) !== body.position || etag !== answer.etag) return undefined
  const total = range?.[2] === '*' ? answer.total : Number(range?.[2])
  if (total === undefined || total !== (answer.total ?? total)) return undefined
  return { ...answer, total }
}

/** Where an answer names another ETag than ours, it is about something else than what we have. */
async function unchanged(run: Run, response: HttpResponse): Promise<'unchanged'> {
  const [asked, answered] = [run.known?.etag, response.header('etag')]
  await response.discard()
  if (asked === undefined || answered === undefined || opaqueTag(asked) === opaqueTag(answered))
    return 'unchanged'
  run.known = undefined
  throw new TransientFailure(
    nonsense(run.wanted.source, 'the server says that it did not change, and gives it another ETag'),
    { retryAfterMs: 0, maxAttempts: 2 },
  )
}

async function copyBody(
  { wanted, parts, body, answer }: Run,
  response: HttpResponse,
  tries: Tries,
): Promise<Downloaded> {
  const { total, ...headers } = answer ?? answerOf(response)
  const resumable = strongEtag(headers.etag) !== undefined
  const start = body.position
  const pace = startPace(parts.now, start)
  if ((total ?? 0) > parts.maxBytes) throw tooLarge(wanted.source, parts.maxBytes)
  for await (const chunk of response.body) {
    if (body.position + chunk.length > parts.maxBytes) throw tooLarge(wanted.source, parts.maxBytes)
    await body.append(chunk)
    if (resumable && body.position - start >= progressBytes) tries.reset()
    wanted.onProgress(body.position, total)
    if (body.position !== total && pace.isTooSlow(body.position))
      throw interrupted(wanted.source, 'hardly any bytes')
  }
  if (total !== undefined && body.position !== total)
    throw interrupted(wanted.source, `${body.position} of ${total} bytes`)
  return { ...headers, ...(await body.finish()) }
}

function answerOf(response: HttpResponse): Answer {
  const length = response.header('content-length')
  return {
    total: length !== undefined && /^\d+$/.test(length) ? Number(length) : undefined,
    encoding: response.header('content-encoding'),
    etag: response.header('etag'),
    lastModified: response.header('last-modified'),
    date: response.header('date'),
  }
}

/** An ETag tells more than a time, so the time is asked for only where there is none. */
function conditions(known: Validators | undefined): Record<string, string> {
  if (known?.etag !== undefined) return { 'if-none-match': known.etag }
  return known?.lastModified === undefined ? {} : { 'if-modified-since': known.lastModified }
}

function strongEtag(etag: string | undefined): string | undefined {
  return etag?.startsWith('"') ? etag : undefined
}

function opaqueTag(etag: string): string {
  return etag.replace(/^W\//, '')
}

/** The error of a file beyond the limit. */
export function tooLarge(source: SourceUrl, maxBytes: number): Error {
  return nonsense(source, `it is larger than ${maxBytes} bytes, the most that is fetched`)
}
