import { Readable } from 'node:stream'
import type { CachedBlobRef } from '@tsbuild/snapshot'
import { temporaryStore } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { chainOf } from '../testing/contract.ts'
import type { CacheImporter } from '../types.ts'
import { fetchCached } from './fetch-cached.ts'
import { createGuard } from './guard.ts'

const chain = chainOf(['a'])
const signal = new AbortController().signal

function blobIn(...places: readonly string[]): CachedBlobRef {
  const [layer] = chain.steps[0]?.layers ?? []
  if (layer?.kind !== 'cached' || layer.blobs[0] === undefined) throw new Error('there is no layer')
  return { ...layer.blobs[0], kind: 'cached-blob', layer: { ...layer, places } }
}

const [bytes = Buffer.alloc(0)] = [...chain.bytesOf.values()]
const warnings: string[] = []

/** An importer that answers each request for a blob in another way. */
function place(name: string, answer: (offset: number, request: number) => Readable | undefined) {
  const offsets: number[] = []
  const importer: CacheImporter = {
    name,
    plan: async () => [],
    find: async () => [],
    openBlob: async (_, __, offset) => answer(offset, offsets.push(offset)),
    close: async () => {},
  }
  return {
    importer,
    offsets,
    guard: createGuard(name, 'from', { warn: (text) => warnings.push(text), required: false }),
  }
}

const cut = (part: Buffer) =>
  Readable.from(
    (function* () {
      yield part
      throw new Error('connection reset')
    })(),
  )

/** Brings some bytes, and then neither more nor an end. */
function stopping(part: Buffer): Readable {
  const stream = new Readable({ read() {} })
  if (part.length > 0) stream.push(part)
  return stream
}

describe('fetchCached()', () => {
  it('takes up again where a connection broke', async () => {
    const store = await temporaryStore()
    const from = place('one', (offset, request) =>
      request < 3 ? cut(bytes.subarray(offset, offset + 10_000)) : Readable.from([bytes.subarray(offset)]),
    )
    await fetchCached({ store, importers: [from] }, blobIn('one'), signal)
    expect(from.offsets).toEqual([0, 10_000, 20_000])
    expect((await store.blobs.read(blobIn().digest)).equals(bytes)).toBe(true)
  })

  it('tries the next place where one has other bytes, more, fewer, or none; and tells who watches', async () => {
    const answers: Record<string, Readable | undefined> = {
      other: Readable.from([Buffer.alloc(bytes.length, 1)]),
      more: Readable.from([bytes, Buffer.from('more')]),
      none: undefined,
    }
    for (const [what, answer] of Object.entries(answers)) {
      const store = await temporaryStore()
      const [bad, good] = [place('bad', () => answer), place('good', () => Readable.from([bytes]))]
      const told: string[] = []
      const watcher = {
        begins: () => told.push('begins'),
        grew: () => {},
        restarts: () => void told.push('restarts'),
      }
      warnings.length = 0
      await fetchCached({ store, importers: [bad, good] }, blobIn('bad', 'good'), signal, watcher as never)
      expect(await store.blobs.size(blobIn().digest), what).toBe(bytes.length)
      expect(told, what).toEqual(['begins', 'restarts', 'begins'])
      expect(warnings, what).toHaveLength(1)
    }
  })

  it('throws ERR_CACHE_LAYER and leaves nothing where no place has it, and asks no other', async () => {
    const store = await temporaryStore()
    const stranger = place('stranger', () => Readable.from([bytes]))
    const gone = place('gone', () => undefined)
    const fetching = fetchCached({ store, importers: [stranger, gone] }, blobIn('gone'), signal)
    await expect(fetching).rejects.toMatchObject({ code: 'ERR_CACHE_LAYER' })
    expect([stranger.offsets, await store.blobs.size(blobIn().digest)]).toEqual([[], undefined])
  })

  it('gives up on a connection that breaks again and again without bringing anything', async () => {
    const store = await temporaryStore()
    const broken = place('broken', () => cut(Buffer.alloc(0)))
    const fetching = fetchCached({ store, importers: [broken] }, blobIn('broken'), signal)
    await expect(fetching).rejects.toMatchObject({ code: 'ERR_CACHE_LAYER' })
    expect(broken.offsets).toEqual([0])
  })

  it('takes up again once where bytes stop, from where they did', async () => {
    const store = await temporaryStore()
    const from = place('slow', (offset, request) =>
      request === 1 ? stopping(bytes.subarray(0, 10_000)) : Readable.from([bytes.subarray(offset)]),
    )
    warnings.length = 0
    await fetchCached({ store, importers: [from], stallMs: 20 }, blobIn('slow'), signal)
    expect([from.offsets, warnings, from.guard.isAlive]).toEqual([[0, 10_000], [], true])
    expect((await store.blobs.read(blobIn().digest)).equals(bytes)).toBe(true)
  })

  it('gives a cache up that stops again, or brings nothing: no later layer waits for it', async () => {
    const opened: AbortSignal[] = []
    const silent = place('silent', () => stopping(Buffer.alloc(0)))
    const again = place('again', (offset) => stopping(bytes.subarray(offset, offset + 100)))
    for (const [one, offsets] of [
      [silent, [0]],
      [again, [0, 100]],
    ] as const) {
      const store = await temporaryStore()
      const { name, openBlob } = one.importer
      const importer: CacheImporter = {
        ...one.importer,
        openBlob: (layer, blob, offset, aborted) => {
          opened.push(aborted)
          return openBlob(layer, blob, offset, aborted)
        },
      }
      warnings.length = 0
      const options = { store, importers: [{ ...one, importer }], stallMs: 20 }
      for (const _ of ['first layer', 'next layer'])
        await expect(fetchCached(options, blobIn(name), signal)).rejects.toMatchObject({
          code: 'ERR_CACHE_LAYER',
        })
      expect(one.offsets, name).toEqual(offsets)
      expect(warnings).toEqual([`Cache "${name}" is not used any further: no bytes came for 0.02 s`])
    }
    expect(opened.map(({ aborted }) => aborted)).toEqual([true, true, true])
  })
})
