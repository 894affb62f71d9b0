import { type BuildError, EnvironmentError, isBuildError, UserError } from '@tsbuild/errors'
import type { ImageReference } from '@tsbuild/oci'
import type { Connection } from './connection.ts'
import type { RegistryHosts, Trust } from './hosts.ts'
import { pullSources, type Resolve, readSource, registryTrust, type Source, writeSource } from './sources.ts'

/** How long a mirror that did not answer is left alone. */
const downMs = 60_000

/** The failures of a mirror that another place may not have: its absence, its lies, and what it does not have. */
const mirrorFailures = new Set([
  'ERR_REGISTRY_UNREACHABLE',
  'ERR_REGISTRY_TLS',
  'ERR_REGISTRY_AUTH',
  'ERR_REGISTRY_STATUS',
  'ERR_REGISTRY_RESPONSE',
  'ERR_IMAGE_NOT_FOUND',
  'ERR_DIGEST_MISMATCH',
  'ERR_SIZE_MISMATCH',
  'ERR_MANIFEST_INVALID',
])

/** Sends calls where configuration says that names lead. */
export interface Router {
  /**
   * Asks mirrors one after the other and then the registry, until one has an answer that is not undefined. A mirror gets one
   * try for each request, and none for a minute after it did not answer at all.
   */
  pull<T>(reference: ImageReference, what: 'manifest' | 'blob', ask: Ask<T>): Promise<T>
  read<T>(reference: ImageReference, ask: Ask<T>): Promise<T>
  write<T>(reference: ImageReference, ask: Ask<T>): Promise<T>
  /** For what concerns no repository. */
  registry(registry: string): Promise<Trust>
}

/** Does a call at the place that was found for it. */
export type Ask<T> = (connection: Connection, at: ImageReference) => Promise<T>

/** See {@link createRouter}. */
export interface RouterOptions {
  readonly hosts: () => Promise<RegistryHosts>
  /** @param attempts 1 where others can be asked as well */
  readonly connect: (trust: Trust, attempts: 1 | 'all') => Connection
  readonly resolve: Resolve
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
}

/** Makes a router; configuration is read with the first call. */
export function createRouter({ hosts, connect, resolve, now }: RouterOptions): Router {
  const downUntil = new Map<string, number>()
  const tryMirror = async <T>(mirror: Source, ask: Ask<T>): Promise<T | BuildError | undefined> => {
    const host = mirror.reference.registry
    if ((downUntil.get(host) ?? 0) > now()) return undefined
    try {
      return await ask(connect(mirror.trust, 1), mirror.reference)
    } catch (error) {
      if (!isBuildError(error) || !mirrorFailures.has(error.code)) throw error
      if (error.code === 'ERR_REGISTRY_UNREACHABLE') downUntil.set(host, now() + downMs)
      return error
    }
  }
  return {
    pull: async (reference, what, ask) => {
      const { mirrors, origin } = await pullSources(await hosts(), reference, what, resolve)
      const failures: BuildError[] = []
      for (const mirror of mirrors) {
        const outcome = await tryMirror(mirror, ask)
        if (isBuildError(outcome)) failures.push(outcome)
        else if (outcome !== undefined) return outcome
      }
      try {
        return await ask(connect(origin.trust, 'all'), origin.reference)
      } catch (error) {
        throw isBuildError(error) && failures.length > 0 ? withMirrors(error, failures) : error
      }
    },
    read: async (reference, ask) => {
      const { trust, reference: at } = await readSource(await hosts(), reference, resolve)
      return ask(connect(trust, 'all'), at)
    },
    write: async (reference, ask) => {
      const { trust, reference: at } = await writeSource(await hosts(), reference, resolve)
      return ask(connect(trust, 'all'), at)
    },
    registry: async (registry) => registryTrust(await hosts(), registry, resolve),
  }
}

/** Who asks why an image cannot be pulled wants to know of the mirrors too. */
function withMirrors(error: BuildError, failures: readonly BuildError[]): BuildError {
  const hints = [...error.hints, ...failures.map(({ message }) => `A mirror failed before: ${message}.`)]
  const options = { cause: error.cause, details: error.details, source: error.source, hints }
  return error.kind === 'user'
    ? new UserError(error.code, error.message, options)
    : new EnvironmentError(error.code, error.message, options)
}
