import { UserError } from '@tsbuild/errors'
import { type AskHelper, askCredentialHelper } from './credential-helper.ts'
import type { CredentialProvider, Credentials } from './types.ts'

/** The name under which Docker keeps what belongs to the Hub. */
const hubKey = 'https://index.docker.io/v1/'
const hubAliases = [hubKey, 'index.docker.io/v1/', 'index.docker.io', 'docker.io', 'registry-1.docker.io']

/**
 * Reads Docker's client configuration: `auths`, `credHelpers` and `credsStore`. A helper that is named for a registry
 * comes before the general store, and both before what is written in the file. Hosts match exactly, with their port.
 *
 * @param text of `config.json`
 * @param ask runs a credential helper; the default starts `docker-credential-<name>`
 * @throws {UserError} `ERR_CONFIG` if it is not a JSON object
 * @see https://docs.docker.com/reference/cli/docker/login/
 */
export function dockerConfigCredentials(
  text: string,
  ask: AskHelper = (helper, server) => askCredentialHelper(helper, server),
): CredentialProvider {
  const config = parseConfig(text)
  const auths = objectMember(config, 'auths') ?? {}
  const helpers = objectMember(config, 'credHelpers') ?? {}
  const store = textMember(config, 'credsStore')
  return async (registry) => {
    const keys = keysOf(registry)
    const helperKey = keys.find((key) => textMember(helpers, key) !== undefined)
    const helper = helperKey === undefined ? store : textMember(helpers, helperKey)
    if (helper !== undefined && helper !== '') {
      const found = await ask(helper, registry === 'docker.io' ? hubKey : registry)
      if (found !== undefined) return found
    }
    const entryKey = Object.keys(auths).find((key) => keys.includes(hostOf(key)))
    const entry = entryKey === undefined ? undefined : objectMember(auths, entryKey)
    return entry === undefined ? undefined : readEntry(entry)
  }
}

const where = 'It is `config.json` in the directory that DOCKER_CONFIG names, else in `~/.docker`.'

function parseConfig(text: string): object {
  let parsed: unknown
  try {
    parsed = JSON.parse(text)
  } catch {
    // The parser's own message quotes the text, and the text has passwords in it.
    throw new UserError('ERR_CONFIG', 'Cannot parse the Docker configuration: it is not JSON', {
      hints: [where],
    })
  }
  if (typeof parsed === 'object' && parsed !== null && !Array.isArray(parsed)) return parsed
  throw new UserError('ERR_CONFIG', 'Cannot parse the Docker configuration: expected an object', {
    hints: [where],
  })
}

function keysOf(registry: string): readonly string[] {
  return registry === 'docker.io' ? hubAliases.map(hostOf) : [registry]
}

/** Old clients wrote `https://host/v1/` for a host. */
function hostOf(key: string): string {
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

function objectMember(object: object, name: string): object | undefined {
  const value = member(object, name)
  return typeof value === 'object' && value !== null ? value : undefined
}

function textMember(object: object, name: string): string | undefined {
  const value = member(object, name)
  return typeof value === 'string' ? value : undefined
}
