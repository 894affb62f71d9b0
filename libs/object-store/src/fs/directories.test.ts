import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Directories } from './directories.ts'

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tsbuild-directories-'))
  mkdirSync(join(root, 'a'))
})
afterEach(() => {
  vi.restoreAllMocks()
  rmSync(root, { recursive: true })
})

it('goes on after a directory that could not be opened, as for want of descriptors', async () => {
  const directories = new Directories(root, 'full')
  // No other way to keep it from being opened works for root.
  writeFileSync(join(root, 'file'), '')
  await expect(directories.sync(join(root, 'file'))).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
  await directories.sync(join(root, 'a'))
})

it('believes no sync after one that failed', async () => {
  const directories = new Directories(root, 'full')
  const probe = await open(root)
  const failure = Object.assign(new Error('EIO'), { code: 'EIO', syscall: 'fsync' })
  const sync = vi.spyOn(Object.getPrototypeOf(probe), 'sync').mockRejectedValueOnce(failure)
  await probe.close()
  await expect(directories.sync(join(root, 'a'))).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
  await expect(directories.sync(join(root, 'a'))).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
  expect(sync).toHaveBeenCalledTimes(1)
})
