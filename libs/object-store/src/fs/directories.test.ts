import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { Directories } from './directories.ts'

const opened = vi.hoisted(() => ({ failure: undefined as Error | undefined }))
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof import('node:fs/promises')>()
  const open: typeof real.open = async (...given) => {
    if (opened.failure !== undefined) throw opened.failure
    return await real.open(...given)
  }
  return { ...real, open }
})

let root = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'tsbuild-directories-'))
  mkdirSync(join(root, 'a'))
})
afterEach(() => {
  opened.failure = undefined
  vi.restoreAllMocks()
  rmSync(root, { recursive: true })
})

const failing = (code: string) => Object.assign(new Error(code), { code, syscall: 'x' })

it('goes on once there are descriptors again', async () => {
  const directories = new Directories(root, 'full')
  opened.failure = failing('EMFILE')
  await expect(directories.sync(join(root, 'a'))).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
  opened.failure = undefined
  await directories.sync(join(root, 'a'))
})

it('believes no sync after one that failed', async () => {
  const directories = new Directories(root, 'full')
  const probe = await open(root)
  const sync = vi.spyOn(Object.getPrototypeOf(probe), 'sync').mockRejectedValueOnce(failing('EIO'))
  await probe.close()
  await expect(directories.sync(join(root, 'a'))).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
  await expect(directories.sync(join(root, 'a'))).rejects.toMatchObject({ code: 'ERR_STORE_IO' })
  expect(sync).toHaveBeenCalledTimes(1)
})
