import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestHex } from '@tsbuild/digest'
import { temporaryStore } from '@tsbuild/store/testing'
import { onTestFinished } from 'vitest'
import { cacheOpeners } from '../openers.ts'
import { describeCache } from '../testing/contract.ts'

describeCache('a directory', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'lazy-local-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const dest = join(folder, 'cache')
  const registry = () => {
    throw new Error('no registry has anything to do with it')
  }
  const tools = { store: await temporaryStore(), registry, now: () => 1_700_000_000_000, builder: 'test' }
  return {
    importer: () => cacheOpeners.importer({ type: 'local', src: dest }, tools),
    exporter: (using) => cacheOpeners.exporter({ type: 'local', dest, mode: 'max' }, tools, using),
    lose: async ({ digest }) => rmSync(join(dest, 'blobs/sha256', digestHex(digest))),
  }
})
