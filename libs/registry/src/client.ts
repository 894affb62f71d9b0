import { lookup as systemLookup } from 'node:dns'
import { createTransport, sleepFor, userAgent } from '@tsbuild/http'
import type { ImageReference } from '@tsbuild/oci'
import { hasBlob, mountBlob } from './blobs.ts'
import { type Connection, createConnection } from './connection.ts'
import { downloadBlob, openBlob, withoutFirst } from './download.ts'
import { noHosts, type Trust } from './hosts.ts'
import { createLimits, type Limits } from './limits.ts'
import { login } from './login.ts'
import { fetchManifest, headManifest, purposeOf } from './manifests.ts'
import { listRepositories, listTags } from './pages.ts'
import { createManifestWriter, type ManifestWriter } from './push-manifest.ts'
import { listReferrers } from './referrers.ts'
import { type Ask, createRouter, type Router } from './router.ts'
import { searchRegistry } from './search.ts'
import type { Resolve } from './sources.ts'
import type { Credentials, RegistryClient, RegistryClientOptions, ResolveOptions } from './types.ts'
import { uploadBlob } from './upload.ts'

const defaultConcurrency = 6

/** Makes a client; nothing is loaded and nothing connects before its first call. */
export function createRegistryClient(options: RegistryClientOptions = {}): RegistryClient {
  const now = options.now ?? Date.now
  const limits = createLimits(options.concurrency ?? defaultConcurrency, now)
  const hosts = once(options.hosts ?? (async () => noHosts))
  const transport = createTransport({
    ...options,
    certificates: async (host) => (await hosts()).certificates(host),
  })
  const settings: ConnectionSettings = { ...options, transport, onThrottled: limits.throttled }
  const connections = new Map<string, Connection>()
  const connect = (trust: Trust, attempts: 1 | 'all'): Connection => {
    const key = `${trust} ${attempts}`
    const known = connections.get(key) ?? connectionWith(settings, trust, { attempts })
    connections.set(key, known)
    return known
  }
  const router = createRouter({ hosts, connect, resolve: resolveWith(options.lookup), now })
  return {
    ...pulls(router, limits),
    ...pushes(router, limits),
    listTags: (reference, call = {}) =>
      router.read(reference, (connection, at) =>
        limits.run(at.registry, call.signal, () => listTags(connection, at, call)),
      ),
    listRepositories: async (registry, call = {}) => {
      const connection = connect(await router.registry(registry), 'all')
      return limits.run(registry, call.signal, () => listRepositories(connection, registry, call))
    },
    search: async (registry, term, call = {}) => {
      const connection = connect(await router.registry(registry), 'all')
      return limits.run(registry, call.signal, () => searchRegistry(connection, registry, term, call))
    },
    referrers: (reference, call = {}) =>
      router.read(reference, (connection, at) =>
        limits.run(at.registry, call.signal, () => listReferrers(connection, at, call)),
      ),
    login: async (registry, credentials, call = {}) => {
      const connection = connectionWith(settings, await router.registry(registry), { credentials })
      return limits.run(registry, call.signal, () => login(connection, registry, call))
    },
    close: () => transport.close(),
  }
}

function pulls(
  router: Router,
  limits: Limits,
): Pick<RegistryClient, 'resolve' | 'resolveDescriptor' | 'fetchBlob' | 'downloadBlob'> {
  return {
    resolve: (reference, call = {}) =>
      pullManifest(router, reference, call, (connection, at) =>
        limits.run(at.registry, call.signal, () => fetchManifest(connection, at, call)),
      ),
    resolveDescriptor: (reference, call = {}) =>
      pullManifest(router, reference, call, (connection, at) =>
        limits.run(at.registry, call.signal, async () => {
          const found = await headManifest(connection, at, call)
          return found === 'unknown' ? (await fetchManifest(connection, at, call)).descriptor : found
        }),
      ),
    fetchBlob: (reference, descriptor, call = {}) =>
      router.pull(reference, 'blob', (connection, at) =>
        limits.hold(at.registry, call.signal, async () => {
          const purpose = purposeOf('pull', at, descriptor.digest)
          const opened = await connection.retry(purpose, call.signal, () =>
            openBlob(connection, { reference: at, descriptor }, call.offset ?? 0, call),
          )
          return withoutFirst(opened.body, opened.skip)
        }),
      ),
    downloadBlob: async (reference, descriptor, sink, call = {}) => {
      await router.pull(reference, 'blob', (connection, at) =>
        limits.run(at.registry, call.signal, async () => {
          await downloadBlob(connection, { reference: at, descriptor }, sink, call)
          return true
        }),
      )
    },
  }
}

