import { rmSync } from 'node:fs'
import { digestBytes } from '@tsbuild/digest'
import { type Descriptor, mediaTypes, serializeIndex, serializeManifest } from '@tsbuild/oci'
import { openStore, type Store } from '@tsbuild/store'
import { storeOptions, temporaryStore } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { verifyStore } from './verify-store.ts'

const verify = (root: string, repair = false) =>
  verifyStore({
    root,
    repair,
    open: () => openStore(storeOptions(root)),
    native: { content: async () => [], diff: () => Promise.reject(new Error('no layer is asked for')) },
    uid: process.getuid?.() ?? 0,
    now: () => 1_700_000_000_000,
    signal: new AbortController().signal,
  })

async function put({ blobs }: Store, bytes: Buffer, mediaType: string): Promise<Descriptor> {
  await blobs.put(bytes)
  return { mediaType, digest: digestBytes(bytes), size: bytes.length }
}

/** A manifest that is no image: its config says nothing of layers. */
async function artifact(store: Store): Promise<{ root: Descriptor; layer: Descriptor }> {
  const layer = await put(store, Buffer.from('payload'), 'application/octet-stream')
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    artifactType: 'application/vnd.test',
    config: await put(store, Buffer.from('{}'), mediaTypes.ociEmpty),
    layers: [layer],
    annotations: {},
  })
  return { root: await put(store, manifest, mediaTypes.ociManifest), layer }
}

describe('checkImages()', () => {
  it('knows what is no image, alone and in an index', async () => {
    const store = await temporaryStore()
    const { root } = await artifact(store)
    const index = serializeIndex({ mediaType: mediaTypes.ociIndex, manifests: [root], annotations: {} })
    await store.images.set(['host.test/artifact:1'], root)
    await store.images.set(['host.test/index:1'], await put(store, index, mediaTypes.ociIndex))
    await store.close()
    expect(await verify(store.root)).toMatchObject({ sound: true, checked: { images: 2 } })
  })

  it('looks at images without a name too, and takes one out that is not whole', async () => {
    const store = await temporaryStore()
    const { root, layer } = await artifact(store)
    await store.images.keep(root)
    await store.close()
    expect(await verify(store.root)).toMatchObject({ sound: true, checked: { images: 1 } })
    rmSync(store.blobs.path(layer.digest))
    const report = await verify(store.root)
    expect(report).toMatchObject({
      sound: false,
      findings: [{ kind: 'image', problem: expect.stringContaining(root.digest), loses: 'work' }],
    })
    expect(await verify(store.root, true)).toMatchObject({ sound: true })
    const again = await openStore(storeOptions(store.root))
    expect(again.images.all()).toEqual([])
    await again.close()
  })
})
