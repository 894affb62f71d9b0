import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import { type OpenObjectStore, openFsStore } from '@tsbuild/object-store'
import { makeDirectories } from '@tsbuild/store'
import type { Host } from './host.ts'
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
 * @throws as the engines do, and {EnvironmentError} `ERR_STORE_OPEN` if the directory cannot be made
 */
export async function openStore(
  settings: Settings,
  host: Pick<Host, 'now' | 'env'>,
): Promise<OpenObjectStore> {
  const dir = directoryOf(settings)
  try {
    await makeDirectories(dir, 0o700)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new EnvironmentError('ERR_STORE_OPEN', `Cannot make directory "${dir}": ${reason}`, { cause })
  }
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

/** Opens the store for one command, and closes it whatever comes of it. */
export async function withStore<T>(
  settings: Settings,
  host: Pick<Host, 'now' | 'env'>,
  use: (store: OpenObjectStore) => Promise<T>,
): Promise<T> {
  const store = await openStore(settings, host)
  try {
    return await use(store)
  } finally {
    await store.close()
  }
}
