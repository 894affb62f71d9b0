import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { type OpenObjectStore, openFsStore } from '@tsbuild/object-store'
import type { Host } from './host.ts'
import { assertServerDirectory, openServerDirectory } from './server-directory.ts'
import type { Settings } from './settings/read-settings.ts'

/** The directory of a server. @throws {UserError} `ERR_CONFIG` if nothing says which */
export function directoryOf({ dir }: Pick<Settings, 'dir'>): string {
  if (dir !== undefined) return dir
  throw new UserError('ERR_CONFIG', 'Cannot open the cache: there is no directory', {
    hints: ['Say `--dir DIR`, `dir` in the configuration, or TSBUILD_CACHE_SERVER_DIR.'],
  })
}

/**
 * Opens where the objects are, as the settings say; who calls closes it.
 *
 * @throws as the engines and {@link openServerDirectory} do
 */
export async function openStore(
  settings: Settings,
  host: Pick<Host, 'now' | 'env'>,
): Promise<OpenObjectStore> {
  const dir = directoryOf(settings)
  await openServerDirectory(dir)
  if (settings.engine === 'oci') {
    const { openOciObjects } = await import('./serve/open-oci.ts')
    return await openOciObjects(settings, dir, host)
  }
  return await openFsStore({
    root: join(dir, 'objects'),
    durability: 'full',
    now: host.now,
    randomId: () => randomBytes(16).toString('hex'),
  })
}

/** Opens the store that is there for one command, and closes it whatever comes of it. */
export async function withStore<T>(
  settings: Settings,
  host: Pick<Host, 'now' | 'env'>,
  use: (store: OpenObjectStore) => Promise<T>,
): Promise<T> {
  await assertServerDirectory(directoryOf(settings))
  const store = await openStore(settings, host)
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}
