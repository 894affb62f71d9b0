import { lstatSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { replaceBy, syncDirectory } from './durable-files.ts'
import { outputFailure } from './output-failure.ts'
import { temporaryDirectory } from './testing/temporary-store.ts'

describe('replaceBy()', () => {
  it('puts what was made in the place of a link, and leaves what the link leads to', async () => {
    const folder = temporaryDirectory('replace-')
    const path = join(folder, 'a')
    writeFileSync(join(folder, 'other'), 'other')
    symlinkSync('other', path)
    await replaceBy(path, (temporary) => writeFile(temporary, 'new', { flag: 'wx' }))
    expect([readFileSync(path, 'utf8'), lstatSync(path).isSymbolicLink()]).toEqual(['new', false])
    expect(readFileSync(join(folder, 'other'), 'utf8')).toBe('other')
  })

  it('leaves what was there, and nothing else, where it fails', async () => {
    const folder = temporaryDirectory('replace-')
    const path = join(folder, 'a')
    writeFileSync(path, 'old')
    const half = async (temporary: string) => {
      await writeFile(temporary, 'ha')
      throw new RangeError('half')
    }
    await expect(replaceBy(path, half)).rejects.toThrow('half')
    mkdirSync(join(folder, 'full'))
    writeFileSync(join(folder, 'full/x'), '')
    await expect(replaceBy(join(folder, 'full'), (name) => writeFile(name, ''))).rejects.toMatchObject({
      code: 'EISDIR',
    })
    expect([readFileSync(path, 'utf8'), readdirSync(folder).sort()]).toEqual(['old', ['a', 'full']])
  })
})

describe('syncDirectory()', () => {
  it('refuses what is no directory', async () => {
    const folder = temporaryDirectory('sync-')
    writeFileSync(join(folder, 'a'), '')
    await syncDirectory(folder)
    await expect(syncDirectory(join(folder, 'a'))).rejects.toMatchObject({ code: 'ENOTDIR' })
  })
})

describe('outputFailure()', () => {
  it.each([
    ['ENOSPC', 'ERR_STORE_NO_SPACE', 'the disk is full'],
    ['EDQUOT', 'ERR_STORE_NO_SPACE', 'the quota of the disk is used up'],
    ['EROFS', 'ERR_OUTPUT', 'its file system is read-only'],
    ['EIO', 'ERR_OUTPUT', 'EIO: it failed'],
  ])('says %s as %s', (errno, code, why) => {
    const cause = Object.assign(new Error(`${errno}: it failed`), { code: errno })
    expect(outputFailure(cause, 'Cannot write "o"')).toMatchObject({
      ...{ code, cause, kind: 'environment', message: `Cannot write "o": ${why}` },
    })
  })

  it('gives back what has no code', () => {
    const bug = new TypeError('x')
    expect(outputFailure(bug, 'Cannot write "o"')).toBe(bug)
  })
})
