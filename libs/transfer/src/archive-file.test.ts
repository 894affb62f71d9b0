import { execFileSync } from 'node:child_process'
import { closeSync, constants, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import type { Store } from '@tsbuild/store'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { isTooMuch, openArchiveFile, packingOfBytes } from './archive-file.ts'
import { makeTar } from './testing/make-tar.ts'

describe('isTooMuch()', () => {
  const gib = 2 ** 30
  it.each([
    [1000, gib, false],
    [1000, gib + 1, true],
    [gib / 100, 10 * gib, false],
    [gib / 100, 10 * gib + 1000, true],
    [200 * gib, 256 * gib, false],
    [200 * gib, 256 * gib + 1, true],
  ])('of %d bytes that become %d says %s', (packed, unpacked, wanted) => {
    expect(isTooMuch(packed, unpacked)).toBe(wanted)
  })
})

describe('packingOfBytes()', () => {
  it('knows archives by how they begin, also old ones without a mark', () => {
    const tar = makeTar([{ name: 'a', data: 'x' }])
    const old = Buffer.from(tar)
    old.fill(0, 257, 265)
    const sum = old
      .subarray(0, 512)
      .reduce((total, byte, at) => total + (at < 148 || at >= 156 ? byte : 32), 0)
    old.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
    expect([tar, old, Buffer.alloc(1024)].map(packingOfBytes)).toEqual(['none', 'none', 'none'])
    const others = ['1f8b08', '28b52ffd', 'fd377a585a00', '425a68', '', '7b7d'].map((hex) =>
      packingOfBytes(Buffer.from(hex, 'hex')),
    )
    expect(others).toEqual(['gzip', 'zstd', 'unknown', 'unknown', 'unknown', 'unknown'])
    old.write('7', 148)
    expect(packingOfBytes(old)).toBe('unknown')
  })
})

describe('openArchiveFile()', () => {
  let folder: string
  let pipe: string
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'tsbuild-pipe-'))
    pipe = join(folder, 'pipe')
    execFileSync('mkfifo', [pipe])
  })
  afterEach(() => rmSync(folder, { recursive: true }))

  const ingest = async () => ({ fd: -1, path: '', abort: async () => undefined })
  const store = { blobs: { ingest } } as unknown as Store
  const optionsWith = (signal: AbortSignal) => ({
    store,
    registry: () => Promise.reject(new Error('not wanted')) as never,
    cwd: '/',
    signal,
    stdin: new PassThrough(),
    stdout: new PassThrough(),
    writeOutput: () => Promise.reject(new Error('not wanted')),
  })

  it('refuses a directory', async () => {
    await expect(openArchiveFile(folder, optionsWith(new AbortController().signal))).rejects.toMatchObject({
      code: 'ERR_ARCHIVE_INVALID',
      message: `Cannot read ${folder}: it is a directory`,
    })
  })

  it('leaves a pipe that nobody writes to, when it is cancelled', async () => {
    const controller = new AbortController()
    const outcome = openArchiveFile(pipe, optionsWith(controller.signal))
    controller.abort(new Error('enough'))
    await expect(outcome).rejects.toThrow('enough')
  })

  it('leaves a pipe whose writer is silent, and a silent standard input, when it is cancelled', async () => {
    const writer = openSync(pipe, constants.O_RDWR)
    writeSync(writer, 'abc')
    for (const path of [pipe, '-']) {
      const controller = new AbortController()
      const outcome = openArchiveFile(path, optionsWith(controller.signal))
      setImmediate(() => controller.abort(new Error('enough')))
      await expect(outcome).rejects.toMatchObject({ name: expect.stringMatching(/^(?:Abort)?Error$/) })
    }
    closeSync(writer)
  })
})
