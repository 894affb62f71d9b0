import { Readable } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { maxDocumentBytes, mediaTypes, readDocument } from './index.ts'

const describeBytes = (bytes: Buffer) => ({
  mediaType: mediaTypes.ociConfig,
  digest: digestBytes(bytes),
  size: bytes.length,
})

describe('readDocument()', () => {
  it('gives verified bytes', async () => {
    const bytes = Buffer.from('{}')
    expect(await readDocument(() => Readable.from([bytes]), describeBytes(bytes))).toEqual(bytes)
  })

  it('lets go of a source whose bytes are wrong or too many, and passes its failures on', async () => {
    const wanted = describeBytes(Buffer.from('{}'))
    const endless = new Readable({
      read() {
        this.push(Buffer.alloc(65536, ' '))
      },
    })
    const closed = new Promise<void>((resolve) => endless.once('close', resolve))
    await expect(readDocument(() => endless, wanted)).rejects.toMatchObject({ code: 'ERR_SIZE_MISMATCH' })
    await closed
    await expect(readDocument(() => Readable.from([Buffer.from('[]')]), wanted)).rejects.toMatchObject({
      code: 'ERR_DIGEST_MISMATCH',
    })
    const fault = new Error('cut')
    const cut = new Readable({
      read() {
        this.destroy(fault)
      },
    })
    await expect(readDocument(() => cut, wanted)).rejects.toBe(fault)
  })

  it('opens nothing that is said to be more than 4 MiB', async () => {
    const wanted = { ...describeBytes(Buffer.from('{}')), size: maxDocumentBytes + 1 }
    const open = () => expect.unreachable('it was opened')
    await expect(readDocument(open, wanted)).rejects.toMatchObject({ code: 'ERR_MANIFEST_INVALID' })
  })
})
