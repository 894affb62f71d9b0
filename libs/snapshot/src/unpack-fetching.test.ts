import { randomBytes } from 'node:crypto'
import { readdirSync, readFileSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import type { Native } from '@tsbuild/native'
import { realHelper } from '@tsbuild/native/testing'
import type { Store } from '@tsbuild/store'
import { temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { createSnapshotter, type FetchLayer } from './index.ts'
import { layerOf } from './testing/image-layer.ts'

const signal = new AbortController().signal

/** A layer with one file of 3 MiB, which gzip makes little smaller. */
const layer = (name: string) => layerOf(name, randomBytes(2.25 * 1024 * 1024).toString('base64'))

const one = layer('one')
const bytesOf = new Map<Digest, Buffer>([[one.digest, one.bytes]])
/** The file of the layer `one`, unpacked in a tree. */
const fileIn = (tree: string | undefined) => readFileSync(join(tree ?? '', 'one'), 'utf8')
const content = gunzipSync(one.bytes).toString('latin1', 512, 512 + 3 * 1024 * 1024)

let store: Store
let fetched: number
beforeEach(async () => {
  store = await temporaryStore()
  fetched = 0
})

/**
 * Writes a blob into the store in pieces, as a download does; `between` happens when half of it is there.
 *
 * @param change what is on the line instead of the blob
 */
function fetching(
  between: (watcher: Parameters<FetchLayer>[2], fd: number) => Promise<void> | void,
  change = (bytes: Buffer) => bytes,
): FetchLayer {
  return async ({ digest, size }, _, watcher) => {
    fetched++
    const bytes = change(bytesOf.get(digest) ?? Buffer.alloc(0))
    const ingest = await store.blobs.ingest()
    watcher?.begins(ingest.path)
    try {
      for (let at = 0; at < size; at += 65_536) {
        const length = writeSync(ingest.fd, bytes, at, Math.min(65_536, size - at), at)
        watcher?.grew(at + length)
        if (at < size / 2 && at + 65_536 >= size / 2) await between(watcher, ingest.fd)
        await new Promise((resolve) => setImmediate(resolve))
      }
      await ingest.commit({ digest, size })
    } catch (error) {
      await ingest.abort()
      throw error
    }
  }
}

/** The helper, and from what each layer was unpacked. */
function watching(native: Native) {
  const sources: string[] = []
  const applyStaged: Native['applyStaged'] = (request, from, options) => {
    sources.push(typeof from === 'number' ? 'store' : 'fetch')
    return native.applyStaged(request, from, options)
  }
  return { native: { ...native, applyStaged }, sources }
}

const snapshotNames = () => readdirSync(join(store.root, 'v1/snapshots'))

describe('Snapshotter.view() of a layer that is being fetched', () => {
  it('unpacks it meanwhile: the helper runs before the blob is whole', async (test) => {
    const { native, sources } = watching(realHelper(test))
    let runningAtHalf: string[] = []
    const fetch = fetching(async () => {
      while (sources.length === 0) await new Promise((resolve) => setImmediate(resolve))
      runningAtHalf = [...sources]
    })
    const { lower } = await createSnapshotter({ store, native, fetch }).view({ layers: [one] }, signal)
    expect(runningAtHalf).toEqual(['fetch'])
    expect(sources).toEqual(['fetch'])
    expect(fileIn(lower[0])).toBe(content)
    expect(await store.blobs.verify(one.digest)).toBe(true)
    expect(fetched).toBe(1)
  })

  const beginnings: readonly (readonly [string, Parameters<typeof fetching>[0]])[] = [
    [
      'wrong bytes came first',
      (watcher, fd) => {
        watcher?.restarts()
        writeSync(fd, one.bytes, 0, 100_000, 0)
      },
    ],
    ['it begins again', (watcher) => watcher?.begins('/nonexistent')],
  ]
  it.for(beginnings)('unpacks it from the store when %s', async ([, between], test) => {
    const { native, sources } = watching(realHelper(test))
    const fetch = fetching(between)
    const { lower } = await createSnapshotter({ store, native, fetch }).view({ layers: [one] }, signal)
    expect(sources.at(-1)).toBe('store')
    expect(fileIn(lower[0])).toBe(content)
    expect(snapshotNames()).toHaveLength(1)
  })

  it('commits nothing when the fetch fails in its middle, and asks no second time', async (test) => {
    const { native } = watching(realHelper(test))
    const failure = new UserError('ERR_DIGEST_MISMATCH', 'the registry lies')
    const fetch = fetching(() => Promise.reject(failure))
    const view = createSnapshotter({ store, native, fetch }).view({ layers: [one] }, signal)
    await expect(view).rejects.toBe(failure)
    expect([snapshotNames(), fetched]).toEqual([[], 1])
    expect(await store.blobs.size(one.digest)).toBeUndefined()
  })

  it('commits nothing of wrong bytes, wherever they were read, and fetches the layer again', async (test) => {
    const { native, sources } = watching(realHelper(test))
    const damage = (bytes: Buffer) => (fetched === 1 ? Buffer.from(bytes).fill(0, 500_000, 500_100) : bytes)
    const fetch = fetching(() => undefined, damage)
    const { lower } = await createSnapshotter({ store, native, fetch }).view({ layers: [one] }, signal)
    expect(fetched).toBe(2)
    expect(sources.at(-1)).toBe('store')
    expect(fileIn(lower[0])).toBe(content)
    expect(snapshotNames()).toHaveLength(1)
  })

  it('refuses a layer that is not what its config says, from the fetch and from the store', async (test) => {
    const { native, sources } = watching(realHelper(test))
    const wrong = { ...one, diffId: parseDiffId(digestBytes('other')) }
    const view = createSnapshotter({ store, native, fetch: fetching(() => undefined) }).view(
      { layers: [wrong] },
      signal,
    )
    await expect(view).rejects.toMatchObject({ code: 'ERR_DIFFID_MISMATCH' })
    expect([sources, snapshotNames()]).toEqual([['fetch', 'store'], []])
  })

  it('stops the helper when its signal fires', async (test) => {
    const controller = new AbortController()
    const fetch = fetching(() => {
      controller.abort()
      throw new UserError('ERR_CANCELLED', 'cancelled')
    })
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    await expect(snapshotter.view({ layers: [one] }, controller.signal)).rejects.toMatchObject({
      code: 'ERR_CANCELLED',
    })
    await expect.poll(snapshotNames).toEqual([])
  })
})

describe('Snapshotter.view() of several layers', () => {
  it('fetches six at a time, lowest first, and unpacks them in order', async (test) => {
    const layers = Array.from({ length: 9 }, (_, at) => layer(`file-${at}`))
    for (const { digest, bytes } of layers) bytesOf.set(digest, bytes)
    const begun: Digest[] = []
    let open = 0
    let most = 0
    const whole = fetching(() => undefined)
    const fetch: FetchLayer = async (wanted, aborted, watcher) => {
      begun.push(wanted.digest)
      most = Math.max(most, ++open)
      await whole(wanted, aborted, watcher)
      open--
    }
    const { lower } = await createSnapshotter({ store, native: realHelper(test), fetch }).view(
      { layers },
      signal,
    )
    expect(begun).toEqual(layers.map(({ digest }) => digest))
    expect(most).toBe(6)
    expect(lower.map((tree) => readdirSync(tree))).toEqual(layers.map((_, at) => [`file-${8 - at}`]))
  })

  it('fetches each once, also for two that are asked for at a time', async (test) => {
    const snapshotter = createSnapshotter({
      store,
      native: realHelper(test),
      fetch: fetching(() => undefined),
    })
    await Promise.all([
      snapshotter.view({ layers: [one] }, signal),
      snapshotter.view({ layers: [one] }, signal),
    ])
    expect(fetched).toBe(1)
  })

  it('gives up the others when one cannot be fetched', async (test) => {
    const two = layer('two')
    const failure = new UserError('ERR_IMAGE_NOT_FOUND', 'not there')
    let cancelled = false
    const fetch: FetchLayer = ({ digest }, aborted) =>
      digest === one.digest
        ? Promise.reject(failure)
        : new Promise((_, reject) => {
            const stop = () => {
              cancelled = true
              reject(new UserError('ERR_CANCELLED', 'cancelled'))
            }
            if (aborted.aborted) stop()
            else aborted.addEventListener('abort', stop, { once: true })
          })
    const snapshotter = createSnapshotter({ store, native: realHelper(test), fetch })
    await expect(snapshotter.view({ layers: [one, two] }, signal)).rejects.toBe(failure)
    await expect.poll(() => cancelled).toBe(true)
  })
})
