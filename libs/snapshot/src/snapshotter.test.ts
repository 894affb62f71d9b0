import { chmodSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { chainIdOf, digestBytes } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import type { Native } from '@tsbuild/native'
import { realHelper } from '@tsbuild/native/testing'
import { isSnapshotId, type SnapshotId, type Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it, vi } from 'vitest'
import { createSnapshotter, emptyFilesystem, type SnapshotterOptions, withLayer } from './index.ts'
import { type Layer, layerOf } from './testing/image-layer.ts'

const signal = new AbortController().signal
const gzip = { compression: { format: 'gzip', level: 6 }, clampMtime: null } as const

/** Both as root's layers of an image, lowest first. */
const [lower, upper] = [layerOf('etc', 'lower'), layerOf('motd', 'upper')]
const base = { layers: [lower, upper] }
const mkdir = { kind: 'mkdir', path: '/app', mode: 0o755, owner: null, mtime: null } as const

let store: Store
let fetched: string[]
beforeEach(async () => {
  store = await temporaryStore()
  fetched = []
})

const fetch: SnapshotterOptions['fetch'] = async (layer) => {
  fetched.push(layer.digest)
  await store.blobs.put((layer as Layer).bytes, { digest: layer.digest, size: layer.size })
}

/** The helper, with the operations that are counted. */
function counting(native: Native) {
  const applied: string[] = []
  const diffed: string[] = []
  const counted: Native = {
    ...native,
    applyStaged: (layer, fd, options) => {
      applied.push(layer.digest)
      return native.applyStaged(layer, fd, options)
    },
    diff: (request, fd, options) => {
      diffed.push(request.upper)
      return native.diff(request, fd, options)
    },
  }
  return { native: counted, applied, diffed }
}

/** What an operation without a layer finishes with. */
const nothing = { content: Promise.resolve(undefined), finished: Promise.resolve(undefined) }
const fail = () => Promise.reject(new Error('not to be called'))
/** For tests that reach no helper. */
const noHelper = { diff: fail } as Partial<Native> as Native

/** Directories of snapshots, committed or not. */
const snapshotNames = () => readdirSync(join(store.root, 'v1/snapshots'))

describe('Snapshotter.prepare()', () => {
  it('gives an empty writable root for FROM scratch, which can be committed', async () => {
    const snapshotter = createSnapshotter({ store, native: noHelper, fetch })
    const { id, root, finishing, commit } = await snapshotter.prepare(emptyFilesystem, signal)
    expect(root).toMatchObject({ lower: [], upper: store.snapshots.path(id) })
    expect(finishing).toEqual({
      finish: { content: true, layer: null, sync: store.durable },
      layerFd: undefined,
    })
    expect(store.snapshots.has(id)).toBe(false)
    await commit([], nothing)
    expect(store.snapshots.has(id)).toBe(true)
  })

  it('puts what was committed below what comes next, topmost first', async () => {
    const snapshotter = createSnapshotter({ store, native: noHelper, fetch })
    let filesystem = emptyFilesystem
    const uppers: string[] = []
    for (const createdAt of [1, 2]) {
      const { id, commit } = await snapshotter.prepare(filesystem, signal)
      await commit([], nothing)
      uppers.unshift(store.snapshots.path(id))
      filesystem = withLayer(filesystem, { kind: 'snapshot', id, createdAt })
    }
    expect((await snapshotter.prepare(filesystem, signal)).root.lower).toEqual(uppers)
    expect(await snapshotter.view(filesystem, signal)).toEqual({ lower: uppers, upper: null, work: null })
  })

  it('unpacks the layers of an image below it', async (test) => {
    const { native, applied } = counting(realHelper(test))
    const { root } = await createSnapshotter({ store, native, fetch }).prepare(base, signal)
    expect(root.lower.map((tree) => readdirSync(tree))).toEqual([['motd'], ['etc']])
    expect(readFileSync(join(root.lower[0] ?? '', 'motd'), 'utf8')).toBe('upper')
    expect(applied).toEqual([lower.digest, upper.digest])
  })

  it('unpacks the layers of an image that stands upon a step as it does without the step', async (test) => {
    const { native, applied } = counting(realHelper(test))
    const snapshotter = createSnapshotter({ store, native, fetch })
    const step = await snapshotter.prepare(emptyFilesystem, signal)
    await step.commit([], nothing)
    const layers = [{ kind: 'snapshot', id: step.id, createdAt: 1 } as const, ...base.layers]
    const merged = await snapshotter.view({ layers }, signal)
    const alone = await snapshotter.view(base, signal)
    expect(merged.lower).toEqual([...alone.lower, store.snapshots.path(step.id)])
    expect(applied).toEqual([lower.digest, upper.digest])
  })
})

describe('PreparedSnapshot', () => {
  it('has the layer of a step without a second pass, when it is committed', async (test) => {
    const { native, diffed } = counting(realHelper(test))
    const snapshotter = createSnapshotter({ store, native, fetch })
    const prepared = await snapshotter.prepare(emptyFilesystem, signal, gzip)
    await prepared.commit([], native.copy(prepared.root, [mkdir], prepared.finishing))
    const blob = await snapshotter.layerBlob(prepared.id, gzip, { signal })
    expect(digestBytes(gunzipSync(await store.blobs.read(blob.digest)))).toBe(blob.diffId)
    const later = createSnapshotter({ store, native, fetch })
    expect(await later.layerBlob(prepared.id, gzip, { signal })).toEqual(blob)
    expect(diffed).toEqual([])
  })

  it('keeps the content digest that the tree had', async (test) => {
    const native = realHelper(test)
    const snapshotter = createSnapshotter({ store, native, fetch })
    const contents: (string | undefined)[] = []
    for (const path of ['/a', '/b', '/a']) {
      const prepared = await snapshotter.prepare(emptyFilesystem, signal)
      await prepared.commit([], native.copy(prepared.root, [{ ...mkdir, path }], prepared.finishing))
      contents.push(store.snapshots.content(prepared.id))
      expect(await native.content([store.snapshots.path(prepared.id)])).toEqual(contents.slice(-1))
    }
    const [a, b, again] = contents
    expect(a).toMatch(/^sha256:/)
    expect([again, b === a]).toEqual([a, false])
  })

  it('commits nothing, and gives no layer, when the step fails to finish', async () => {
    const snapshotter = createSnapshotter({ store, native: noHelper, fetch })
    const prepared = await snapshotter.prepare(emptyFilesystem, signal, gzip)
    const blob = snapshotter.layerBlob(prepared.id, gzip, { signal })
    blob.catch(() => {})
    const failure = new Error('the disk is full')
    const following = { ...nothing, finished: Promise.reject(failure) }
    await expect(prepared.commit([], following)).rejects.toBe(failure)
    await expect(blob).rejects.toBe(failure)
    expect(store.snapshots.has(prepared.id)).toBe(false)
  })

  it('leaves nothing behind when it is released', async () => {
    const snapshotter = createSnapshotter({ store, native: noHelper, fetch })
    const ingest = () => readdirSync(join(store.root, 'v1/ingest'), { recursive: true })
    const before = ingest()
    const { release } = await snapshotter.prepare(emptyFilesystem, signal, gzip)
    await release()
    expect([snapshotNames(), ingest()]).toEqual([[], before])
  })
})

describe('Snapshotter.view()', () => {
  it('fetches and unpacks once for two callers at a time', async (test) => {
    const { native, applied } = counting(realHelper(test))
    const snapshotter = createSnapshotter({ store, native, fetch })
    const [one, two] = await Promise.all([snapshotter.view(base, signal), snapshotter.view(base, signal)])
    expect(one).toEqual(two)
    expect([applied, fetched]).toEqual([
      [lower.digest, upper.digest],
      [lower.digest, upper.digest],
    ])
  })

  it('unpacks once for two snapshotters over one store, as two processes have', async (test) => {
    const { native, applied } = counting(realHelper(test))
    const views = [0, 1].map(() => createSnapshotter({ store, native, fetch }).view(base, signal))
    const [one, two] = await Promise.all(views)
    expect(one).toEqual(two)
    expect(applied).toHaveLength(2)
  })

  it('commits a layer with its layer form: nothing that has a name is taken away again', async (test) => {
    const setLayer = vi.spyOn(store.snapshots, 'setLayer').mockRejectedValue(new Error('ENOSPC'))
    const view = await createSnapshotter({ store, native: realHelper(test), fetch }).view(base, signal)
    expect(setLayer).not.toHaveBeenCalled()
    const ids = view.lower.map((path) => basename(dirname(path)) as SnapshotId)
    expect(ids.map((id) => [store.snapshots.has(id), store.snapshots.layer(id)?.blobs[0]?.diffId])).toEqual([
      [true, upper.diffId],
      [true, lower.diffId],
    ])
  })

  it('finds what an earlier builder unpacked', async (test) => {
    const native = realHelper(test)
    const before = await createSnapshotter({ store, native, fetch }).view(base, signal)
    expect(await createSnapshotter({ store, native: noHelper, fetch: fail }).view(base, signal)).toEqual(
      before,
    )
  })

  it('unpacks one layer on different layers twice: what it means depends on those below', async (test) => {
    const { native, applied } = counting(realHelper(test))
    const snapshotter = createSnapshotter({ store, native, fetch })
    await snapshotter.view({ layers: [lower, upper] }, signal)
    await snapshotter.view({ layers: [upper] }, signal)
    expect(applied).toEqual([lower.digest, upper.digest, upper.digest])
    expect(fetched).toEqual([lower.digest, upper.digest])
  })

  it('leaves nothing behind when a fetch fails, and fetches again the next time', async (test) => {
    const native = realHelper(test)
    const failure = new Error('the line is dead')
    let dead = true
    const snapshotter = createSnapshotter({
      store,
      native,
      fetch: (layer, aborted) => (dead ? Promise.reject(failure) : fetch(layer, aborted)),
    })
    await expect(snapshotter.view(base, signal)).rejects.toBe(failure)
    expect(snapshotNames()).toEqual([])
    dead = false
    expect((await snapshotter.view(base, signal)).lower).toHaveLength(2)
  })

  it('leaves nothing behind when a layer has another diffID than its config says', async (test) => {
    const native = realHelper(test)
    const wrong = { ...lower, diffId: upper.diffId }
    const view = createSnapshotter({ store, native, fetch }).view({ layers: [wrong] }, signal)
    await expect(view).rejects.toMatchObject({ code: 'ERR_DIFFID_MISMATCH' })
    expect(snapshotNames()).toEqual([])
  })

  it('fetches a layer again whose blob was damaged on disk', async (test) => {
    const native = realHelper(test)
    await fetch(lower, signal)
    const path = store.blobs.path(lower.digest)
    chmodSync(path, 0o644)
    const bytes = readFileSync(path)
    bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1
    writeFileSync(path, bytes)
    const view = await createSnapshotter({ store, native, fetch }).view({ layers: [lower] }, signal)
    expect(readFileSync(join(view.lower[0] ?? '', 'etc'), 'utf8')).toBe('lower')
    expect(fetched).toEqual([lower.digest, lower.digest])
    expect(await store.blobs.verify(lower.digest)).toBe(true)
    expect(readdirSync(join(store.root, 'v1/quarantine'))).toHaveLength(1)
    expect(snapshotNames()).toHaveLength(1)
  })

  it('keeps the content digest of a layer that it unpacked, with its snapshot', async (test) => {
    const native = realHelper(test)
    const view = await createSnapshotter({ store, native, fetch }).view({ layers: [lower] }, signal)
    const [tree] = view.lower
    await store.close()
    const [id = ''] = snapshotNames()
    const content = isSnapshotId(id) ? store.snapshots.content(id) : undefined
    expect(content).toBeDefined()
    expect(await native.content([tree ?? ''])).toEqual([content])
  })

  /** The store, whose commits of layers wait for `go`; what was committed. */
  function slowStore(go: () => Promise<void>) {
    const committed: string[] = []
    const draft = async () => {
      const own = await store.snapshots.draft()
      const commit: typeof own.commit = async (records, options) => {
        await go()
        await own.commit(records, options)
        committed.push(own.id)
      }
      return { ...own, id: own.id, upper: own.upper, work: own.work, release: () => own.release(), commit }
    }
    const snapshots = new Proxy(store.snapshots, {
      get: (target, name) => (name === 'draft' ? draft : Reflect.get(target, name).bind(target)),
    })
    return { slow: { ...store, snapshots }, committed }
  }

  it('gives no layers before all are durable, and unpacks again what could not be made so', async (test) => {
    const native = realHelper(test)
    const failure = new Error('the disk is full')
    let full = true
    const { slow, committed } = slowStore(async () => {
      if (full) throw failure
      await new Promise((resolve) => setTimeout(resolve, 100))
    })
    const snapshotter = createSnapshotter({ store: slow, native, fetch })
    await expect(snapshotter.view(base, signal)).rejects.toBe(failure)
    full = false
    expect((await snapshotter.view(base, signal)).lower).toHaveLength(2)
    expect(committed).toHaveLength(2)
    // What was not committed ends with the session.
    await store.close()
    expect(snapshotNames().toSorted()).toEqual(committed.toSorted())
  })

  it('lets a step begin before the layers below it are durable, and commits it after them', async (test) => {
    const native = realHelper(test)
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    let gated = true
    const { slow, committed } = slowStore(async () => {
      if (gated) await gate
    })
    const snapshotter = createSnapshotter({ store: slow, native, fetch })
    const step = await snapshotter.prepare(base, signal)
    expect(step.root.lower.map((tree) => readdirSync(tree).length)).toEqual([1, 1])
    expect(committed).toEqual([])
    gated = false
    const done = step.commit([], native.copy(step.root, [mkdir], step.finishing))
    go()
    await done
    expect(committed).toHaveLength(3)
    expect(committed.at(-1)).toBe(step.id)
  })

  it('commits no step upon a layer that could not be made durable', async (test) => {
    const native = realHelper(test)
    const failure = new Error('the disk is full')
    const { slow, committed } = slowStore(() => Promise.reject(failure))
    const snapshotter = createSnapshotter({ store: slow, native, fetch })
    const step = await snapshotter.prepare({ layers: [lower] }, signal)
    // Its tree stays as long as somebody may have it mounted.
    expect(readFileSync(join(step.root.lower[0] ?? '', 'etc'), 'utf8')).toBe('lower')
    await expect(step.commit([], nothing)).rejects.toBe(failure)
    expect(committed).toEqual([])
  })

  it('does not give up the unpacking of one caller when another one is cancelled', async (test) => {
    const native = realHelper(test)
    const abort = new AbortController()
    let go = () => {}
    const gate = new Promise<void>((resolve) => {
      go = resolve
    })
    const snapshotter = createSnapshotter({
      store,
      native,
      fetch: async (layer, aborted) => {
        await gate
        if (aborted.aborted) throw new UserError('ERR_CANCELLED', 'cancelled')
        await fetch(layer, aborted)
      },
    })
    const cancelled = snapshotter.view(base, abort.signal)
    const other = snapshotter.view(base, signal)
    abort.abort()
    go()
    await expect(cancelled).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    expect((await other).lower).toHaveLength(2)
  })
})

describe('Snapshotter.adopt()', () => {
  it('makes a later image of the same layers find the snapshots of the build', async () => {
    const snapshotter = createSnapshotter({ store, native: noHelper, fetch: fail })
    const { id, commit } = await snapshotter.prepare(emptyFilesystem, signal)
    await commit([], nothing)
    const chain = chainIdOf([lower.diffId])
    if (chain === undefined) throw new Error('one layer has a chain')
    await snapshotter.adopt([{ chain, id, diffId: lower.diffId }])
    const view = await createSnapshotter({ store, native: noHelper, fetch: fail }).view(
      { layers: [lower] },
      signal,
    )
    expect(view.lower).toEqual([store.snapshots.path(id)])
  })

  it('does not take the place of what is unpacked already', async (test) => {
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    const before = await snapshotter.view({ layers: [lower] }, signal)
    const { id, commit } = await snapshotter.prepare(emptyFilesystem, signal)
    await commit([], nothing)
    const chain = chainIdOf([lower.diffId])
    if (chain === undefined) throw new Error('one layer has a chain')
    await snapshotter.adopt([{ chain, id, diffId: lower.diffId }])
    const after = createSnapshotter({ store, native: noHelper, fetch: fail })
    expect(await after.view({ layers: [lower] }, signal)).toEqual(before)
  })
})

describe('Snapshotter.layerBlob()', () => {
  async function committed(snapshotter: ReturnType<typeof createSnapshotter>) {
    const { id, commit } = await snapshotter.prepare(emptyFilesystem, signal)
    mkdirSync(join(store.snapshots.path(id), 'app'))
    writeFileSync(join(store.snapshots.path(id), 'app/data'), 'data')
    await commit([], nothing)
    return id
  }

  it('makes and stores the layer, with the digests of its bytes', async (test) => {
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    const id = await committed(snapshotter)
    const blob = await snapshotter.layerBlob(id, gzip, { signal })
    expect(blob.mediaType).toBe('application/vnd.oci.image.layer.v1.tar+gzip')
    const bytes = await store.blobs.read(blob.digest)
    expect([bytes.length, statSync(store.blobs.path(blob.digest)).size]).toEqual([blob.size, blob.size])
    expect(digestBytes(gunzipSync(bytes))).toBe(blob.diffId)
  })

  it('makes it once for two callers, and not again for the next process', async (test) => {
    const { native, diffed } = counting(realHelper(test))
    const snapshotter = createSnapshotter({ store, native, fetch })
    const id = await committed(snapshotter)
    const [one, two] = await Promise.all([0, 1].map(() => snapshotter.layerBlob(id, gzip, { signal })))
    const later = createSnapshotter({ store, native: noHelper, fetch })
    expect([two, await later.layerBlob(id, gzip, { signal })]).toEqual([one, one])
    expect(diffed).toHaveLength(1)
  })

  it('makes nothing of a step whose layer came to nothing, and no record of its tree', async () => {
    const snapshotter = createSnapshotter({ store, native: noHelper, fetch })
    const { id, commit } = await snapshotter.prepare(emptyFilesystem, signal, gzip)
    const killed = new Error('the helper was killed')
    const following = { ...nothing, finished: Promise.reject(killed) }
    await expect(commit([], following)).rejects.toThrow(killed)
    await expect(snapshotter.layerBlob(id, gzip, { signal })).rejects.toThrow(killed)
    const chain = chainIdOf([lower.diffId])
    if (chain === undefined) throw new Error('no chain')
    await snapshotter.adopt([{ chain, id, diffId: lower.diffId }])
    expect(readdirSync(join(store.root, 'v1/records'))).toEqual([])
  })

  it('makes one blob for each compression, of one diffID', async (test) => {
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    const id = await committed(snapshotter)
    const blobs = await Promise.all(
      (['none', 'gzip', 'zstd'] as const).map((format) =>
        snapshotter.layerBlob(id, { compression: { format, level: 3 }, clampMtime: null }, { signal }),
      ),
    )
    expect(new Set(blobs.map(({ diffId }) => diffId)).size).toBe(1)
    expect(new Set(blobs.map(({ digest }) => digest)).size).toBe(3)
    expect(blobs[0]?.digest).toBe(blobs[0]?.diffId)
  })

  it('makes one blob for each level and clamped time, and finds each again', async (test) => {
    const { native, diffed } = counting(realHelper(test))
    const snapshotter = createSnapshotter({ store, native, fetch })
    const id = await committed(snapshotter)
    const of = (format: 'gzip' | 'estargz', level: number, clampMtime: number | null) => ({
      compression: { format, level },
      clampMtime,
    })
    const forms = [of('gzip', 6, null), of('gzip', 0, null), of('gzip', 6, 1), of('estargz', 6, null)]
    const make = async (from: typeof snapshotter) =>
      await Promise.all(forms.map((form) => from.layerBlob(id, form, { signal })))
    const made = await make(snapshotter)
    expect(new Set(made.map(({ digest }) => digest)).size).toBe(4)
    const [plain, stored, clamped, estargz] = made.map(({ diffId }) => diffId)
    expect([stored === plain, clamped === plain, estargz === plain]).toEqual([true, false, false])
    expect(made.map(({ annotations }) => Object.keys(annotations ?? {}))).toEqual([
      [],
      [],
      [],
      ['containerd.io/snapshot/stargz/toc.digest', 'io.containers.estargz.uncompressed-size'],
    ])
    expect(await make(createSnapshotter({ store, native: noHelper, fetch }))).toEqual(made)
    expect(diffed).toHaveLength(4)
  })

  it('takes no blob of which nobody knows how it was written', async (test) => {
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    const id = await committed(snapshotter)
    const { diffId, mediaType } = lower
    const { digest, size } = await store.blobs.put(lower.bytes)
    await store.snapshots.setLayer(id, { blobs: [{ diffId, mediaType, digest, size, form: undefined }] })
    expect((await snapshotter.layerBlob(id, gzip, { signal })).digest).not.toBe(digest)
  })

  it('makes the blob again when it is gone from the store', async (test) => {
    const { native, diffed } = counting(realHelper(test))
    const snapshotter = createSnapshotter({ store, native, fetch })
    const id = await committed(snapshotter)
    const { diffId, mediaType, digest, size } = lower
    const form = { format: 'gzip.2', level: 6, clampMtime: null }
    await store.snapshots.setLayer(id, { blobs: [{ diffId, mediaType, digest, size, form }] })
    const blob = await snapshotter.layerBlob(id, gzip, { signal })
    expect(await store.blobs.size(blob.digest)).toBe(blob.size)
    expect(diffed).toHaveLength(1)
  })

  it('leaves no bytes behind when it fails, and tries again the next time', async () => {
    const failure = new Error('out of cheese')
    let calls = 0
    const diff: Native['diff'] = () => {
      calls++
      return Promise.reject(failure)
    }
    const snapshotter = createSnapshotter({ store, native: { diff } as Partial<Native> as Native, fetch })
    const id = await committed(snapshotter)
    const ingest = () => readdirSync(join(store.root, 'v1/ingest'), { recursive: true })
    const before = ingest()
    for (const _ of ['first', 'second'])
      await expect(snapshotter.layerBlob(id, gzip, { signal })).rejects.toBe(failure)
    expect(calls).toBe(2)
    expect(ingest()).toEqual(before)
  })
})
