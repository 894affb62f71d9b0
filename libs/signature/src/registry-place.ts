import { Readable } from 'node:stream'
import { digestBytes, verifyingStream } from '@tsbuild/digest'
import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import { formatReference } from '@tsbuild/oci'
import { type RegistryClient, type UpdateClock, updateTag } from '@tsbuild/registry'
import type { WritableSignaturePlace } from './types.ts'

/**
 * Images and signatures of registries.
 *
 * @param clock default: this machine's
 */
export function registryPlace(
  client: RegistryClient,
  signal?: AbortSignal | undefined,
  clock?: UpdateClock | undefined,
): WritableSignaturePlace {
  const call = { signal }
  return {
    resolve: (reference) => found(client.resolve(reference, call)),
    async read(reference, blob) {
      const verified = verifyingStream(blob, `blob ${blob.digest}`)
      const source = await client.fetchBlob(reference, blob, call)
      source.once('error', (error) => verified.destroy(error))
      const chunks: Buffer[] = []
      for await (const chunk of source.pipe(verified)) chunks.push(chunk)
      return Buffer.concat(chunks)
    },
    referrers: (reference, artifactType) => client.referrers(reference, { ...call, artifactType }),
    async putBlob(reference, mediaType, bytes) {
      const descriptor = { mediaType, digest: digestBytes(bytes), size: bytes.length }
      const openRange = (offset: number) => Readable.from([Buffer.from(bytes).subarray(offset)])
      await client.uploadBlob(reference, descriptor, openRange, call)
      return descriptor
    },
    async updateManifest(tag, change) {
      const round = async () => {
        const existing = await found(client.resolve(tag, { signal, direct: true }))
        const wanted = await change(existing)
        return {
          over: existing?.descriptor.digest ?? 'nothing',
          wanted: wanted && { ...wanted, digest: digestBytes(wanted.bytes) },
        } as const
      }
      const update = { client, reference: tag, round, onWritten: () => undefined, clock, signal }
      if ((await updateTag(update)) === 'done') return
      throw new EnvironmentError(
        'ERR_REGISTRY_STATUS',
        `Cannot push ${formatReference(tag)}: others write it again and again`,
        { hints: ['Run it again when they are done.'] },
      )
    },
    putManifest: (reference, mediaType, bytes) => client.putManifest(reference, bytes, mediaType, call),
  }
}

async function found<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (isBuildError(error) && error.code === 'ERR_IMAGE_NOT_FOUND') return undefined
    throw error
  }
}
