import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { emptyDirectory, enterDirectory, moveContents, settleTree } from './file-tree.ts'

let root: string
beforeEach(() => {
  root = temporaryDirectory('tree-')
})

const latin1 = Buffer.from([0x66, 0xe9])
const latin1Path = () => Buffer.concat([Buffer.from(`${root}/`), latin1])

describe('settleTree()', () => {
  it('gives modes that do not depend on the umask, one time, and does not follow symlinks', async () => {
    mkdirSync(join(root, 'd'))
    const outside = join(temporaryDirectory('outside-'), 'file')
    writeFileSync(outside, '')
    chmodSync(outside, 0o600)
    const before = lstatSync(outside).mtimeMs
    for (const [name, mode] of [
      ['d/private', 0o600],
      ['d/tool', 0o700],
      ['d/open', 0o666],
      ['d/set', 0o6755],
    ] as const) {
      writeFileSync(join(root, name), '')
      chmodSync(join(root, name), mode)
    }
    symlinkSync(outside, join(root, 'link'))
    chmodSync(join(root, 'd'), 0o700)
    await settleTree(root, 1_234_567_890.5)
    const mode = (name: string) => lstatSync(join(root, name)).mode & 0o7777
    expect(['', 'd', 'd/private', 'd/tool', 'd/open', 'd/set'].map(mode)).toEqual([
      0o755, 0o755, 0o644, 0o755, 0o644, 0o755,
    ])
    const time = (name: string) => lstatSync(join(root, name)).mtimeMs
    expect(['', 'd', 'd/tool', 'link'].map(time)).toEqual(Array(4).fill(1_234_567_890_500))
    expect(lstatSync(outside)).toMatchObject({ mtimeMs: before })
    expect(lstatSync(outside).mode & 0o777).toBe(0o600)
  })

  it('takes names that are no UTF-8', async () => {
    writeFileSync(latin1Path(), '')
    await settleTree(root, 5)
    expect(lstatSync(latin1Path()).mtimeMs).toBe(5000)
  })
})

describe('moveContents() and emptyDirectory()', () => {
  it('take everything, hidden names and names that are no UTF-8 too', async () => {
    writeFileSync(latin1Path(), '')
    writeFileSync(join(root, '.hidden'), '')
    symlinkSync('nowhere', join(root, 'link'))
    const target = temporaryDirectory('target-')
    await moveContents(root, target)
    expect(readdirSync(root)).toEqual([])
    expect(readdirSync(target, { encoding: 'buffer' })).toHaveLength(3)
    expect(readlinkSync(join(target, 'link'))).toBe('nowhere')
    await emptyDirectory(target)
    expect(readdirSync(target)).toEqual([])
  })
})

describe('enterDirectory()', () => {
  it.each([
    ['', ''],
    ['a/b', '/a/b'],
    ['a//b/', '/a/b'],
  ])('%j is a path of real directories', async (relative, path) => {
    mkdirSync(join(root, 'a/b'), { recursive: true })
    expect(await enterDirectory(root, relative)).toEqual({ path: `${root}${path}` })
  })

  it.each(['..', 'a/..', './a', 'f', 'f/x', 'l', 'l/b', 'nope'])('%j is not', async (relative) => {
    mkdirSync(join(root, 'a/b'), { recursive: true })
    writeFileSync(join(root, 'f'), '')
    symlinkSync('a', join(root, 'l'))
    expect(await enterDirectory(root, relative)).toEqual(expect.any(String))
  })
})
