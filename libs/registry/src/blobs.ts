import type { Digest } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import type { Connection } from './connection.ts'
import type { RemoteBlob } from './download.ts'
import { pullScope, purposeOf, pushScope } from './manifests.ts'
import type { CallOptions } from './types.ts'

/** Asks whether a repository has a blob. */
export async function hasBlob(
  connection: Connection,
  blob: RemoteBlob,
  options: CallOptions,
): Promise<boolean> {
  const { reference, descriptor } = blob
  const purpose = purposeOf('look up', reference, descriptor.digest)
  return connection.retry(purpose, options.signal, async () => {
    const response = await connection.exchange({
      registry: reference.registry,
      // Asked before a push, as a rule: one token for both.
      scopes: [pushScope(reference.repository)],
      method: 'HEAD',
      target: `/v2/${reference.repository}/blobs/${descriptor.digest}`,
      purpose,
      signal: options.signal,
    })
    await response.discard()
    if (response.status === 404) return false
    if (response.status !== 200) throw await connection.failure(response, purpose)
    const length = response.header('content-length')
    return length === undefined || Number(length) === descriptor.size
  })
}

/** What a registry says to a blob that it may have in another repository. */
export type MountAnswer =
  | { readonly type: 'mounted' }
  /** It began an upload instead, at this address, as it was given. */
  | { readonly type: 'begun'; readonly location: string }
  | { readonly type: 'refused' }

/** Asks a registry to take a blob over from another of its repositories. Never an error: sending it is the way out. */
export async function mountBlob(
  connection: Connection,
  blob: Pick<RemoteBlob, 'reference'> & { readonly descriptor: { readonly digest: Digest } },
  fromRepository: string,
  options: CallOptions,
): Promise<MountAnswer> {
  const { reference, descriptor } = blob
  if (fromRepository === reference.repository) return { type: 'refused' }
  const query = new URLSearchParams({ mount: descriptor.digest, from: fromRepository })
  const purpose = purposeOf('mount', reference, descriptor.digest)
  try {
    return await connection.retry(purpose, options.signal, async () => {
      const response = await connection.exchange({
        registry: reference.registry,
        scopes: [pushScope(reference.repository), pullScope(fromRepository)],
        method: 'POST',
        target: `/v2/${reference.repository}/blobs/uploads/?${query}`,
        headers: { 'content-length': '0' },
        purpose,
        signal: options.signal,
      })
      await response.discard()
      if (response.status === 201) return { type: 'mounted' }
      const location = response.header('location')
      return response.status === 202 && location !== undefined
        ? { type: 'begun', location }
        : { type: 'refused' }
    })
  } catch (error) {
    if (isBuildError(error) && error.code !== 'ERR_CANCELLED') return { type: 'refused' }
    throw error
  }
}
