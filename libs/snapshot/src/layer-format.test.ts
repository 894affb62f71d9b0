import { describe, expect, it } from 'vitest'
import { layerFormat, layerMediaType } from './index.ts'

describe('layerFormat()', () => {
  it.each([
    ['application/vnd.oci.image.layer.v1.tar', 'none'],
    ['application/vnd.oci.image.layer.v1.tar+gzip', 'gzip'],
    ['application/vnd.oci.image.layer.v1.tar+zstd', 'zstd'],
    ['application/vnd.oci.image.layer.nondistributable.v1.tar+gzip', 'gzip'],
    ['application/vnd.docker.image.rootfs.diff.tar', 'none'],
    ['application/vnd.docker.image.rootfs.diff.tar.gzip', 'gzip'],
    ['application/vnd.docker.image.rootfs.diff.tar.zstd', 'zstd'],
    ['application/vnd.docker.image.rootfs.foreign.diff.tar.gzip', 'gzip'],
  ])('reads %s as %s', (mediaType, format) => {
    expect(layerFormat(mediaType)).toBe(format)
  })

  it.each(['application/octet-stream', 'application/vnd.oci.image.layer.v1.tar+bzip2', ''])(
    'throws ERR_UNSUPPORTED for "%s"',
    (mediaType) => {
      expect(() => layerFormat(mediaType)).toThrow(
        expect.objectContaining({ kind: 'user', code: 'ERR_UNSUPPORTED' }),
      )
    },
  )

  it.each(['none', 'gzip', 'zstd'] as const)('undoes layerMediaType() of %s', (format) => {
    expect(layerFormat(layerMediaType(format))).toBe(format)
  })
})
