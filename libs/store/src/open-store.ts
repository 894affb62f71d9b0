import { join } from 'node:path'
import { DirectoryBlobStore } from './blob-store.ts'
import { DirectoryBuildStore } from './build-store.ts'
import { DirectoryCacheMountStore } from './cache-mount-store.ts'
import { ensureLayout } from './create-layout.ts'
import { Disk } from './disk.ts'
import { DirectoryFailureStore } from './failure-store.ts'
import { FileLists } from './file-lists.ts'
import { GroupCommit } from './group-commit.ts'
import { Holders } from './holders.ts'
import { Layout, shortHash } from './layout.ts'
import { IndexFileImages } from './local-images.ts'
import { FileLocks } from './locks.ts'
import { DirectoryRecordStore } from './record-store.ts'
import { readSecretKey } from './secret-key.ts'
import { Session, sessionNames, sweepSessions } from './session.ts'
import { DirectorySnapshotStore } from './snapshot-store.ts'
import { DirectorySourceStore } from './source-store.ts'
import { DirectoryStoreSpace } from './space.ts'
import { DirectoryStepIndex } from './step-index.ts'
import type { Store, StoreOptions } from './types.ts'
import { Uses } from './uses.ts'

/**
 * Opens the store at a root, and makes it where there is none. What dead processes left half done is swept while the
 * caller goes on; {@link Store.close} waits for that.
 *
 * @throws {EnvironmentError} `ERR_STORE_OPEN`, `ERR_STORE_FORMAT`, `ERR_STORE_CORRUPT`, `ERR_PERMISSION`,
 *   `ERR_STORE_NO_SPACE`, `ERR_STORE_IO`
 * @see docs/dev/store.md
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const layout = new Layout(options.root)
  const disk = new Disk(options)
  const session = new Session(layout, options)
  await ensureLayout(layout, disk, session)
  const sweep = sweepInBackground(layout, options)

  const uses = new Uses(layout, options.now)
  const commits = new GroupCommit(layout, disk, session)
  const locks = new FileLocks(join(layout.locks, 'steps'), new Holders(layout, session))
  const failures = new DirectoryFailureStore({
    layout,
    session,
    locks,
    options,
    newest: options.keptFailures ?? 5,
  })
  const builds = new DirectoryBuildStore(layout, session)
  const cacheMounts = new DirectoryCacheMountStore({ layout, disk, session, locks, options })
  const files = new FileLists(layout, session)
  return {
    root: options.root,
    durable: options.durability === 'full',
    blobs: new DirectoryBlobStore({ layout, disk, session, uses, randomId: options.randomId }),
    images: new IndexFileImages(layout, disk, session, locks),
    snapshots: new DirectorySnapshotStore({ layout, disk, session, commits, locks, failures, uses, options }),
    failures,
    builds,
    sources: new DirectorySourceStore({ layout, session, commits, uses, options }),
    cacheMounts,
    records: new DirectoryRecordStore(layout, commits, uses),
    steps: new DirectoryStepIndex(layout, session, options.now),
    locks,
    space: new DirectoryStoreSpace({ layout, session, uses, builds, failures, cacheMounts, options }),
    releaseUses: () => uses.release(),
    cacheFile: (kind, name) => join(layout.cache, kind, shortHash(name)),
    putFileList: (digest, text) => files.put(digest, text),
    getFileList: (digest) => files.get(digest),
    secretKey: () => readSecretKey(layout, disk, session),
    close: async () => {
      await commits.drain()
      await sweep
      await failures.settled()
      await session.close()
      uses.release()
    },
  }
}

/** Best effort: a failure (a read-only disk, a tree of other ids) must not fail a build, and the next open tries again. */
async function sweepInBackground(layout: Layout, options: StoreOptions): Promise<void> {
  try {
    const names = sessionNames(layout)
    if (names.length === 0) return
    await new Promise(setImmediate)
    await sweepSessions(layout, names, options.removeTrees)
  } catch {
    // See above.
  }
}
