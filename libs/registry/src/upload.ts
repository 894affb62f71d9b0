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
  if (await hasBlob(connection, blob, options)) return 'exists'
  for (const repository of options.mountFrom ?? []) {
    if (await mountBlob(connection, blob, repository, options)) return 'mounted'
  }
  await new Upload(connection, blob, options).run()
  options.onProgress?.(blob.descriptor.size)
  return 'uploaded'
}
