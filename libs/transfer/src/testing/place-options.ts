import { randomBytes } from 'node:crypto'
import { createWriteStream, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Writable } from 'node:stream'
import { finished } from 'node:stream/promises'
import { createRegistryClient } from '@tsbuild/registry'
import { openStore, type Store } from '@tsbuild/store'
import type { PlaceOptions } from '../types.ts'

/** Places of one test: a folder and a store. */
export interface TestPlaces {
  readonly folder: string
  readonly store: Store
  readonly options: PlaceOptions
  /** What lies in the store's ingest: nothing, when nothing is under way. */
  readonly ingest: () => readonly string[]
  readonly remove: () => Promise<void>
}

/** Opens them. */
export async function openTestPlaces(): Promise<TestPlaces> {
  const folder = mkdtempSync(join(tmpdir(), 'tsbuild-transfer-'))
  const root = join(folder, 'store')
  const store = await openStore({
    root,
    now: () => 1_000_000,
    randomId: () => randomBytes(16).toString('hex'),
    sync: async () => {},
    removeTrees: async (paths) => {
      for (const path of paths) await rm(path, { recursive: true, force: true })
    },
    durability: 'none',
  })
  const client = createRegistryClient({ retry: { attempts: 2, baseDelayMs: 1 } })
  return {
    folder,
    store,
    options: { store, registry: () => client, cwd: folder, writeOutput },
    ingest: () =>
      readdirSync(join(root, 'v1/ingest'), { withFileTypes: true, recursive: true }).flatMap((entry) =>
        entry.isFile() && entry.name !== 'lock' ? [entry.name] : [],
      ),
    async remove() {
      await client.close()
      await store.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** A file that appears when it is whole; what the exporter's own does besides is tested there. */
async function writeOutput(dest: string | Writable, write: (out: Writable) => Promise<void>): Promise<void> {
  if (typeof dest !== 'string') return await write(dest)
  const out = createWriteStream(`${dest}.tmp`)
  try {
    await write(out)
    out.end()
    await finished(out)
    renameSync(`${dest}.tmp`, dest)
  } catch (error) {
    out.destroy()
    rmSync(`${dest}.tmp`, { force: true })
    throw error
  }
}
