import { hasBlob, mountBlob } from './blobs.ts'
import type { Connection } from './connection.ts'
import type { UploadOptions, UploadOutcome } from './types.ts'
import { type LocalBlob, Upload } from './upload-session.ts'

/** Puts a blob into a repository; see `RegistryClient.uploadBlob`. */
export async function uploadBlob(
  connection: Connection,
  blob: LocalBlob,
  options: UploadOptions,
): Promise<UploadOutcome> {
  if (options.isMissing !== true && (await hasBlob(connection, blob, options))) return 'exists'
  let begun: string | undefined
  for (const repository of options.mountFrom ?? []) {
    const answer = await mountBlob(connection, blob, repository, options)
    if (answer.type === 'mounted') return 'mounted'
    if (answer.type === 'begun') begun = answer.location
  }
  await new Upload(connection, blob, options).run(begun)
  options.onProgress?.(blob.descriptor.size)
  return 'uploaded'
}
