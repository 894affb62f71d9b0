import { linkSync, lstatSync, renameSync, type Stats } from 'node:fs'
import { basename, join } from 'node:path'
import type { Layout, Store, StoreEntryKind } from '@tsbuild/store'
import type { Mend } from './found.ts'
import { isErrno } from './look.ts'
import type { Outcome } from './types.ts'

/** Takes out what builds hold a lock on while they use it: then it stays. */
export function removeUnlessUsed(kind: StoreEntryKind, id: string, stats: Stats): Mend {
  return async (store) => {
    const entry = { kind, id, inode: stats.ino, bytes: 0, createdMs: 0, usedMs: 0, text: () => undefined }
    const [removal] = await store.space.remove([entry])
    return removal === 'in-use' ? 'in-use' : 'repaired'
  }
}

/** Deletes a file or directory that nobody locks, whatever it is. What took its place meanwhile stays. */
export function removeAt(path: string, stats: Stats): Mend {
  return async (store) => {
    const scratch = await store.sources.scratch()
    return moveAside(path, stats, join(scratch, 'removed'))
  }
}

/** Keeps the damaged bytes for who wants to know what happened. Readers that have them open go on reading them. */
export function quarantine(layout: Layout, path: string, stats: Stats): Mend {
  return async (store) => {
    const unique = basename(await store.sources.scratch()).replace(/^.*-/, '')
    return moveAside(path, stats, join(layout.quarantine, `${basename(path)}-${unique}`))
  }
}

/** Under a name of its own first: whoever made a good one in the meantime gets it back. */
function moveAside(path: string, stats: Stats, target: string): Outcome {
  try {
    renameSync(path, target)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return 'repaired'
    throw error
  }
  if (lstatSync(target).ino !== stats.ino) putBack(target, path)
  return 'repaired'
}

function putBack(target: string, path: string): void {
  try {
    linkSync(target, path)
  } catch (error) {
    // An even newer one is there.
    if (!isErrno(error, 'EEXIST')) throw error
  }
}

/** Runs one repair after the other. */
export function both(first: Mend, second: Mend): Mend {
  return async (store: Store) => {
    const outcome = await first(store)
    return outcome === 'in-use' ? outcome : await second(store)
  }
}
