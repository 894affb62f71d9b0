import { UserError } from '@tsbuild/errors'
import { mediaTypes } from '@tsbuild/oci'
import { layerFormat, layerMediaType } from '@tsbuild/snapshot'
import type { ImageForm } from './types.ts'

/** Docker's names of what OCI calls otherwise. */
const dockerTypes: ReadonlyMap<string, string> = new Map([
  [mediaTypes.ociManifest, mediaTypes.dockerManifest],
  [mediaTypes.ociIndex, mediaTypes.dockerManifestList],
  [mediaTypes.ociConfig, mediaTypes.dockerConfig],
  [mediaTypes.ociLayer, mediaTypes.dockerLayer],
  [mediaTypes.ociLayerGzip, mediaTypes.dockerLayerGzip],
  [mediaTypes.ociNonDistributableLayer, mediaTypes.dockerForeignLayer],
  [mediaTypes.ociNonDistributableLayerGzip, mediaTypes.dockerForeignLayerGzip],
])

/**
 * The name of a document or layer in the types of an image.
 * @param ociType the name that OCI gives it
 * @throws {UserError} `ERR_UNSUPPORTED` for a layer that Docker's types have no name for
 */
export function typeIn(types: ImageForm['mediaTypes'], ociType: string): string {
  if (types === 'oci') return ociType
  const name = dockerTypes.get(ociType)
  if (name !== undefined) return name
  throw new UserError(
    'ERR_UNSUPPORTED',
    `Cannot write an image of Docker's media types: a layer is ${ociType}`,
    {
      hints: [
        'Leave `oci-mediatypes=false` out, or compress every layer with `compression=gzip,force-compression=true`.',
      ],
    },
  )
}

/**
 * What a layer of a base image is called in an image: the same bytes under OCI's name, since a manifest is either Docker's or OCI's
 * and never mixed, and as one that may be distributed.
 *
 * @throws {UserError} `ERR_UNSUPPORTED`
 */
export function baseLayerType(
  written: string,
  { mediaTypes: types, preferNonDistributable }: ImageForm,
): string {
  const format = layerFormat(written)
  const isForeign = /nondistributable|\.foreign\./.test(written)
  const name = layerMediaType(format)
  return typeIn(types, isForeign && preferNonDistributable ? nonDistributable(name) : name)
}

function nonDistributable(ociType: string): string {
  return ociType.replace('.layer.v1.', '.layer.nondistributable.v1.')
}
