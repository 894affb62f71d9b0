import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { type FsStoreOptions, openFsStore } from '../fs/open-fs-store.ts'
import type { OpenObjectStore } from '../types.ts'

/** A directory that goes when the test ends. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'tsbuild-objects-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** Options as the server gives them; durability is `none` if not given, which is faster. */
export function fsStoreOptions(root: string, changes: Partial<FsStoreOptions> = {}): FsStoreOptions {
  return {
    root,
    now: Date.now,
    randomId: () => randomBytes(16).toString('hex'),
    durability: 'none',
    ...changes,
  }
}

/** A store in a directory of its own, which ends with the test. */
export async function temporaryFsStore(changes: Partial<FsStoreOptions> = {}): Promise<OpenObjectStore> {
  const store = await openFsStore(fsStoreOptions(temporaryDirectory(), changes))
  onTestFinished(() => store.close())
  return store
}
