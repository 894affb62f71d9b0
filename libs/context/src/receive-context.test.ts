import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { gzipSync } from 'node:zlib'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { describe, expect, it } from 'vitest'
import { archiveName, inspectFile, receiveContext } from './index.ts'

const shown = 'standard input'
const { signal } = new AbortController()
const archive = gzipSync(Buffer.alloc(300_000, 'incompressible? no'))
const pieces = (bytes: Buffer, size: number) =>
  Readable.from(
    Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    ),
  )

describe('receiveContext()', () => {
  it.each([1, 511, 65_536])(
    'receiveContext() keeps an archive that comes in pieces of %i bytes',
    async (size) => {
      const directory = temporaryDirectory()
      const bytes = size === 1 ? archive.subarray(0, 2000) : archive
      expect(await receiveContext(pieces(bytes, size), directory, { shown, signal })).toEqual({
        kind: 'archive',
      })
      expect(readFileSync(join(directory, archiveName)).equals(bytes)).toBe(true)
    },
  )

  it.each(['', 'FROM scratch\n', 'FROM scratch\n'.repeat(10_000)])(
    'receiveContext() takes anything else for a Dockerfile',
    async (text) => {
      const directory = temporaryDirectory()
      expect(await receiveContext(pieces(Buffer.from(text), 700), directory, { shown, signal })).toEqual({
        kind: 'dockerfile',
        text,
      })
    },
  )

  it('receiveContext() gives up a text that does not end', async () => {
    const endless = Readable.from(
      (function* () {
        for (;;) yield Buffer.alloc(2 ** 20, '#')
      })(),
    )
    await expect(receiveContext(endless, temporaryDirectory(), { shown, signal })).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_DOCKERFILE_SYNTAX',
      message: expect.stringContaining('standard input'),
    })
  })

  it('receiveContext() stops to wait when the build is cancelled', async () => {
    const abort = new AbortController()
    const silent = new PassThrough()
    const received = receiveContext(silent, temporaryDirectory(), { shown, signal: abort.signal })
    abort.abort()
    await expect(received).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    expect(silent.destroyed).toBe(true)
  })
})

describe('inspectFile()', () => {
  it('inspectFile() tells an archive from a Dockerfile, and reads no archive', async () => {
    const path = join(temporaryDirectory(), 'file')
    await writeFile(path, archive)
    expect(await inspectFile(path, 'a URL')).toEqual({ kind: 'archive' })
    await writeFile(path, 'FROM scratch\n')
    expect(await inspectFile(path, 'a URL')).toEqual({ kind: 'dockerfile', text: 'FROM scratch\n' })
    await writeFile(path, Buffer.alloc(16 * 2 ** 20 + 1, '#'))
    await expect(inspectFile(path, 'a URL')).rejects.toMatchObject({ code: 'ERR_DOCKERFILE_SYNTAX' })
  })
})
