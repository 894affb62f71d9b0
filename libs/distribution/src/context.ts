import { type Exchange, HttpError } from '@tsbuild/http-server'
import type { Grant } from '@tsbuild/trust'
import { digestInvalid } from './failures.ts'
import { type ContentDigest, parseContentDigest } from './names.ts'
import type { Repositories } from './repositories.ts'
import type { Uploads } from './uploads.ts'

/** Bounds on what is stored and listed, in bytes and entries. */
export interface DistributionLimits {
  /** 4 MiB is what clients may count on. */
  readonly manifestBytes: number
  readonly blobBytes: number
  /** Entries of one page of tags, repositories or referrers, however many are asked for. */
  readonly pageEntries: number
  /** Of the body of one page of referrers. */
  readonly pageBytes: number
  readonly uploadsPerToken: number
  readonly uploads: number
}

/** Limits of a server that says nothing else. */
export const defaultDistributionLimits: DistributionLimits = {
  manifestBytes: 4 * 1024 * 1024,
  blobBytes: 64 * 1024 ** 3,
  pageEntries: 1000,
  pageBytes: 4 * 1024 * 1024,
  uploadsPerToken: 256,
  uploads: 4096,
}

/** How much a token may still send. */
export interface Allowance {
  /** In bytes; from one request to the next. @throws {HttpError} where nothing more is taken */
  left(grant: Grant): number
  /** Says that so much was sent and kept. */
  sent(grant: Grant, bytes: number): void
}

/** What the handlers of all routes work with. */
export interface DistributionContext {
  readonly repositories: Repositories
  readonly uploads: Uploads
  readonly limits: DistributionLimits
  readonly allowance: Allowance
  /** Whether `/v2/` refuses who shows no token, although everybody may read. */
  readonly asksForToken: boolean
  /** Repositories in which this process saw a blob last, by digest: guesses, for mounts that do not say from where. */
  readonly seenIn: SeenIn
}

/** Guesses of where blobs are. */
export interface SeenIn {
  note(digest: ContentDigest, repository: string): void
  guesses(digest: ContentDigest): readonly string[]
}

/** The repository that a route is about. Its name was checked when permission was asked for. */
export function repositoryOf({ params }: Exchange): string {
  return params.name ?? ''
}

/** The address of something in a repository, for `Location`. */
export function placeOf(exchange: Exchange, rest: string): string {
  return `${exchange.base}/v2/${repositoryOf(exchange)}/${rest}`
}

/** @throws {HttpError} 400 for what is no digest, and for an algorithm that is not known */
export function digestFrom(text: string | undefined): ContentDigest {
  const digest = parseContentDigest(text ?? '')
  if (digest === undefined)
    throw digestInvalid('a digest is sha256: and 64, or sha512: and 128 lowercase hex digits')
  return digest
}

/** How long a body may be: what the server takes, and what the token may still send. */
export function bodyBound(context: DistributionContext, grant: Grant, maxBytes: number): number {
  const left = context.allowance.left(grant)
  if (left <= 0) throw new HttpError(507, 'DENIED', 'the token has sent as much as it may')
  return Math.min(maxBytes, left)
}
