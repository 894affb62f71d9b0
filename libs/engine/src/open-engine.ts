import { EnvironmentError, isBuildError } from '@tsbuild/errors'
import { isRecord, parseJson } from '@tsbuild/shape'
import { type Ask, connectTo, formatAddress } from './connection.ts'
import { type FailedTry, lostEngine, noEngine } from './failures.ts'
import { engineCandidates } from './find-engine.ts'
import { loadImage } from './load-image.ts'
import type { Engine, EngineCandidate, EngineIdentity, EngineSettings } from './types.ts'

/**
 * Finds the running engine that the settings mean: the first that answers.
 *
 * @throws {UserError} as {@link engineCandidates}; `ERR_CANCELLED`
 * @throws {EnvironmentError} `ERR_ENGINE_UNREACHABLE` if none answers: what was tried, and why it did not do;
 *   `ERR_ENGINE_RESPONSE` if what answers is no engine
 */
export async function openEngine(settings: EngineSettings, signal?: AbortSignal): Promise<Engine> {
  const tries: FailedTry[] = []
  for (const candidate of await engineCandidates(settings)) {
    try {
      return await open(candidate, signal)
    } catch (error) {
      if (isBuildError(error)) throw error
      tries.push({ candidate, error })
    }
  }
  throw noEngine(tries)
}

async function open(candidate: EngineCandidate, signal: AbortSignal | undefined): Promise<Engine> {
  const ask = connectTo(candidate.address)
  const address = formatAddress(candidate.address)
  const identity = await identify(ask, address, signal)
  const title = `${identity.kind === 'docker' ? 'Docker' : 'podman'} ${identity.version} at ${address}`
  const prefix = identity.apiVersion === undefined ? '' : `/v${identity.apiVersion}`
  const asking: Ask = async (request) => {
    try {
      return await ask({ ...request, path: `${prefix}${request.path}` })
    } catch (error) {
      throw lostEngine(title, request.body === undefined ? 'ask the engine' : 'load the image', error)
    }
  }
  return {
    identity,
    title,
    load: (image, options = {}) => loadImage({ ask: asking, identity, title }, image, options),
  }
}

async function identify(ask: Ask, address: string, signal: AbortSignal | undefined): Promise<EngineIdentity> {
  const ping = await ask({ method: 'GET', path: '/_ping', signal })
  if (ping.status === 401 || ping.status === 403)
    throw new EnvironmentError(
      'ERR_ENGINE_RESPONSE',
      `Cannot use the engine at ${address}: it refuses us with status ${ping.status}`,
    )
  const api = ping.header('api-version')
  const podman = ping.header('libpod-api-version')
  if (ping.status !== 200 || (api === undefined && podman === undefined)) {
    throw new EnvironmentError(
      'ERR_ENGINE_RESPONSE',
      `Cannot use "${address}": what answers there is no engine`,
    )
  }
  const apiVersion = api !== undefined && /^\d+\.\d+$/.test(api) ? api : undefined
  if (podman !== undefined) return { kind: 'podman', version: podman, apiVersion, store: 'layers' }
  const answer = await ask({ method: 'GET', path: '/info', signal })
  const info = parseJson(answer.text)
  if (answer.status !== 200 || !isRecord(info))
    throw new EnvironmentError(
      'ERR_ENGINE_RESPONSE',
      `Cannot use the engine at ${address}: it does not say what it is`,
    )
  const version = typeof info.ServerVersion === 'string' ? info.ServerVersion : 'of unknown version'
  return { kind: 'docker', version, apiVersion, store: usesContainerd(info) ? 'content' : 'layers' }
}

/** Docker says so among the facts of its storage driver. */
function usesContainerd({ DriverStatus: facts }: Readonly<Record<string, unknown>>): boolean {
  if (!Array.isArray(facts)) return false
  return facts.some(
    (fact) => Array.isArray(fact) && fact[0] === 'driver-type' && fact[1] === 'io.containerd.snapshotter.v1',
  )
}
