import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { check, type Tsbuild, tsbuildWith } from '../support/tsbuild.ts'
import { addBusybox, openWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(() => {
  workspace = openWorkspace('disk-full')
})
afterAll(() => workspace?.remove())

/** Runs `use` with a store on an ext4 file system of 48 MiB. */
async function onSmallDisk(use: (tsbuild: Tsbuild) => Promise<void>): Promise<void> {
  const image = workspace.path('disk.img')
  const mountPoint = workspace.path('disk')
  mkdirSync(mountPoint)
  await check('truncate', ['--size', '48M', image])
  await check('/sbin/mkfs.ext4', ['-q', '-m', '0', image])
  await check('mount', ['-o', 'loop', image, mountPoint])
  try {
    const tsbuild = tsbuildWith(join(mountPoint, 'store'))
    await addBusybox({ ...workspace, tsbuild })
    await use(tsbuild)
  } finally {
    await check('umount', [mountPoint])
  }
}

describe('a full disk', () => {
  it('gets a clear error, and the store works again when there is room', async (t) => {
    needs(t, 'root', 'loop devices')
    await onSmallDisk(async (tsbuild) => {
      const big = workspace.context('big', { Dockerfile: 'FROM busybox:test\nCOPY big /big\n' })
      await check('dd', ['if=/dev/urandom', `of=${join(big, 'big')}`, 'bs=1M', 'count=80', 'status=none'])
      const copied = await tsbuild.run(['--progress', 'plain', big])
      expect(copied.stderr).toContain('[ERR_STORE_NO_SPACE]')
      expect(copied.code).toBe(3)
      expect(readdirSync(join(tsbuild.root, 'v1/ingest'))).toEqual([])

      const writing = workspace.context('writing', {
        Dockerfile: 'FROM busybox:test\nRUN dd if=/dev/urandom of=/big bs=1M count=80\n',
      })
      const written = await tsbuild.run(['--progress', 'plain', writing])
      expect(written.stderr).toContain('No space left on device')
      expect(written.code).toBe(1)

      const small = workspace.context('small', {
        Dockerfile: 'FROM busybox:test\nRUN echo fits > /file\nCMD ["cat", "/file"]\n',
      })
      await tsbuild.check(['-q', '-t', 'small:1.0', small])
      expect(await tsbuild.check(['run', 'small:1.0'])).toBe('fits\n')
    })
  })
})