function pullManifest<T>(
  router: Router,
  reference: ImageReference,
  { direct = false }: ResolveOptions,
  ask: Ask<T>,
): Promise<T> {
  return direct ? router.write(reference, ask) : router.pull(reference, 'manifest', ask)
}

function pushes(
  router: Router,
  limits: Limits,
): Pick<RegistryClient, 'hasBlob' | 'mountBlob' | 'uploadBlob' | 'putManifest' | 'deleteManifest'> {
  const writers = new Map<Connection, ManifestWriter>()
  const writerOf = (connection: Connection): ManifestWriter => {
    const known = writers.get(connection) ?? createManifestWriter(connection)
    writers.set(connection, known)
    return known
  }
  return {
    hasBlob: (reference, descriptor, call = {}) =>
      router.write(reference, (connection, at) =>
        limits.run(at.registry, call.signal, () => hasBlob(connection, { reference: at, descriptor }, call)),
      ),
    mountBlob: (reference, digest, from, call = {}) =>
      router.write(reference, (connection, at) =>
        limits.run(at.registry, call.signal, async () => {
          const answer = await mountBlob(connection, { reference: at, descriptor: { digest } }, from, call)
          return answer.type === 'mounted'
        }),
      ),
    uploadBlob: (reference, descriptor, openRange, call = {}) =>
      router.write(reference, (connection, at) =>
        limits.run(at.registry, call.signal, () =>
          uploadBlob(connection, { reference: at, descriptor, openRange }, call),
        ),
      ),
    putManifest: (reference, bytes, mediaType, call = {}) =>
      router.write(reference, (connection, at) =>
        limits.run(at.registry, call.signal, () => writerOf(connection).put(at, { bytes, mediaType }, call)),
      ),
    deleteManifest: (reference, call = {}) =>
      router.write(reference, (connection, at) =>
        limits.run(at.registry, call.signal, () => writerOf(connection).remove(at, call)),
      ),
  }
}

type ConnectionSettings = RegistryClientOptions &
  Pick<Parameters<typeof createConnection>[0], 'transport' | 'onThrottled'>

function connectionWith(
  options: ConnectionSettings,
  trust: Trust,
  how: { readonly attempts?: 1 | 'all'; readonly credentials?: Credentials },
): Connection {
  const { credentials } = how
  const anonymous = async () => undefined
  return createConnection({
    transport: options.transport,
    onThrottled: options.onThrottled,
    trust,
    credentials: credentials === undefined ? (options.credentials ?? anonymous) : async () => credentials,
    trustedRealms: options.trustedRealms ?? [],
    insecureHosts: options.insecureHosts ?? [],
    basePath: options.basePath ?? '',
    userAgent: options.userAgent ?? userAgent,
    retry: {
      settings: { ...options.retry, ...(how.attempts === 1 ? { attempts: 1 } : {}) },
      random: options.random ?? Math.random,
      sleep: options.sleep ?? sleepFor,
    },
    now: options.now ?? Date.now,
  })
}

/** A failure is kept as well: what cannot be read now is read no better by the next request of the same build. */
function once<T>(make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => {
    made ??= make()
    return made
  }
}

function resolveWith(lookup: RegistryClientOptions['lookup'] = systemLookup): Resolve {
  return (hostname) =>
    new Promise((resolve) =>
      lookup(hostname, { all: true }, (error, found) => {
        const addresses = Array.isArray(found) ? found.map(({ address }) => address) : [String(found)]
        resolve(error === null ? addresses : [])
      }),
    )
}
