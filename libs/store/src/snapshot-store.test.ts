import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { isSnapshotId } from './layout.ts'
import type { StoredForm } from './snapshot-types.ts'
import { temporaryStore } from './testing/temporary-store.ts'

const diffId = parseDiffId(digestBytes('tar'))
const form = (format: string, level = 6, clampMtime: number | null = null) => ({ format, level, clampMtime })
const blobOf = (name: string, written: StoredForm | undefined) => ({
  mediaType: `application/${name}`,
  digest: digestBytes(JSON.stringify([name, written])),
  size: 3,
  diffId,
  form: written,
})
const blob = (name: string) => blobOf(name, form(name))

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

  it('setLayer() adds blobs of other forms, and replaces one of the same', async () => {
    const { snapshots } = await temporaryStore()
    const draft = await snapshots.draft()
    await draft.commit([])
    expect(snapshots.layer(draft.id)).toBeUndefined()
    const forms = [form('gzip'), form('gzip', 9), form('gzip', 6, 5), form('estargz'), undefined]
    await Promise.all(
      forms.map((written) => snapshots.setLayer(draft.id, { blobs: [blobOf('gzip', written)] })),
    )
    const known = snapshots.layer(draft.id)?.blobs ?? []
    expect(known.map((one) => JSON.stringify(one.form)).toSorted()).toEqual(
      forms.map((one) => JSON.stringify(one)).toSorted(),
    )
    const fresh = {
      ...blob('gzip'),
      digest: digestBytes('fresh'),
      diffId: parseDiffId(digestBytes('other tar')),
    }
    await snapshots.setLayer(draft.id, { blobs: [fresh] })
    const others = known.filter((one) => JSON.stringify(one.form) !== JSON.stringify(form('gzip')))
    expect(snapshots.layer(draft.id)?.blobs).toEqual([...others, fresh])
    await snapshots.setLayer(draft.id, { blobs: [blobOf('gzip', undefined)] })
    expect(snapshots.layer(draft.id)?.blobs).toHaveLength(forms.length)
  })

  it('layer() reads what was written when all blobs had one diffID, and of no known form', async () => {
    const { snapshots, root } = await temporaryStore()
    const draft = await snapshots.draft()
    await draft.commit([])
    const { form: _, diffId: __, ...descriptor } = blob('gzip')
    const text = JSON.stringify({ diffId, blobs: [descriptor] })
    writeFileSync(join(root, 'v1', 'snapshots', draft.id, 'layer.json'), text)
    expect(snapshots.layer(draft.id)).toEqual({ blobs: [{ ...descriptor, diffId, form: undefined }] })
  })

  it('layer() keeps annotations and platform, and takes garbage for unknown', async () => {
    const { snapshots, root } = await temporaryStore()
    const draft = await snapshots.draft()
    const full = {
      ...blob('gzip'),
      annotations: { a: 'b' },
      platform: { os: 'linux', architecture: 'arm64', variant: 'v8', osVersion: '1' },
    }
    await snapshots.setLayer(draft.id, { blobs: [full] })
    expect(snapshots.layer(draft.id)).toEqual({ blobs: [full] })
    const path = join(root, 'v1', 'snapshots', draft.id, 'layer.json')
    const { size: _size, ...noSize } = blob('gzip')
    const { diffId: _diffId, ...noDiffId } = blob('gzip')
    const badForm = { ...blob('gzip'), form: { format: 'gzip', level: -1, clampMtime: null } }
    const lists = [noSize, noDiffId, badForm].map((one) => JSON.stringify({ blobs: [one] }))
    for (const text of ['', '{', '[]', '{"diffId":"sha256:0"}', ...lists]) {
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
