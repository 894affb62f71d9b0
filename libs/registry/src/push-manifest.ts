import { UserError } from '@tsbuild/errors'
import { type Descriptor, formatReference, type ImageReference } from '@tsbuild/oci'
import type { LimitFunction } from 'p-limit'
import pLimit from 'p-limit'
import type { Connection } from './connection.ts'
import { deleteScope, fetchManifest, purposeOf, putBytes } from './manifests.ts'
import { changeFallback, fallbackTag, type Referrer, referrerOf } from './referrers.ts'
import type { CallOptions, PutManifestOptions } from './types.ts'

/** Writes manifests and keeps the lists of what refers to what. */
export interface ManifestWriter {
  /** See `RegistryClient.putManifest`. */
  put(
    reference: ImageReference,
    manifest: { readonly bytes: Uint8Array; readonly mediaType: string },
    options: PutManifestOptions,
  ): Promise<Descriptor>
  /** See `RegistryClient.deleteManifest`. */
  remove(reference: ImageReference, options: CallOptions): Promise<void>
}

/** Makes a writer; it changes each list of referrers by one call at a time. */
export function createManifestWriter(connection: Connection): ManifestWriter {
  const turns = new Map<string, LimitFunction>()
  const change = async (
    reference: ImageReference,
    referrer: Referrer,
    how: 'add' | 'remove',
    options: CallOptions,
  ) => {
    const key = `${reference.registry}/${reference.repository}:${fallbackTag(referrer.subject)}`
    const turn = turns.get(key) ?? pLimit(1)
    turns.set(key, turn)
    await turn(() => changeFallback(connection, reference, referrer, how, options))
  }
  return {
    put: async (reference, manifest, options) => {
      const { descriptor, subject } = await putBytes(connection, reference, manifest, options)
      const referrer = referrerOf(manifest.bytes, manifest.mediaType, descriptor.digest)
      if (referrer !== undefined && subject !== referrer.subject) {
        await change(reference, referrer, 'add', options)
      }
      return descriptor
    },
    remove: async (reference, options) => {
      const referrer = await referrerToRemove(connection, reference, options)
      await deleteManifest(connection, reference, options)
      if (referrer !== undefined) await change(reference, referrer, 'remove', options)
    },
  }
}

/** A tag that goes leaves its manifest, and so the list. */
async function referrerToRemove(
  connection: Connection,
  reference: ImageReference,
  options: CallOptions,
): Promise<Referrer | undefined> {
  if (reference.digest === undefined) return undefined
  const { bytes, descriptor } = await fetchManifest(connection, reference, options)
  return referrerOf(bytes, descriptor.mediaType, descriptor.digest)
}

async function deleteManifest(
  connection: Connection,
  reference: ImageReference,
  { signal }: CallOptions,
): Promise<void> {
  const { registry, repository, digest, tag } = reference
  const purpose = purposeOf('delete', reference)
  const target = `/v2/${repository}/manifests/${digest ?? tag ?? 'latest'}`
  await connection.retry(purpose, signal, async (tries) => {
    const scopes = [deleteScope(repository)]
    const response = await connection.exchange({
      registry,
      scopes,
      method: 'DELETE',
      target,
      purpose,
      signal,
    })
    const { status } = response
    const gone = status === 404 && tries.current > 1
    if (status === 202 || status === 200 || status === 204 || gone) return response.discard()
    const name = formatReference(reference)
    if (status === 404) {
      await response.discard()
      throw new UserError('ERR_IMAGE_NOT_FOUND', `Cannot delete ${name}: the registry does not have it`)
    }
    if (status !== 405 && status !== 400) throw await connection.failure(response, purpose)
    await response.discard()
    throw new UserError(
      'ERR_UNSUPPORTED',
      `Cannot delete ${name}: the registry ${registry} does not allow it`,
      {
        hints: [
          digest === undefined
            ? 'Some registries delete manifests by their digest only; write it after "@".'
            : "Deletion is a setting of the registry's.",
        ],
        details: { status },
      },
    )
  })
}
