import { closeSync, openSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import type { Digest } from '@tsbuild/digest'
import type { Native, Part } from '@tsbuild/native'
import { realHelper } from '@tsbuild/native/testing'
import { type ArchivePart, type Descriptor, writeArchiveParts } from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'
import { temporaryDirectory, temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { isWorthHelper, standardOutput, writeArchive } from './write-archive.ts'

const { signal } = new AbortController()

let store: Store
let directory: string
let dest: string
let parts: readonly ArchivePart[]
let blobs: readonly Descriptor[]
beforeEach(async () => {
  store = await temporaryStore()
  directory = temporaryDirectory()
  dest = join(directory, 'out.tar')
  const put = async (bytes: Buffer) => ({ mediaType: 'm', ...(await store.blobs.put(bytes)) })
  blobs = [await put(Buffer.from('small')), await put(Buffer.alloc(3_000_001, 'large'))]
  const bytes = (length: number) => ({ kind: 'bytes', bytes: Buffer.alloc(length, `${length}`) }) as const
  const all = blobs.map((blob) => ({ kind: 'blob', blob }) as const)
  parts = [bytes(512), ...all.slice(0, 1), bytes(200_000), ...all.slice(1), bytes(1024)]
})

/** What the same parts are without the helper. */
async function expected(): Promise<Buffer> {
  const out = new PassThrough()
  const open = (digest: Digest) =>
    store.blobs.stream(blobs.find((blob) => blob.digest === digest) ?? { digest, size: 0 })
  const [bytes] = await Promise.all([
    buffer(out),
    writeArchiveParts(out, parts, open, { signal }).then(() => out.end()),
  ])
  return bytes
}

describe('writeArchive()', () => {
  it('writes what writeArchiveParts() writes', async (test) => {
    await writeArchive({ store, native: realHelper(test) }, parts, dest, signal)
    expect(readFileSync(dest).equals(await expected())).toBe(true)
    expect(readdirSync(directory)).toEqual(['out.tar'])
  })

  it('writes to a descriptor from its position on, one for appending too', async (test) => {
    const native = realHelper(test)
    for (const flags of ['w', 'a']) {
      writeFileSync(dest, '')
      const fd = openSync(dest, flags)
      writeFileSync(fd, 'before')
      await writeArchive({ store, native }, parts, fd, signal)
      closeSync(fd)
      expect(readFileSync(dest).equals(Buffer.concat([Buffer.from('before'), await expected()]))).toBe(true)
    }
  })

  it.for([
    ['other bytes', (path: string) => writeFileSync(path, Buffer.alloc(3_000_001, 'x'))],
    ['another length', (path: string) => writeFileSync(path, 'x')],
  ] as const)('refuses a blob of %s, puts it away, and keeps what was there', async ([, damage], test) => {
    const native = realHelper(test)
    writeFileSync(dest, 'old')
    const { digest } = blobs[1] ?? { digest: '' as Digest }
    damage(store.blobs.path(digest))
    await expect(writeArchive({ store, native }, parts, dest, signal)).rejects.toMatchObject({
      code: 'ERR_STORE_CORRUPT',
    })
    expect([readFileSync(dest, 'utf8'), readdirSync(directory)]).toEqual(['old', ['out.tar']])
    expect(await store.blobs.size(digest)).toBeUndefined()
  })

  it('says what is wrong with the place', async (test) => {
    const native = realHelper(test)
    const written = (place: string) => writeArchive({ store, native }, parts, place, signal)
    await expect(written('/dev/full')).rejects.toMatchObject({
      code: 'ERR_STORE_NO_SPACE',
      message: 'Cannot write "/dev/full": the disk is full',
    })
    await expect(written(join(directory, 'none/out.tar'))).rejects.toMatchObject({ code: 'ERR_OUTPUT' })
  })

  it('cuts bytes into parts that a request can hold', async () => {
    const asked: Part[][] = []
    const concat: Native['concat'] = (given) => {
      asked.push([...given])
      return Promise.resolve(0)
    }
    await writeArchive({ store, native: { concat } as Partial<Native> as Native }, parts, dest, signal)
    const inline = (asked[0] ?? []).flatMap((part) => (part.kind === 'inline' ? [part.data] : []))
    const lengths = inline.map((data) => Buffer.from(data, 'base64').length)
    expect(lengths).toEqual([512, 65536, 65536, 65536, 3392, 1024])
  })
})

describe('isWorthHelper()', () => {
  it('counts the bytes of blobs', () => {
    const of = (size: number): ArchivePart => ({ kind: 'blob', blob: { ...blobs[0], size } as Descriptor })
    expect([[], [of(9e6)], [of(9e6), of(9e6)]].map(isWorthHelper)).toEqual([false, false, true])
  })
})

describe('standardOutput()', () => {
  it('is the descriptor of standard output alone, and only while nothing waits in its stream', () => {
    const stream = (fd: number) => Object.assign(new PassThrough(), { fd })
    expect([standardOutput(stream(1)), standardOutput(stream(4)), standardOutput(new PassThrough())]).toEqual(
      [1, undefined, undefined],
    )
    const busy = stream(1)
    busy.cork()
    busy.write('x')
    expect(standardOutput(busy)).toBeUndefined()
  })
})
