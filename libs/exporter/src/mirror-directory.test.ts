import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { mirrorDirectory } from './mirror-directory.ts'

let folder: string
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outputs-mirror-'))
  const place = folder
  onTestFinished(() => rmSync(place, { recursive: true }))
})

const fill = (text: string) => async (fresh: string) => {
  mkdirSync(join(fresh, 'd'))
  writeFileSync(join(fresh, 'd/file'), text)
}

describe('mirrorDirectory()', () => {
  it('makes the directory, and holds afterwards what was written and nothing else', async () => {
    const dest = join(folder, 'new/deep')
    await mirrorDirectory(dest, fill('first'))
    writeFileSync(join(dest, 'd/other'), '')
    mkdirSync(join(dest, 'e/f'), { recursive: true })
    mkdirSync(join(dest, '.tsbuild-0123456789ab.tmp/left'), { recursive: true })
    await mirrorDirectory(dest, fill('second'))
    expect(readdirSync(dest, { recursive: true })).toEqual(['d', join('d', 'file')])
    expect(readFileSync(join(dest, 'd/file'), 'utf8')).toBe('second')
  })

  it('follows no link, and stays the same directory', async () => {
    const dest = join(folder, 'dest')
    const elsewhere = join(folder, 'elsewhere')
    for (const path of [dest, elsewhere]) mkdirSync(path)
    writeFileSync(join(elsewhere, 'kept'), '')
    symlinkSync(elsewhere, join(dest, 'd'))
    const { ino } = statSync(dest)
    await mirrorDirectory(dest, fill('text'))
    expect(readdirSync(elsewhere)).toEqual(['kept'])
    expect(statSync(dest).ino).toBe(ino)
    expect(statSync(join(dest, 'd')).isDirectory()).toBe(true)
  })

  it('leaves everything as it was when writing fails', async () => {
    const dest = join(folder, 'dest')
    await mirrorDirectory(dest, fill('first'))
    const failing = async (fresh: string) => {
      await fill('second')(fresh)
      throw new Error('the disk is gone')
    }
    await expect(mirrorDirectory(dest, failing)).rejects.toThrow('the disk is gone')
    expect(readdirSync(dest, { recursive: true })).toEqual(['d', join('d', 'file')])
    expect(readFileSync(join(dest, 'd/file'), 'utf8')).toBe('first')
  })
})
