import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { type OpenObjectStore, openOciStore } from '@tsbuild/object-store'
import { parseReference } from '@tsbuild/oci'
import { createRegistryClient } from '@tsbuild/registry'
import type { Host } from '../host.ts'
import type { Settings } from '../settings/read-settings.ts'
import { proxyOf } from './proxy.ts'

/**
 * Opens objects that are kept in a registry; `dir` holds keys, locks and what is on its way.
 *
 * @throws {UserError} `ERR_CONFIG` for a repository that makes no sense
 */
export async function openOciObjects(
  settings: Settings,
  dir: string,
  host: Pick<Host, 'now' | 'env'>,
): Promise<OpenObjectStore> {
  const reference = repositoryOf(settings)
  const { 'oci.username': username, 'oci.password': password } = settings
  const client = createRegistryClient({
    insecureHosts: settings['oci.plainHttp'] === true ? [reference.registry] : [],
    proxy: proxyOf(host.env),
    // As many as requests of clients may need at once.
    concurrency: 32,
    ...(username === undefined || password === undefined
      ? {}
      : { credentials: async () => ({ type: 'basic', username, password }) }),
  })
  const store = await openOciStore({
    client,
    reference,
    local: join(dir, 'local'),
    now: host.now,
    randomId: () => randomBytes(16).toString('hex'),
  })
  const close = store.close.bind(store)
  return Object.assign(store, {
    close: async () => {
      await close()
      await client.close()
    },
  })
}

function repositoryOf({ 'oci.repository': text = '' }: Settings) {
  const reference = parseReference(text)
  if (reference.tag === undefined && reference.digest === undefined) return reference
  throw new UserError('ERR_CONFIG', `Cannot use repository "${text}": it has a tag or a digest`)
}
