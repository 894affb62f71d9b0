import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { text } from 'node:stream/consumers'
import { extract } from 'tar-stream'
import type { EngineIdentity } from '../types.ts'

/** An engine of the test's own on a unix socket, with an image list and nothing else. */
export interface FakeEngine {
  /** Images by id. */
  readonly images: Map<
    string,
    { names: string[]; readonly diffIds: readonly string[]; readonly created?: number }
  >
  /** `METHOD path` of each request, without the version. */
  readonly requests: string[]
  /** Of each archive: the names of its files, an empty one with a mark. */
  readonly archives: (readonly string[])[]
  /** Answers a load itself; undefined leaves it to the engine. */
  onLoad: ((response: ServerResponse) => boolean) | undefined
  readonly stop: () => Promise<void>
}

/** Starts one at `path`. It takes an archive without a file that is there only if it has an image with that layer. */
export async function startFakeEngine(
  path: string,
  identity: Pick<EngineIdentity, 'kind' | 'store'> & { readonly apiVersion?: string },
): Promise<FakeEngine> {
  const fake: FakeEngine = {
    images: new Map(),
    requests: [],
    archives: [],
    onLoad: undefined,
    stop: () => new Promise((resolve) => void server.close(() => resolve())),
  }
  const server = createServer((request, response) => {
    const url = (request.url ?? '').replace(/^\/v[\d.]+/, '')
    fake.requests.push(`${request.method} ${url}`)
    if (url.startsWith('/images/load') && fake.onLoad?.(response) === true) return void request.resume()
    answer(fake, identity, request, url)
      .then(([status, body]) => {
        response.setHeader('Api-Version', identity.apiVersion ?? '1.41')
        if (identity.kind === 'podman') response.setHeader('Libpod-Api-Version', '4.3.1')
        response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body))
      })
      .catch((error: unknown) => response.writeHead(500).end(JSON.stringify({ message: String(error) })))
  })
  await new Promise<void>((resolve) => server.listen(path, resolve))
  return fake
}

async function answer(
  fake: FakeEngine,
  identity: Pick<EngineIdentity, 'kind' | 'store'>,
  request: IncomingMessage,
  url: string,
): Promise<readonly [number, unknown]> {
  if (url === '/_ping') return [200, 'OK']
  if (url === '/info') {
    const driver = identity.store === 'content' ? [['driver-type', 'io.containerd.snapshotter.v1']] : []
    return [200, { ServerVersion: '20.10.0', DriverStatus: driver }]
  }
  if (url.startsWith('/images/json')) {
    const entries = [...fake.images].map(([id, { names, created = 0 }]) => ({
      Id: id,
      RepoTags: names,
      Created: created,
    }))
    return [200, entries]
  }
  if (url.startsWith('/images/load')) return await load(fake, identity, request)
  const [, name = '', action] = /^\/images\/(.*)\/(json|tag)/.exec(url) ?? []
  const [id, image] = [...fake.images].find(([id, { names }]) => id === name || names.includes(name)) ?? []
  if (image === undefined) return [404, { message: 'no such image' }]
  if (action === 'json') return [200, { Id: id, RepoTags: image.names, RootFS: { Layers: image.diffIds } }]
  const query = new URL(url, 'http://engine').searchParams
  const tagged = `${query.get('repo')}:${query.get('tag')}`
  for (const other of fake.images.values()) other.names = other.names.filter((one) => one !== tagged)
  image.names.push(tagged)
  return [201, '']
}

async function load(
  fake: FakeEngine,
  identity: Pick<EngineIdentity, 'kind' | 'store'>,
  request: IncomingMessage,
): Promise<readonly [number, unknown]> {
  const files = await readArchive(request)
  fake.archives.push([...files].map(([name, bytes]) => (bytes === '' ? `${name} (empty)` : name)))
  const document = (name: string) => JSON.parse(files.get(name) ?? 'null')
  if (identity.store === 'content') {
    const [{ digest, annotations } = { digest: '', annotations: {} }] = document('index.json').manifests
    fake.images.set(digest, { names: [annotations['io.containerd.image.name']], diffIds: [] })
    return [200, { stream: 'Loaded' }]
  }
  const [{ Config: config, RepoTags: names, Layers: layers }] = document('manifest.json')
  const { rootfs } = document(config)
  const known = [...fake.images.values()].flatMap(({ diffIds }) => diffIds)
  for (const [index, layer] of layers.entries()) {
    if (!files.get(layer) && !known.includes(rootfs.diff_ids[index]))
      return [200, `{"stream":"Loading"}\r\n{"errorDetail":{"message":"open ${layer}: no such file"}}\r\n`]
  }
  fake.images.set(`sha256:${config.slice(-64)}`, { names: names ?? [], diffIds: rootfs.diff_ids })
  return [200, { stream: 'Loaded image' }]
}

async function readArchive(source: IncomingMessage): Promise<ReadonlyMap<string, string>> {
  const files = new Map<string, string>()
  for await (const entry of source.pipe(extract())) files.set(entry.header.name, await text(entry))
  return files
}
