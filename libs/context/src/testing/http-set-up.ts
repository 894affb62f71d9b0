import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { createTransport, type TransportOptions } from '@tsbuild/http'
import { openStore, type Store } from '@tsbuild/store'
import { storeOptions, temporaryDirectory } from '@tsbuild/store/testing'
import { onTestFinished } from 'vitest'
import { createHttpSources, type HttpSourcesOptions } from '../http/http-sources.ts'
import type { FetchOptions, RemoteTree } from '../remote-source.ts'

/** The secrets of a build, as text. */
export type Secrets = Readonly<Record<string, string>>

/** See {@link setUp}. */
export interface SetUpOptions extends Partial<Omit<HttpSourcesOptions, 'secrets'>> {
  readonly root?: string | undefined
  readonly secrets?: Secrets | undefined
  readonly lookup?: TransportOptions['lookup']
}

/** Sources over a store of its own, or over the store at `root`, as another process would open it. */
export async function setUp(options: SetUpOptions = {}) {
  const { root = temporaryDirectory(), secrets = {}, lookup, ...changes } = options
  const store = await openStore(storeOptions(root))
  const transport = createTransport({ lookup })
  onTestFinished(async () => {
    await transport.close()
    await store.close()
  })
  const pauses: number[] = []
  const sources = createHttpSources({
    store,
    transport,
    secrets: async (id) => (secrets[id] === undefined ? undefined : Buffer.from(secrets[id])),
    now: Date.now,
    sleep: async (ms) => void pauses.push(ms),
    ...changes,
  })
  const fetch = (url: string, more: Partial<Parameters<typeof sources.http>[0] & FetchOptions> = {}) => {
    const { signal = new AbortController().signal, onProgress, filename = 'file', checksum } = more
    return sources.http({ url, filename, checksum }, { signal, onProgress })
  }
  return { store, fetch, pauses, root }
}

/** The one file of a tree, as text, with what the kernel says of it. */
export function fileOf({ tree }: RemoteTree) {
  if (tree.kind !== 'directory') throw new TypeError('the tree is no directory')
  const names = readdirSync(tree.path)
  const path = join(tree.path, names[0] ?? '')
  const { mode, mtimeMs } = statSync(path)
  return { names, path, text: readFileSync(path, 'utf8'), mode: mode & 0o7777, mtimeMs }
}

/** Everything that the store keeps of sources: the names of its files below, and all of their text. */
export function keptOf(store: Pick<Store, 'root'>) {
  const below = (directory: string) =>
    readdirSync(join(store.root, 'v1', directory), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name))
  const paths = [...below('sources'), ...below('ingest')]
  return { paths, text: paths.map((path) => readFileSync(path, 'latin1')).join('\n') }
}
