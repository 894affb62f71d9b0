import { digestBytes, parseDiffId } from '@tsbuild/digest'
import { expect, it } from 'vitest'
import { cachedLayerJson, parseCachedLayer } from './index.ts'

const layer = (mediaType: string, createdAt = 1) => ({
  kind: 'cached' as const,
  blobs: [
    { mediaType, digest: digestBytes('b'), size: 5, diffId: parseDiffId(digestBytes('d')), form: undefined },
  ],
  places: ['cache'],
  createdAt,
})

it.each([
  ['application/vnd.oci.image.layer.v1.tar+zstd', 1, true],
  ['application/vnd.docker.image.rootfs.diff.tar.gzip', 1, true],
  ['text/html', 1, false],
  ['application/vnd.oci.image.layer.v1.tar', Number.MAX_SAFE_INTEGER, false],
])('a layer of type %s made at %d can be used: %s', (mediaType, createdAt, isUsable) => {
  expect(parseCachedLayer(cachedLayerJson(layer(mediaType, createdAt))) !== undefined).toBe(isUsable)
})
