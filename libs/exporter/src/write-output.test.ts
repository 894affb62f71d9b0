import { execFileSync } from 'node:child_process'
import {
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { PassThrough, Readable, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { assertOutputPlace, outputError, writeOutput } from './write-output.ts'

let directory: string
let dest: string
beforeEach(() => {
  directory = temporaryDirectory()
  dest = join(directory, 'out.tar')
})

const writing =
  (...chunks: readonly string[]) =>
  (out: Writable) =>
    pipeline(Readable.from(chunks), out, { end: false })
const openFiles = () =>
  readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(directory)
    } catch {
      return false
    }
  })

describe('writeOutput()', () => {
  it('writes the file whole, and nothing else', async () => {
    await writeOutput(dest, writing('a', 'b'))
    expect([readFileSync(dest, 'utf8'), readdirSync(directory)]).toEqual(['ab', ['out.tar']])
  })

  it('keeps what was there until the new file is complete', async () => {
    writeFileSync(dest, 'old')
    const seen: string[] = []
    await writeOutput(dest, async (out) => {
      await writing('new')(out)
      seen.push(readFileSync(dest, 'utf8'))
    })
    expect([seen, readFileSync(dest, 'utf8')]).toEqual([['old'], 'new'])
  })

  it('keeps what was there, closes everything and leaves nothing else when writing fails', async () => {
    writeFileSync(dest, 'old')
    const failure = new Error('no more')
    const failing = async (out: Writable) => {
      await writing('ne')(out)
      throw failure
    }
    await expect(writeOutput(dest, failing)).rejects.toBe(failure)
    expect([readFileSync(dest, 'utf8'), readdirSync(directory)]).toEqual(['old', ['out.tar']])
    expect(openFiles()).toEqual([])
  })

  it('leaves nothing when writing fails before its first byte', async () => {
    await expect(writeOutput(dest, () => Promise.reject(new Error('never began')))).rejects.toThrow(
      'never began',
    )
    expect(readdirSync(directory)).toEqual([])
  })

  it('writes through a symlink and leaves it one', async () => {
    symlinkSync('real.tar', dest)
    writeFileSync(join(directory, 'real.tar'), 'old')
    await writeOutput(dest, writing('new'))
    expect(lstatSync(dest).isSymbolicLink()).toBe(true)
    expect(readFileSync(join(directory, 'real.tar'), 'utf8')).toBe('new')
  })

  it('writes into what is no file instead of taking its place', async () => {
    execFileSync('mkfifo', [dest])
    const reader = readPipe(dest)
    await writeOutput(dest, writing('through', ' the pipe'))
    expect(await reader).toBe('through the pipe')
    expect(lstatSync(dest).isFIFO()).toBe(true)
    expect(readdirSync(directory)).toEqual(['out.tar'])
  })

  it.each([
    ['its directory is missing', 'missing/out.tar', 'its directory does not exist'],
    ['its directory is a file', 'file/out.tar', 'a part of its path is no directory'],
    ['it is a directory', 'folder', 'it is a directory, a file is wanted'],
  ])('throws ERR_OUTPUT when %s', async (_, name, reason) => {
    mkdirSync(join(directory, 'folder'))
    writeFileSync(join(directory, 'file'), '')
    await expect(writeOutput(join(directory, name), writing('a'))).rejects.toMatchObject({
      kind: 'environment',
      code: 'ERR_OUTPUT',
      message: expect.stringContaining(reason),
    })
    expect(readdirSync(directory).toSorted()).toEqual(['file', 'folder'])
  })

  it('throws ERR_STORE_NO_SPACE when the disk is full', async () => {
    await expect(writeOutput('/dev/full', writing('a'))).rejects.toMatchObject({
      kind: 'environment',
      code: 'ERR_STORE_NO_SPACE',
      message: 'Cannot write "/dev/full": the disk is full',
    })
    expect(lstatSync('/dev/full').isCharacterDevice()).toBe(true)
  })

  it('does not end a stream of the caller', async () => {
    const out = new PassThrough()
    await writeOutput(out, writing('a'))
    expect([out.writableEnded, out.read().toString()]).toEqual([false, 'a'])
  })
})

async function readPipe(path: string): Promise<string> {
  const { createReadStream } = await import('node:fs')
  const chunks: Buffer[] = []
  for await (const chunk of createReadStream(path)) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

describe('outputError()', () => {
  it.each(['ENOSPC', 'EDQUOT'])('calls %s a full disk', (code) => {
    expect(outputError('o', Object.assign(new Error('x'), { code }))).toMatchObject({
      code: 'ERR_STORE_NO_SPACE',
    })
  })

  it('lets what is no failure of the disk pass', () => {
    const bug = new TypeError('a bug')
    expect(outputError('o', bug)).toBe(bug)
  })
})

describe('assertOutputPlace()', () => {
  it.each([
    ['a file where a directory is wanted', 'file', 'directory', 'it is no directory'],
    ['a directory where a file is wanted', 'folder', 'file', 'it is a directory, a file is wanted'],
    ['a file without its directory', 'missing/out.tar', 'file', 'its directory does not exist'],
    ['a path through a file', 'file/out', 'directory', 'a part of its path is no directory'],
  ] as const)('throws ERR_OUTPUT for %s', async (_, name, kind, reason) => {
    mkdirSync(join(directory, 'folder'))
    writeFileSync(join(directory, 'file'), '')
    await expect(assertOutputPlace(join(directory, name), kind)).rejects.toMatchObject({
      code: 'ERR_OUTPUT',
      message: expect.stringContaining(reason),
    })
  })

  it.each([
    ['file', 'file'],
    ['new.tar', 'file'],
    ['folder', 'directory'],
    ['new/deep', 'directory'],
  ] as const)('takes %s as a %s and makes nothing', async (name, kind) => {
    mkdirSync(join(directory, 'folder'))
    writeFileSync(join(directory, 'file'), '')
    await assertOutputPlace(join(directory, name), kind)
    expect(readdirSync(directory).toSorted()).toEqual(['file', 'folder'])
  })
})
