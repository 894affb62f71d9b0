import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { openStore } from '../open-store.ts'
import type { Store, StoreOptions } from '../types.ts'

/** A directory that goes when the test ends. */
export function temporaryDirectory(name = 'store-'): string {
  const directory = mkdtempSync(join(tmpdir(), `tsbuild-${name}`))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Options as the builder gives them, with trees deleted in this process and syncs that do nothing. */
export function storeOptions(root: string, changes: Partial<StoreOptions> = {}): StoreOptions {
  return {
    root,
    now: () => 1_700_000_000_000,
    randomId: () => randomBytes(16).toString('hex'),
    sync: async () => {},
    removeTrees: async (paths) => {
      for (const path of paths) rmSync(path, { recursive: true, force: true })
    },
    durability: 'full',
    ...changes,
  }
}

/** A store in a directory of its own, closed when the test ends. */
export async function temporaryStore(changes: Partial<StoreOptions> = {}): Promise<Store> {
  const store = await openStore(storeOptions(temporaryDirectory(), changes))
  onTestFinished(() => store.close())
  return store
}
