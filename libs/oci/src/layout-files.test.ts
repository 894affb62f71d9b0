import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { readFile, rename, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openLayoutFile, readLayoutFile } from './layout-files.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tsbuild-layout-'))
})
afterEach(() => rmSync(root, { recursive: true }))

describe('openLayoutFile()', () => {
  it('opens a file that others put again and again, whole', async () => {
    const path = join(root, 'a')
    writeFileSync(path, 'x')
    const replacing = Array.from({ length: 300 }, async (_, number) => {
      await writeFile(`${path}${number}`, 'x')
      await rename(`${path}${number}`, path)
    })
    const reading = Array.from({ length: 300 }, async () => {
      const file = await openLayoutFile(root, 'a')
      try {
        return file === undefined ? undefined : await readFile(file, 'utf8')
      } finally {
        await file?.close()
      }
    })
    expect(new Set(await Promise.all(reading))).toEqual(new Set(['x']))
    await Promise.all(replacing)
  })

  it('finds nothing where there is nothing', async () => {
    writeFileSync(join(root, 'file'), '')
    expect(await openLayoutFile(root, 'a')).toBeUndefined()
    expect(await openLayoutFile(root, 'file/a')).toBeUndefined()
  })

  it.each([
    ['a link', 'link', 'is a link'],
    ['what is behind a link', 'folder-link/a', 'is reached through a link'],
    ['a directory', 'folder', 'is no regular file'],
  ])('refuses %s', async (_, name, why) => {
    mkdirSync(join(root, 'folder'))
    writeFileSync(join(root, 'folder/a'), '')
    symlinkSync('folder', join(root, 'folder-link'))
    symlinkSync('folder/a', join(root, 'link'))
    await expect(openLayoutFile(root, name, 'Cannot use "it"')).rejects.toMatchObject({
      code: 'ERR_ARCHIVE_INVALID',
      message: `Cannot use "it": ${name} ${why}`,
    })
  })
})

describe('readLayoutFile()', () => {
  it('refuses a file that is larger than a document', async () => {
    writeFileSync(join(root, 'index.json'), Buffer.alloc(4 * 1024 * 1024 + 1))
    await expect(readLayoutFile(root, 'index.json')).rejects.toMatchObject({ code: 'ERR_ARCHIVE_INVALID' })
  })
})
