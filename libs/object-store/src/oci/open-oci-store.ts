import { join } from 'node:path'
import type { ImageReference } from '@tsbuild/oci'
import type { RegistryClient } from '@tsbuild/registry'
import { FileLocks, makeDirectories } from '@tsbuild/store'
import { onDisk } from '../failures.ts'
import { FsLayout } from '../fs/layout.ts'
import { openTemporaries } from '../fs/temporaries.ts'
import type { OpenObjectStore } from '../types.ts'
import { OciStore } from './oci-store.ts'

/** What a store in a registry is opened with. */
export interface OciStoreOptions {
  /** Closed by the caller. */
  readonly client: RegistryClient
  /** The repository; its tags and digests are not looked at. Nobody else may write to it. */
  readonly reference: Pick<ImageReference, 'registry' | 'repository'>
  /** An absolute path to a directory of this machine, for locks and for what is on its way. All processes of the machine use the same. */
  readonly local: string
  /** Unix ms. */
  readonly now: () => number
  /** 32 lowercase hex digits, never the same twice. */
  readonly randomId: () => string
}

/**
 * Opens a store in a repository of an OCI registry. Durable is what the registry makes durable when it answers. Tags cannot be changed on
 * a condition, so that several machines that write at once may undo what the other one did: `exclusion` is `machine`. Deleted bytes stay until the
 * registry collects its garbage.
 *
 * @see docs/dev/object-store.md
 */
export async function openOciStore(options: OciStoreOptions): Promise<OpenObjectStore> {
  const { local, now, randomId } = options
  const layout = new FsLayout(local)
  await onDisk('make directory', local, async () => {
    for (const path of [layout.temporary, layout.scratch, layout.locks]) await makeDirectories(path, 0o700)
  })
  const temporaries = await openTemporaries(layout, { now, randomId, durability: 'none' })
  const locks = new FileLocks(join(layout.locks, 'keys'))
  return new OciStore({ ...options, temporaries, locks, scratch: layout.scratch })
}
