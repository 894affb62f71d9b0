import { resolve } from 'node:path'
import { type Digest, verifyingStream } from '@tsbuild/digest'
import { isBuildError, UserError } from '@tsbuild/errors'
import {
  familiarName,
  formatReference,
  type ImageReference,
  maxDocumentBytes,
  parseManifestOrIndex,
  parseReference,
} from '@tsbuild/oci'
import { registryPlace, type SignaturePlace } from '@tsbuild/signature'
import type { Store } from '@tsbuild/store'
import {
  formatImagePlace,
  type ImagePlace,
  type ImageSource,
  localName,
  openSource,
  parseImagePlace,
} from '@tsbuild/transfer'
import { placeOptions } from './image-calls.ts'
import type { Machine } from './machine.ts'

/** Where an image is verified, and what it is called in messages and reports. */
export interface SignedPlace {
  readonly place: SignaturePlace
  readonly reference: ImageReference
  readonly label: string
  /** The name for these bytes. */
  readonly named: (digest: Digest) => string
}

/**
 * Finds where an image and what is beside it are: a registry, the local list (`store:NAME`) or a layout (`oci:DIR[:TAG]`,
 * `oci-archive:FILE[:TAG]`). In the last two a signature is what `tsbuild copy` brought there: a referrer, or an image under
 * cosign's tag.
 *
 * @throws {UserError} `ERR_REFERENCE_INVALID`; `ERR_UNSUPPORTED` for archives of docker, which have no manifests
 */
export function signedPlace(
  machine: Machine,
  image: string,
  options: { readonly cwd?: string | undefined; readonly signal?: AbortSignal | undefined },
): SignedPlace {
  const where = parseImagePlace(image)
  const open = (other: ImagePlace) => openSource(other, placeOptions(machine, options))
  switch (where.type) {
    case 'registry':
      return {
        place: registryPlace(machine.registry(), options.signal),
        reference: where.reference,
        label: familiarName(where.reference),
        named: namedIn(where.reference),
      }
    case 'store': {
      const reference = parseReference(localName(where.name))
      const label = `store:${familiarName(reference)}`
      return { place: storePlace(machine.store, open), reference, label, named: namedIn(reference) }
    }
    case 'oci':
    case 'oci-archive': {
      const { type, path, name: tag, digest } = where
      if (path === '-')
        throw new UserError('ERR_UNSUPPORTED', 'Cannot verify an archive from standard input', {
          hints: ['It is read more than once. Name a file.'],
        })
      // A layout has no repositories: this one stands for it, and is never shown.
      const reference = { registry: 'layout', repository: resolve(options.cwd ?? '/', path), tag, digest }
      const sourceOf = (wanted: ImageReference) => {
        const { tag: name, digest: exact } = wanted
        if (exact !== undefined) return open({ type, path, digest: exact })
        return open(name === undefined ? { type, path } : { type, path, name })
      }
      const named = (found: Digest) => formatImagePlace({ type, path, digest: found })
      return { place: sourcePlace(sourceOf), reference, label: formatImagePlace(where), named }
    }
    default:
      throw new UserError(
        'ERR_UNSUPPORTED',
        `Cannot verify "${image}": what is signed are manifests, and it has none`,
      )
  }
}

function namedIn({ registry, repository }: ImageReference): SignedPlace['named'] {
  return (digest) => formatReference({ registry, repository, digest })
}

/** The local list, and what lies in the store without a name. */
function storePlace(
  { images, blobs }: Store,
  open: (place: ImagePlace) => Promise<ImageSource>,
): SignaturePlace {
  const resolveIn = async (reference: ImageReference) => {
    const digest = reference.digest ?? (await images.get(formatReference(reference)))?.digest
    const size = digest === undefined ? undefined : await blobs.size(digest)
    if (digest === undefined || size === undefined) return undefined
    const bytes = await blobs.read(digest, maxDocumentBytes)
    const parsed = parseManifestOrIndex(bytes)
    const { mediaType } = parsed.type === 'index' ? parsed.index : parsed.manifest
    return { descriptor: { mediaType, digest, size }, bytes }
  }
  return {
    resolve: resolveIn,
    read: async (_reference, { digest, size }) => await blobs.read(digest, size),
    async referrers(reference) {
      const subject = await resolveIn(reference)
      if (subject === undefined) return []
      const source = await open({ type: 'store', name: subject.descriptor.digest })
      try {
        return await source.referrers(subject.descriptor)
      } finally {
        await source.close()
      }
    },
  }
}

/** Reads as from a registry. A source is opened for each question: they are few. */
function sourcePlace(open: (reference: ImageReference) => Promise<ImageSource>): SignaturePlace {
  const using = async <T>(
    reference: ImageReference,
    use: (source: ImageSource) => Promise<T>,
  ): Promise<T> => {
    const source = await open(reference)
    try {
      return await use(source)
    } finally {
      await source.close()
    }
  }
  return {
    async resolve(reference) {
      try {
        return await using(reference, (source) => source.resolve())
      } catch (error) {
        if (isBuildError(error) && error.code === 'ERR_IMAGE_NOT_FOUND') return undefined
        throw error
      }
    },
    read: (reference, blob) =>
      using(reference, async (source) => {
        const verified = verifyingStream(blob, `blob ${blob.digest}`)
        const bytes = source.blob(blob).openRange(0)
        bytes.once('error', (error) => verified.destroy(error))
        const chunks: Buffer[] = []
        for await (const chunk of bytes.pipe(verified)) chunks.push(chunk)
        return Buffer.concat(chunks)
      }),
    referrers: (reference) =>
      using(reference, async (source) => await source.referrers((await source.resolve()).descriptor)),
  }
}
