import { Readable } from 'node:stream'
import { EnvironmentError, isBuildError, UserError } from '@tsbuild/errors'
import { type Descriptor, familiarName, type ImageReference } from '@tsbuild/oci'
import type { RegistryClient } from '@tsbuild/registry'
import type { BlobSource, ImageDocument, ImageSource, ImageTarget, PlaceOptions } from './types.ts'

/** How often a connection may break without a byte in between. */
const maxCuts = 4

/** An image of a registry. */
export function openRegistrySource(reference: ImageReference, options: PlaceOptions): ImageSource {
  const { signal } = options
  const registry = options.registry()
  const byDigest = ({ digest }: Descriptor): ImageReference => ({ ...reference, tag: undefined, digest })
  const resolve = () => registry.resolve(reference, { signal })
  return {
    label: familiarName(reference),
    repository: reference,
    resolve,
    images: async () => [{ root: (await resolve()).descriptor, names: [] }],
    async document(descriptor) {
      const { bytes, descriptor: found } = await registry.resolve(byDigest(descriptor), { signal })
      assertSize(reference, descriptor, found)
      return bytes
    },
    blob: (descriptor): BlobSource => ({
      openRange: (offset) =>
        Readable.from(fetchAll(registry, reference, { descriptor, offset, signal }), { objectMode: false }),
      download: (sink, transfer) => registry.downloadBlob(reference, descriptor, sink, transfer),
    }),
    referrers: (subject) => registry.referrers(byDigest(subject), { signal }),
    close: async () => {},
  }
}

function assertSize(reference: ImageReference, wanted: Descriptor, found: Descriptor): void {
  if (found.size === wanted.size) return
  throw new UserError(
    'ERR_SIZE_MISMATCH',
    `Cannot use image "${familiarName(reference)}": ${wanted.digest} has ${found.size} bytes, and its descriptor says ${wanted.size}`,
  )
}

/** The bytes of a blob from an offset on; a connection that breaks is taken up where it broke. */
async function* fetchAll(
  registry: RegistryClient,
  reference: ImageReference,
  {
    descriptor,
    offset,
    signal,
  }: { readonly descriptor: Descriptor; readonly offset: number; readonly signal: AbortSignal | undefined },
): AsyncGenerator<Buffer> {
  let at = offset
  for (let cuts = 0; ; cuts++) {
    try {
      for await (const chunk of await registry.fetchBlob(reference, descriptor, { offset: at, signal })) {
        at += chunk.length
        cuts = 0
        yield chunk
      }
      if (at >= descriptor.size) return
    } catch (error) {
      // What the client says itself has been tried often enough.
      if (isBuildError(error) || signal?.aborted === true || cuts >= maxCuts) throw error
    }
    if (cuts >= maxCuts)
      throw new EnvironmentError(
        'ERR_REGISTRY_UNREACHABLE',
        `Cannot pull ${familiarName(reference)}: ${descriptor.digest} ends after ${at} of ${descriptor.size} bytes`,
      )
  }
}

/** A name in a registry. */
export function openRegistryTarget(reference: ImageReference, options: PlaceOptions): ImageTarget {
  const { signal } = options
  const registry = options.registry()
  const byDigest = ({ digest }: Descriptor): ImageReference => ({ ...reference, tag: undefined, digest })
  const put = async (target: ImageReference, { descriptor, bytes }: ImageDocument) =>
    void (await registry.putManifest(target, bytes, descriptor.mediaType, { signal }))
  return {
    label: familiarName(reference),
    async putBlob(descriptor, source, { from, onBytes }) {
      const isNear = from !== undefined && from.registry === reference.registry
      const outcome = await registry.uploadBlob(reference, descriptor, source.openRange, {
        mountFrom: isNear ? [from.repository] : [],
        signal,
        onProgress: onBytes,
      })
      return outcome === 'uploaded' ? 'sent' : outcome
    },
    async putDocument(document) {
      const there = await registry.resolveDescriptor(byDigest(document.descriptor), { signal })
      if (there === undefined) await put(byDigest(document.descriptor), document)
    },
    async name(document) {
      const { digest } = document.descriptor
      if (reference.digest !== undefined && reference.digest !== digest)
        throw new UserError(
          'ERR_DIGEST_MISMATCH',
          `Cannot push ${familiarName(reference)}: the image has the digest ${digest}`,
          { hints: ['A name with a digest takes that image and no other; leave the digest out.'] },
        )
      await put(reference, document)
    },
    commit: async () => {},
    abort: async () => {},
  }
}
