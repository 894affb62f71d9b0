import { createTransport, sleepFor, userAgent } from '@tsbuild/http'
import { hasBlob, mountBlob } from './blobs.ts'
import { createConnection } from './connection.ts'
import { downloadBlob, openBlob, withoutFirst } from './download.ts'
import { createLimits } from './limits.ts'
import { login } from './login.ts'
import { fetchManifest, headManifest, purposeOf } from './manifests.ts'
import { listRepositories, listTags } from './pages.ts'
import { createManifestWriter } from './push-manifest.ts'
import { listReferrers } from './referrers.ts'
import type { RegistryClient, RegistryClientOptions } from './types.ts'
import { uploadBlob } from './upload.ts'

const defaultConcurrency = 6

/** Makes a client; nothing is loaded and nothing connects before its first call. */
export function createRegistryClient(options: RegistryClientOptions = {}): RegistryClient {
  const now = options.now ?? Date.now
  const limits = createLimits(options.concurrency ?? defaultConcurrency, now)
  const transport = createTransport(options)
  const settings = {
    transport,
    trustedRealms: options.trustedRealms ?? [],
    insecureHosts: options.insecureHosts ?? [],
    userAgent: options.userAgent ?? userAgent,
    retry: {
      settings: options.retry ?? {},
      random: options.random ?? Math.random,
      sleep: options.sleep ?? sleepFor,
    },
    now,
    onThrottled: limits.throttled,
  }
  const credentials = options.credentials ?? (async () => undefined)
  const connection = createConnection({ ...settings, credentials })
  const writer = createManifestWriter(connection)
  const { run } = limits
  return {
    resolve: (reference, call = {}) =>
      run(reference.registry, call.signal, () => fetchManifest(connection, reference, call)),
    resolveDescriptor: (reference, call = {}) =>
      run(reference.registry, call.signal, async () => {
        const found = await headManifest(connection, reference, call)
        return found === 'unknown' ? (await fetchManifest(connection, reference, call)).descriptor : found
      }),
    fetchBlob: (reference, descriptor, call = {}) =>
      limits.hold(reference.registry, call.signal, async () => {
        const purpose = purposeOf('pull', reference, descriptor.digest)
        const opened = await connection.retry(purpose, call.signal, () =>
          openBlob(connection, { reference, descriptor }, call.offset ?? 0, call),
        )
        return withoutFirst(opened.body, opened.skip)
      }),
    downloadBlob: (reference, descriptor, sink, call = {}) =>
      run(reference.registry, call.signal, () =>
        downloadBlob(connection, { reference, descriptor }, sink, call),
      ),
    hasBlob: (reference, descriptor, call = {}) =>
      run(reference.registry, call.signal, () => hasBlob(connection, { reference, descriptor }, call)),
    mountBlob: (reference, digest, from, call = {}) =>
      run(reference.registry, call.signal, () =>
        mountBlob(connection, { reference, descriptor: { digest } }, from, call),
      ),
    uploadBlob: (reference, descriptor, openRange, call = {}) =>
      run(reference.registry, call.signal, () =>
        uploadBlob(connection, { reference, descriptor, openRange }, call),
      ),
    putManifest: (reference, bytes, mediaType, call = {}) =>
      run(reference.registry, call.signal, () => writer.put(reference, { bytes, mediaType }, call)),
    deleteManifest: (reference, call = {}) =>
      run(reference.registry, call.signal, () => writer.remove(reference, call)),
    listTags: (reference, call = {}) =>
      run(reference.registry, call.signal, () => listTags(connection, reference, call)),
    listRepositories: (registry, call = {}) =>
      run(registry, call.signal, () => listRepositories(connection, registry, call)),
    referrers: (reference, call = {}) =>
      run(reference.registry, call.signal, () => listReferrers(connection, reference, call)),
    login: (registry, tried, call = {}) =>
      run(registry, call.signal, () =>
        login(createConnection({ ...settings, credentials: async () => tried }), registry, call),
      ),
    close: () => transport.close(),
  }
}
