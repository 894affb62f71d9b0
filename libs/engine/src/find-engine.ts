import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { isRecord, parseJson } from '@tsbuild/shape'
import { readDockerContext } from './docker-context.ts'
import type { EngineAddress, EngineCandidate, EngineSettings, EngineTls } from './types.ts'

const dockerSocket = '/var/run/docker.sock'
const podmanSocket = '/run/podman/podman.sock'

/**
 * Says where an engine may listen, in the order in which to try. Who names one gets that one and no other: the `context` of
 * the settings, DOCKER_HOST, DOCKER_CONTEXT, the current context of docker's configuration, CONTAINER_HOST. Else the usual
 * sockets of Docker, then those of podman.
 *
 * @throws {UserError} `ERR_ENGINE_CONTEXT` for a docker context that is not there or names nothing usable,
 *   `ERR_CONFIG` for an address that is none, `ERR_UNSUPPORTED` for ssh
 */
export async function engineCandidates(settings: EngineSettings): Promise<readonly EngineCandidate[]> {
  const { env } = settings
  if (settings.context !== undefined) return [await contextCandidate(settings.context, env)]
  if (env.DOCKER_HOST) {
    const tls = await tlsOfEnvironment(env)
    return [{ address: parseEngineAddress(env.DOCKER_HOST, 'DOCKER_HOST', tls), namedBy: 'DOCKER_HOST' }]
  }
  const context = env.DOCKER_CONTEXT || (await currentContext(env))
  if (context !== undefined && context !== 'default') return [await contextCandidate(context, env)]
  if (env.CONTAINER_HOST) {
    const address = parseEngineAddress(env.CONTAINER_HOST, 'CONTAINER_HOST', undefined)
    return [{ address, namedBy: 'CONTAINER_HOST' }]
  }
  return usualSockets(env).map((path) => ({ address: { kind: 'unix', path }, namedBy: undefined }))
}

function usualSockets({ XDG_RUNTIME_DIR: runtime }: EngineSettings['env']): readonly string[] {
  // The user's own engine needs no rights that the machine's would ask for.
  const own = (path: string) => (runtime ? [join(runtime, path)] : [])
  return [dockerSocket, ...own('docker.sock'), ...own('podman/podman.sock'), podmanSocket]
}

/**
 * Reads an address as DOCKER_HOST has it.
 *
 * @param source what said so, for messages
 * @throws {UserError} `ERR_CONFIG`, `ERR_UNSUPPORTED`
 */
export function parseEngineAddress(text: string, source: string, tls: EngineTls | undefined): EngineAddress {
  const shown = `Cannot use the engine address "${text}" of ${source}`
  const match = /^([a-z]+):\/\/(.*)$/.exec(text)
  const [, scheme = '', rest = ''] = match ?? []
  switch (scheme) {
    case 'unix':
      if (!rest.startsWith('/')) throw new UserError('ERR_CONFIG', `${shown}: its path must be absolute`)
      return { kind: 'unix', path: rest }
    case 'tcp':
    case 'http':
    case 'https':
      return tcpAddress(shown, rest, scheme === 'https' ? (tls ?? { verify: true }) : tls)
    case 'ssh':
      throw new UserError('ERR_UNSUPPORTED', `${shown}: engines behind ssh are not supported`, {
        hints: [
          'Forward its socket: `ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST`, and `DOCKER_HOST=unix:///tmp/engine.sock`.',
          'Or write an archive: `tsbuild … -o type=docker,dest=- . | ssh HOST docker load`.',
        ],
      })
    default:
      throw new UserError('ERR_CONFIG', `${shown}: expected unix://PATH or tcp://HOST:PORT`)
  }
}

function tcpAddress(shown: string, rest: string, tls: EngineTls | undefined): EngineAddress {
  const match = /^(\[[0-9a-fA-F:]+\]|[^:/[\]]+)(?::(\d{1,5}))?\/?$/.exec(rest)
  const host = match?.[1]
  const port = match?.[2] === undefined ? (tls === undefined ? 2375 : 2376) : Number(match[2])
  if (host === undefined || port < 1 || port > 65535)
    throw new UserError('ERR_CONFIG', `${shown}: expected HOST or HOST:PORT after "//"`)
  const plain = host.startsWith('[') ? host.slice(1, -1) : host
  return { kind: 'tcp', host: plain, port, ...(tls === undefined ? {} : { tls }) }
}

/** As Docker's own clients read DOCKER_CERT_PATH and DOCKER_TLS_VERIFY. */
async function tlsOfEnvironment(env: EngineSettings['env']): Promise<EngineTls | undefined> {
  const verify = Boolean(env.DOCKER_TLS_VERIFY)
  const folder = env.DOCKER_CERT_PATH || (verify ? dockerFolder(env) : undefined)
  if (folder === undefined) return undefined
  const [ca, cert, key] = await Promise.all(
    ['ca.pem', 'cert.pem', 'key.pem'].map((name) => readPem(join(folder, name))),
  )
  return { ca, cert, key, verify }
}

async function readPem(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'ENOENT') return undefined
    throw new UserError('ERR_CONFIG', `Cannot read "${path}", which DOCKER_CERT_PATH leads to`, { cause })
  }
}

async function currentContext(env: EngineSettings['env']): Promise<string | undefined> {
  const folder = dockerFolder(env)
  const text = folder === undefined ? '' : await readFile(join(folder, 'config.json'), 'utf8').catch(() => '')
  const config = parseJson(text)
  const name = isRecord(config) ? config.currentContext : undefined
  return typeof name === 'string' && name !== '' ? name : undefined
}

async function contextCandidate(name: string, env: EngineSettings['env']): Promise<EngineCandidate> {
  const namedBy = `docker context "${name}"`
  if (name === 'default') {
    const address: EngineAddress = { kind: 'unix', path: dockerSocket }
    return { address, namedBy }
  }
  const folder = dockerFolder(env)
  if (folder === undefined)
    throw new UserError('ERR_ENGINE_CONTEXT', `Cannot find ${namedBy}: neither HOME nor DOCKER_CONFIG is set`)
  const { host, tls } = await readDockerContext(join(folder, 'contexts'), name)
  return { address: parseEngineAddress(host, namedBy, tls), namedBy }
}

function dockerFolder(env: EngineSettings['env']): string | undefined {
  return env.DOCKER_CONFIG || (env.HOME ? join(env.HOME, '.docker') : undefined)
}
