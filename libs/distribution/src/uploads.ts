import type { Readable } from 'node:stream'
import type { ContentDigest } from './names.ts'

/** Bytes that were received whole and have a digest, in a file of ours. */
export interface StagedContent {
  readonly path: string
  readonly size: number
  /** 64 hex digits, of all bytes. */
  readonly sha256: string
}

/** Where an upload goes. */
export interface UploadPlace {
  readonly repository: string
  readonly id: string
}

/**
 * Uploads under way: what was sent in parts and is not content yet. Every process with the same storage sees the same uploads.
 * Parts are numbered by where they begin, and of two that begin at one place one counts: so does S3 with the parts of a multipart
 * upload, on which this can stand as well.
 *
 * Every call but `begin` rejects with `BLOB_UPLOAD_UNKNOWN` where there is no such upload in the repository.
 */
export interface Uploads {
  /**
   * Begins an upload.
   * @param owner of whom only so many may be under way
   * @returns its id: 48 hex digits
   * @throws {HttpError} 429 where too many are under way
   */
  begin(repository: string, owner: string): Promise<string>
  /** How many bytes there are, from the beginning without a gap. */
  size(place: UploadPlace): Promise<number>
  /**
   * Appends a part. What came before a body broke off is kept, and can be gone on from.
   * @param at where it begins
   * @param announced how long it is said to be, in bytes; undefined where nothing is said
   * @returns how many bytes there are now
   * @throws {HttpError} 416 where that is not the end; and as `body` fails
   */
  append(place: UploadPlace, at: number, body: Readable, announced?: number): Promise<number>
  /**
   * Ends an upload: what was sent goes to `store` if its digest is that. Of two calls at one moment one finds no upload.
   * Where `store` rejects the upload is there again; where the digest is another it is gone.
   * @throws {HttpError} 400 `DIGEST_INVALID`
   */
  finish(
    place: UploadPlace,
    digest: ContentDigest,
    store: (content: StagedContent) => Promise<void>,
  ): Promise<void>
  /** Receives a blob in one piece, without an upload; as `finish`. */
  receive(
    digest: ContentDigest,
    body: Readable,
    store: (content: StagedContent) => Promise<void>,
    announced?: number,
  ): Promise<void>
  cancel(place: UploadPlace): Promise<void>
  /**
   * Removes uploads that nothing was sent to for so long, and what a process that died has left of others.
   * @returns how many there were
   */
  expire(olderThanMs: number): Promise<number>
  /** How many there are. */
  underWay(): Promise<number>
}
