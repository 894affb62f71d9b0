import { Readable } from 'node:stream'
import { digestBytes, verifyingStream } from '@tsbuild/digest'
import { isBuildError } from '@tsbuild/errors'
import type { RegistryClient } from '@tsbuild/registry'
import type { WritableSignaturePlace } from './types.ts'

/** Images and signatures of registries. */
export function registryPlace(
  client: RegistryClient,
  signal?: AbortSignal | undefined,
): WritableSignaturePlace {
  const call = { signal }
  return {
    async resolve(reference) {
      try {
        return await client.resolve(reference, call)
      } catch (error) {
        if (isBuildError(error) && error.code === 'ERR_IMAGE_NOT_FOUND') return undefined
        throw error
      }
    },
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
    putManifest: (reference, mediaType, bytes) => client.putManifest(reference, bytes, mediaType, call),
  }
}
