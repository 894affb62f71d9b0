import { join } from 'node:path'
import { type FakeRegistry, replyError, startFakeRegistry } from '@tsbuild/registry/testing'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { copyImage, parseImagePlace } from './index.ts'
import { type Blobs, layoutFiles, makeImage, named, writeTree } from './testing/made-images.ts'
import { openTestPlaces, type TestPlaces } from './testing/place-options.ts'

let places: TestPlaces
let registry: FakeRegistry
beforeEach(async () => {
  places = await openTestPlaces()
  registry = await startFakeRegistry()
})
afterEach(async () => {
  await places.remove()
  await registry.stop()
})

describe('copyImage() to a registry that loses a blob before it gets the manifest (REGF-09)', () => {
  /** Copies an image; its first layer is collected as garbage so many times. */
  async function copyLosing(times: number) {
    const blobs: Blobs = new Map()
    const image = makeImage(blobs, ['one', 'two'])
    writeTree(join(places.folder, 'a'), layoutFiles(blobs, [named(image, 'app')]))
    registry.fault({
      method: 'PUT',
      path: /\/manifests\//,
      times,
      act: ({ response }) => {
        const [lost = ''] = registry.blobs.keys()
        registry.blobs.delete(lost)
        replyError(response, 400, 'MANIFEST_BLOB_UNKNOWN')
      },
    })
    const to = parseImagePlace(`${registry.host}/app:1`)
    return { image, blobs, copied: copyImage(parseImagePlace('oci:a'), to, places.options) }
  }

  it('sends it again, and nothing else', async () => {
    const { image, blobs, copied } = await copyLosing(1)
    expect((await copied).root.digest).toBe(image.digest)
    // A manifest is no blob of the registry's.
    expect(registry.blobs.size).toBe(blobs.size - 1)
    const sent = registry.requests.filter(({ method, path }) => method === 'PUT' && path.includes('digest='))
    expect(sent).toHaveLength(blobs.size)
  })

  it('does so once', async () => {
    const { copied } = await copyLosing(9)
    await expect(copied).rejects.toMatchObject({ details: { codes: ['MANIFEST_BLOB_UNKNOWN'] } })
    const put = registry.requests.filter(
      ({ method, path }) => method === 'PUT' && path.includes('/manifests/'),
    )
    expect(put).toHaveLength(2)
  })
})
