import { gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { isArchive } from './index.ts'

/** A tar header of a file, with its checksum as written. */
function header(write: (block: Buffer) => void = () => {}): Buffer {
  const block = Buffer.alloc(512)
  block.write('Dockerfile', 0)
  block.write('0000644\0', 100)
  block.write('ustar\0', 257)
  write(block)
  block.fill(' ', 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

describe('isArchive()', () => {
  it.each<[string, Buffer]>([
    ['gzip', gzipSync('anything')],
    ['bzip2', Buffer.from('BZh91AY&SY')],
    ['xz', Buffer.from([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00, 0x00])],
    ['zstd', Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00])],
    ['a tar', header()],
    ['a tar of before ustar', header((block) => block.fill(0, 257, 263))],
    ['a tar with a name of bytes above 127', header((block) => block.write('ü', 0))],
  ])('isArchive() knows %s', (_, head) => {
    expect(isArchive(head)).toBe(true)
  })

  it('isArchive() takes the checksum of old writers, who summed signed bytes', () => {
    const block = header((empty) => empty.write('ü', 0))
    const unsigned = Number.parseInt(block.toString('latin1', 148, 154), 8)
    // Two bytes above 127.
    block.write((unsigned - 512).toString(8).padStart(6, '0'), 148)
    expect(isArchive(block)).toBe(true)
  })

  it.each<[string, Buffer]>([
    ['nothing', Buffer.alloc(0)],
    ['a Dockerfile', Buffer.from('FROM scratch\n'.repeat(100))],
    ['a Dockerfile with a byte order mark', Buffer.from('\ufeffFROM scratch\n')],
    ['zeros', Buffer.alloc(1024)],
    ['a tar with a wrong checksum', header().fill('9', 148, 152)],
    ['a tar that changed', header().fill('x', 0, 1)],
    ['a tar that is cut short', header().subarray(0, 511)],
    ['the first byte of gzip', Buffer.from([0x1f])],
    ['bz and more', Buffer.from('BZ is no magic')],
  ])('isArchive() does not take %s for one', (_, head) => {
    expect(isArchive(head)).toBe(false)
  })
})
