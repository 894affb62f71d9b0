import { HttpError } from '@tsbuild/http-server'

/** Answers that the distribution specification has a code for. @see spec.md, error codes */
export const blobUnknown = (digest: string) =>
  new HttpError(404, 'BLOB_UNKNOWN', 'there is no such blob in the repository', { detail: { digest } })
/** A manifest, by tag or digest. */
export const manifestUnknown = (reference: string) =>
  new HttpError(404, 'MANIFEST_UNKNOWN', 'there is no such manifest in the repository', {
    detail: { reference },
  })
/** An upload that was never begun, was cancelled, or is too old. */
export const uploadUnknown = () =>
  new HttpError(404, 'BLOB_UPLOAD_UNKNOWN', 'there is no such upload in the repository')
/** What is no digest, or not the one of the bytes. */
export const digestInvalid = (message: string, cause?: unknown) =>
  new HttpError(400, 'DIGEST_INVALID', message, { cause })
/** A manifest that cannot be stored. */
export const manifestInvalid = (message: string) => new HttpError(400, 'MANIFEST_INVALID', message)
/** A repository in which there is nothing. */
export const nameUnknown = (name: string) =>
  new HttpError(404, 'NAME_UNKNOWN', 'there is no such repository', { detail: { name } })
