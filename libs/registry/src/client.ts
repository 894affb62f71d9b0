import { createTransport, sleepFor, userAgent } from '@tsbuild/http'
import { hasBlob, mountBlob } from './blobs.ts'
import { createConnection } from './connection.ts'
import { downloadBlob, openBlob, withoutFirst } from './download.ts'
import { createLimits } from './limits.ts'
import { fetchManifest, headManifest, purposeOf, pushManifest } from './manifests.ts'
import type { RegistryClient, RegistryClientOptions } from './types.ts'
import { uploadBlob } from './upload.ts'

const defaultConcurrency = 6

/** Makes a client; nothing is loaded and nothing connects before its first call. */
export function createRegistryClient(options: RegistryClientOptions = {}): RegistryClient {
  const now = options.now ?? Date.now
  const limits = createLimits(options.concurrency ?? defaultConcurrency, now)
  const transport = createTransport(options)
  const connection = createConnection({
    transport,
    credentials: options.credentials ?? (async () => undefined),
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
  })
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
      run(reference.registry, call.signal, () =>
        pushManifest(connection, reference, { bytes, mediaType }, call),
      ),
    close: () => transport.close(),
  }
}
