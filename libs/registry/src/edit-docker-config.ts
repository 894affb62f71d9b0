import { helperOf, isKeyOf, objectMember, parseDockerConfig, serverKey } from './docker-config.ts'
import type { Credentials } from './types.ts'

/** How a Docker client configuration is to be after a login or a logout. */
export interface ConfigEdit {
  /** What is to be written; undefined where the file stays as it is. */
  readonly text: string | undefined
  /** The helper that keeps the registry's credentials, and the name that it knows the registry by. */
  readonly helper: { readonly name: string; readonly server: string } | undefined
  /** Whether the file had something for the registry. */
  readonly known: boolean
}

/**
 * Puts credentials into a Docker client configuration, or takes out what is there. Where a helper keeps them, only its
 * registry's name is in the file, and the caller tells the helper. All other members stay, in their order and with the file's indentation.
 *
 * @param text undefined where there is no file
 * @param credentials undefined to take out
 * @param file named in errors
 * @throws {UserError} `ERR_CONFIG` if the text is not a JSON object
 */
export function editDockerConfig(
  text: string | undefined,
  registry: string,
  credentials: Credentials | undefined,
  file: string,
): ConfigEdit {
  const config = parseDockerConfig(text ?? '{}', file)
  const server = serverKey(registry)
  const name = helperOf(config, registry)
  const helper = name === undefined ? undefined : { name, server }
  const auths = Object.entries(objectMember(config, 'auths') ?? {})
  const others = auths.filter(([key]) => !isKeyOf(key, registry))
  const known = others.length < auths.length
  if (credentials === undefined && !known) return { text: undefined, helper, known }
  const entry = helper === undefined ? entryOf(credentials) : {}
  const edited = Object.fromEntries(credentials === undefined ? others : [...others, [server, entry]])
  return { text: serialize({ ...config, auths: edited }, text), helper, known }
}

function entryOf(credentials: Credentials | undefined): object {
  if (credentials === undefined) return {}
  if (credentials.type === 'identityToken') return { identitytoken: credentials.token }
  const { username, password } = credentials
  return { auth: Buffer.from(`${username}:${password}`).toString('base64') }
}

/** Docker writes tabs. */
function serialize(config: object, before: string | undefined): string {
  const indent = /^\{\r?\n([ \t]+)"/.exec(before ?? '')?.[1] ?? '\t'
  return `${JSON.stringify(config, undefined, indent)}\n`
}
