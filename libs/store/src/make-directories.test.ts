import { mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { makeDirectories } from './make-directories.ts'

describe('makeDirectories()', () => {
  let root = ''
  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'tsbuild-directories-'))
  })
  afterEach(() => rmSync(root, { recursive: true }))

  it('makes what is missing with the mode, and leaves what is there', async () => {
    await makeDirectories(join(root, 'a/b'), 0o700)
    await makeDirectories(join(root, 'a/b/c'))
    await makeDirectories(join(root, 'a/b'))
    expect(statSync(join(root, 'a/b')).mode & 0o777).toBe(0o700)
    expect(statSync(join(root, 'a/b/c')).isDirectory()).toBe(true)
  })

  it('goes through a link to a directory', async () => {
    symlinkSync(root, join(root, 'link'))
    await makeDirectories(join(root, 'link/a'))
    expect(statSync(join(root, 'a')).isDirectory()).toBe(true)
  })

  it('ends where nothing can be made though the directory above is there', async () => {
    await expect(makeDirectories('/proc/tsbuild/a')).rejects.toMatchObject({
      code: 'ENOENT',
      path: '/proc/tsbuild',
    })
  })

  it.each(['file', 'nowhere'])('refuses a name that a %s has', async (name) => {
    writeFileSync(join(root, 'file'), '')
    symlinkSync('missing', join(root, 'nowhere'))
    await expect(makeDirectories(join(root, name))).rejects.toMatchObject({ code: 'EEXIST' })
  })
})
