import { readdirSync, writeSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import type { BlobStore } from './types.ts'

const bytes = Buffer.from('the bytes of a blob')
const digest = digestBytes(bytes)
const inChunks = (text: Buffer | string) => Readable.from([...String(text)].map((char) => Buffer.from(char)))

/** What every {@link BlobStore} does, over a fresh store that the factory opens for each test. */
export function runBlobStoreContract(open: () => Promise<BlobStore>): void {
  describe('BlobStore', () => {
    it('put() returns digest and size and makes the blob readable, for bytes and for streams', async () => {
      const blobs = await open()
      expect(await blobs.size(digest)).toBeUndefined()
      expect(await blobs.put(bytes)).toEqual({ digest, size: bytes.length })
      const other = digestBytes('other')
      expect(await blobs.put(inChunks('other'))).toEqual({ digest: other, size: 5 })
      expect(await blobs.size(digest)).toBe(bytes.length)
      expect((await blobs.read(other)).toString()).toBe('other')
      expect(await readFile(blobs.path(digest))).toEqual(bytes)
    })

    it('put() of no bytes is a blob', async () => {
      const blobs = await open()
      expect(await blobs.put(Readable.from([]))).toEqual({ digest: digestBytes(''), size: 0 })
      expect(await blobs.read(digestBytes(''))).toHaveLength(0)
    })

    it('put() is idempotent, also when it is called many times at once', async () => {
      const blobs = await open()
      const all = await Promise.all(Array.from({ length: 20 }, () => blobs.put(inChunks(bytes), { digest })))
      expect(new Set(all.map((stored) => stored.digest))).toEqual(new Set([digest]))
      expect(await blobs.put(bytes)).toEqual({ digest, size: bytes.length })
      expect(readdirSync(dirname(blobs.path(digest)))).toHaveLength(1)
    })

    it.each([
      ['stream', (text: string) => inChunks(text)],
      ['bytes', (text: string) => Buffer.from(text)],
    ])('put() refuses a %s that is not the expected one', async (_, source) => {
      const blobs = await open()
      const expected = { digest, size: bytes.length }
      const wrong = source('THE bytes of a blob')
      await expect(blobs.put(wrong, expected)).rejects.toMatchObject({ code: 'ERR_DIGEST_MISMATCH' })
      for (const text of [`${bytes}more`, 'less']) {
        const put = blobs.put(source(text), expected)
        await expect(put).rejects.toMatchObject({ code: 'ERR_SIZE_MISMATCH', kind: 'user' })
      }
      expect(await blobs.size(digest)).toBeUndefined()
    })

    it.each([undefined, { digest }])(
      'put() passes a failure of the stream on, expecting %j',
      async (expected) => {
        const blobs = await open()
        const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET', syscall: 'read' })
        const failing = Readable.from(
          (async function* () {
            yield bytes
            throw reset
          })(),
        )
        await expect(blobs.put(failing, expected)).rejects.toBe(reset)
        expect(await blobs.size(digest)).toBeUndefined()
      },
    )

    it('put() does not read a stream whose blob is there', async () => {
      const blobs = await open()
      await blobs.put(bytes)
      const source = new Readable({ read: () => expect.unreachable('the stream was read') })
      expect(await blobs.put(source, { digest })).toEqual({ digest, size: bytes.length })
      expect(source.destroyed).toBe(true)
    })

    it('read() refuses more bytes than are wanted', async () => {
      const blobs = await open()
      await blobs.put(bytes)
      await expect(blobs.read(digest, 3)).rejects.toMatchObject({ code: 'ERR_SIZE_MISMATCH', kind: 'user' })
      expect(await blobs.read(digest, bytes.length)).toEqual(bytes)
    })

    it('ingest() names a file that somebody else wrote when it is committed', async () => {
      const blobs = await open()
      const ingest = await blobs.ingest()
      writeSync(ingest.fd, bytes)
      expect(await blobs.size(digest)).toBeUndefined()
      await ingest.commit({ digest, size: bytes.length })
      expect(await blobs.read(digest)).toEqual(bytes)
      await expect(readFile(ingest.path)).rejects.toMatchObject({ code: 'ENOENT' })
    })

    it('ingest() names nothing when it is aborted or its size is not the one verified', async () => {
      const blobs = await open()
      const aborted = await blobs.ingest()
      writeSync(aborted.fd, bytes)
      await aborted.abort()
      const short = await blobs.ingest()
      writeSync(short.fd, bytes.subarray(1))
      const commit = short.commit({ digest, size: bytes.length })
      await expect(commit).rejects.toMatchObject({ code: 'ERR_SIZE_MISMATCH' })
      expect(await blobs.size(digest)).toBeUndefined()
      for (const { path } of [aborted, short]) {
        await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' })
      }
    })
  })
}
