import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { isSnapshotId } from './layout.ts'
import { temporaryStore } from './testing/temporary-store.ts'

const diffId = parseDiffId(digestBytes('tar'))
const blob = (name: string) => ({ mediaType: `application/${name}`, digest: digestBytes(name), size: 3 })

describe('DirectorySnapshotStore', () => {
  it('draft() makes directories that a commit keeps and a release deletes', async () => {
    const { snapshots } = await temporaryStore()
    const [kept, dropped] = [await snapshots.draft(), await snapshots.draft()]
    expect(isSnapshotId(kept.id)).toBe(true)
    expect(kept.upper).toBe(snapshots.path(kept.id))
    for (const { upper, work } of [kept, dropped]) {
      writeFileSync(join(upper, 'file'), 'x')
      expect(existsSync(work)).toBe(true)
    }
    expect(snapshots.has(kept.id)).toBe(false)
    await kept.commit([])
    await dropped.release()
    expect([snapshots.has(kept.id), snapshots.has(dropped.id)]).toEqual([true, false])
    expect([existsSync(join(kept.upper, 'file')), existsSync(dropped.upper)]).toEqual([true, false])
  })

  it('setLayer() adds blobs, and replaces what it knows of another tar', async () => {
    const { snapshots } = await temporaryStore()
    const draft = await snapshots.draft()
    await draft.commit([])
    expect(snapshots.layer(draft.id)).toBeUndefined()
    await snapshots.setLayer(draft.id, { diffId, blobs: [blob('gzip')] })
    await Promise.all([
      snapshots.setLayer(draft.id, { diffId, blobs: [blob('zstd')] }),
      snapshots.setLayer(draft.id, { diffId, blobs: [blob('gzip'), blob('plain')] }),
    ])
    const known = snapshots.layer(draft.id)
    expect(known?.diffId).toBe(diffId)
    expect(known?.blobs.map(({ mediaType }) => mediaType).toSorted()).toEqual([
      'application/gzip',
      'application/plain',
      'application/zstd',
    ])
    const other = { diffId: parseDiffId(digestBytes('other tar')), blobs: [blob('gzip')] }
    await snapshots.setLayer(draft.id, other)
    expect(snapshots.layer(draft.id)).toEqual(other)
  })

  it('layer() keeps annotations and platform, and takes garbage for unknown', async () => {
    const { snapshots, root } = await temporaryStore()
    const draft = await snapshots.draft()
    const full = {
      ...blob('gzip'),
      annotations: { a: 'b' },
      platform: { os: 'linux', architecture: 'arm64', variant: 'v8', osVersion: '1' },
    }
    await snapshots.setLayer(draft.id, { diffId, blobs: [full] })
    expect(snapshots.layer(draft.id)).toEqual({ diffId, blobs: [full] })
    const path = join(root, 'v1', 'snapshots', draft.id, 'layer.json')
    const noSize = { diffId, blobs: [{ mediaType: 'm', digest: digestBytes('x') }] }
    for (const text of ['', '{', '[]', '{"diffId":"sha256:0","blobs":[]}', JSON.stringify(noSize)]) {
      writeFileSync(path, text)
      expect(snapshots.layer(draft.id), text).toBeUndefined()
    }
  })

  it('content() is that of the commit, and undefined for garbage', async () => {
    const { snapshots, root } = await temporaryStore()
    const content = digestBytes('content')
    const [known, unknown] = [await snapshots.draft(), await snapshots.draft()]
    expect(snapshots.content(known.id)).toBeUndefined()
    await known.commit([], { content })
    await unknown.commit([])
    expect([snapshots.content(known.id), snapshots.content(unknown.id)]).toEqual([content, undefined])
    const path = join(root, 'v1', 'snapshots', known.id, 'snapshot.json')
    for (const text of ['', '{', 'null', '[]', '{"content":1}', '{"content":"sha256:0"}']) {
      writeFileSync(path, text)
      expect(snapshots.content(known.id), text).toBeUndefined()
    }
  })

  it('close() waits for a commit whose content digest is still being made', async () => {
    const store = await temporaryStore()
    const draft = await store.snapshots.draft()
    let found: (content: Digest) => void = () => {}
    const content = new Promise<Digest>((resolve) => {
      found = resolve
    })
    const committed = draft.commit([], { content })
    const closed = store.close()
    found(digestBytes('content'))
    await Promise.all([committed, closed])
    expect(store.snapshots.content(draft.id)).toBe(digestBytes('content'))
  })
})
