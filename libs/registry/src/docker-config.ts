import { UserError } from '@tsbuild/errors'
import { type AskHelper, askCredentialHelper } from './credential-helper.ts'
import type { CredentialProvider, Credentials } from './types.ts'

/** The name under which Docker keeps what belongs to the Hub. */
const hubKey = 'https://index.docker.io/v1/'
const hubHosts = ['index.docker.io', 'docker.io', 'registry-1.docker.io']

/**
 * Reads Docker's client configuration, or podman's `auth.json`: `auths`, `credHelpers` and `credsStore`. A helper that is named
 * for a registry comes before the general store, and both before what is written in the file. Hosts match exactly, with their
 * port; a key with a path is for the repositories below it, and of several the longest counts. A helper is asked once for each registry.
 *
 * @param text of `config.json`
 * @param ask runs a credential helper; the default starts `docker-credential-<name>`
 * @param file named in errors
 * @throws {UserError} `ERR_CONFIG` if it is not a JSON object
 * @see https://docs.docker.com/reference/cli/docker/login/ and containers-auth.json(5)
 */
export function dockerConfigCredentials(
  text: string,
  ask: AskHelper = (helper, server) => askCredentialHelper(helper, server),
  file?: string,
): CredentialProvider {
  const config = parseDockerConfig(text, file)
  const auths = objectMember(config, 'auths') ?? {}
  const answers = new Map<string, Promise<Credentials | undefined>>()
  return async (registry, repository) => {
    const helper = helperOf(config, registry)
    if (helper !== undefined) {
      const answer = answers.get(registry) ?? ask(helper, serverKey(registry))
      answers.set(registry, answer)
      const found = await answer
      if (found !== undefined) return found
    }
    for (const wanted of keysOf(registry, repository)) {
      const key = Object.keys(auths).find((one) => normalKey(one) === wanted)
      const entry = key === undefined ? undefined : objectMember(auths, key)
      const found = entry === undefined ? undefined : readEntry(entry)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** Asks several providers one after the other. @returns the first credentials */
export function firstCredentials(providers: readonly CredentialProvider[]): CredentialProvider {
  return async (registry, repository) => {
    for (const provider of providers) {
      const found = await provider(registry, repository)
      if (found !== undefined) return found
    }
    return undefined
  }
}

/** The helper that keeps the credentials of a registry; undefined where the file itself does. */
export function helperOf(config: object, registry: string): string | undefined {
  const helpers = objectMember(config, 'credHelpers') ?? {}
  const keys = keysOf(registry, undefined)
  const named = Object.keys(helpers).find((key) => keys.includes(normalKey(key)))
  const helper = named === undefined ? textMember(config, 'credsStore') : textMember(helpers, named)
  return helper === '' ? undefined : helper
}

/** The name of a registry in `auths` and for helpers. */
export function serverKey(registry: string): string {
  return registry === 'docker.io' ? hubKey : registry
}

/** Whether a key of `auths` is for this registry as a whole. */
export function isKeyOf(key: string, registry: string): boolean {
  return keysOf(registry, undefined).includes(normalKey(key))
}

const where = 'It is `config.json` in the directory that DOCKER_CONFIG names, else in `~/.docker`.'

/** Parses Docker's client configuration. @throws {UserError} `ERR_CONFIG` if it is not a JSON object */
export function parseDockerConfig(text: string, file?: string): object {
  const hints = [file === undefined ? where : `It is "${file}".`]
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // The parser's own message quotes the text, and the text has passwords in it.
    throw new UserError('ERR_CONFIG', 'Cannot parse the Docker configuration: it is not JSON', {
      hints,
    })
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed
  throw new UserError('ERR_CONFIG', 'Cannot parse the Docker configuration: expected an object', {
    hints,
  })
}

/** From the longest path to the bare host. */
function keysOf(registry: string, repository: string | undefined): readonly string[] {
  const hosts = registry === 'docker.io' ? hubHosts : [registry]
  const parts = repository?.split('/') ?? []
  const paths = parts.map((_, index) => `/${parts.slice(0, parts.length - index).join('/')}`)
  return [...paths, ''].flatMap((path) => hosts.map((host) => `${host}${path}`))
}

/** Old clients wrote `https://host/v1/` for a host. */
function normalKey(key: string): string {
  return key.replace(/^https?:\/\//, '').replace(/\/(?:v[12]\/?)?$/, '')
}

function readEntry(entry: object): Credentials | undefined {
  const token = textMember(entry, 'identitytoken')
  if (token !== undefined && token !== '') return { type: 'identityToken', token }
  const auth = textMember(entry, 'auth')
  const decoded = auth === undefined ? '' : Buffer.from(auth, 'base64').toString().replace(/\0+$/, '')
  const colon = decoded.indexOf(':')
  const username = textMember(entry, 'username') || (colon > 0 ? decoded.slice(0, colon) : '')
  const password = textMember(entry, 'password') || (colon > 0 ? decoded.slice(colon + 1) : '')
  return username === '' ? undefined : { type: 'basic', username, password }
}

function member(object: object, name: string): unknown {
  return Object.getOwnPropertyDescriptor(object, name)?.value
}

/** A member that is an object. */
export function objectMember(object: object, name: string): object | undefined {
  const value = member(object, name)
  return typeof value === 'object' && value !== null ? value : undefined
}

function textMember(object: object, name: string): string | undefined {
  const value = member(object, name)
  return typeof value === 'string' ? value : undefined
}
