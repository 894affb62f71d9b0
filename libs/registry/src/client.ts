import type { Readable } from 'node:stream'
import { cancelled, createTransport, sleepFor, userAgent } from '@tsbuild/http'
import type { LimitFunction } from 'p-limit'
import pLimit from 'p-limit'
import { hasBlob, mountBlob } from './blobs.ts'
import { createConnection } from './connection.ts'
import { downloadBlob, openBlob, withoutFirst } from './download.ts'
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
  const limits = createLimits(options.concurrency ?? defaultConcurrency)
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
    now: options.now ?? Date.now,
    onThrottled: limits.halve,
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

interface Limits {
  run<T>(registry: string, signal: AbortSignal | undefined, body: () => Promise<T>): Promise<T>
  /** As `run`, but the slot stays taken until the stream has closed. */
  hold(registry: string, signal: AbortSignal | undefined, open: () => Promise<Readable>): Promise<Readable>
  /** A registry that is asked too much is asked half as much at a time. */
  halve(registry: string): void
}

function createLimits(concurrency: number): Limits {
  const limits = new Map<string, LimitFunction>()
  const limitOf = (registry: string): LimitFunction => {
    const known = limits.get(registry) ?? pLimit({ concurrency, rejectOnClear: true })
    limits.set(registry, known)
    return known
  }
  /** The caller's promise settles at once when its signal fires, also while it waits for its turn. */
  const enter = <T>(
    registry: string,
    signal: AbortSignal | undefined,
    body: (done: (value: T) => void) => Promise<void>,
  ) =>
    new Promise<T>((resolve, reject) => {
      const abort = () => reject(cancelled(`ask ${registry}`))
      if (signal?.aborted) return abort()
      signal?.addEventListener('abort', abort, { once: true })
      const leave = () => signal?.removeEventListener('abort', abort)
      limitOf(registry)(() => (signal?.aborted ? Promise.resolve() : body(resolve))).then(
        leave,
        (error: unknown) => {
          leave()
          reject(error)
        },
      )
    })
  return {
    run: (registry, signal, body) => enter(registry, signal, async (done) => done(await body())),
    hold: (registry, signal, open) =>
      enter<Readable>(registry, signal, async (done) => {
        const stream = await open()
        done(stream)
        await new Promise<void>((closed) => stream.once('close', closed))
      }),
    halve: (registry) => {
      const limit = limitOf(registry)
      limit.concurrency = Math.max(1, Math.floor(limit.concurrency / 2))
    },
  }
}
