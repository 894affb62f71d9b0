import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import type { CiIdentity, ServerPlace } from '@tsbuild/builder'
import { UserError } from '@tsbuild/errors'
import { parseUrl } from '@tsbuild/shape'
import type { Host } from '../host.ts'
import type { CacheSettings } from './cache-attributes.ts'
import type { CacheFlag } from './cache-spec.ts'

/**
 * Where a cache-server is and what is shown to it: what the attributes say, else `TSBUILD_CACHE_TOKEN`. Files are read when the
 * server is first asked.
 *
 * @throws {UserError} `ERR_USAGE`
 */
export function serverPlace(flag: CacheFlag, settings: CacheSettings, host: Host): ServerPlace {
  const { keys, insecure } = settings
  return {
    url: serverUrl(flag, settings),
    ...proof(flag, settings, host),
    ...(insecure === undefined ? {} : { insecure }),
    ...(keys === undefined ? {} : { policy: { file: resolve(host.cwd, keys) } }),
  }
}

function serverUrl(flag: CacheFlag, { url }: CacheSettings): string {
  if (url === undefined) throw flag.wrong('type "server" needs url=URL')
  const parsed = parseUrl(url)
  if (parsed === undefined || !/^https?:$/.test(parsed.protocol))
    throw flag.wrong('url begins with https:// or http://', ['For example `url=http://127.0.0.1:7070`.'])
  if (parsed.username !== '' || parsed.password !== '')
    throw flag.wrong('url holds a user or a password', [
      'A token is given with token-file=FILE or oidc=github.',
    ])
  if (parsed.search !== '' || parsed.hash !== '') throw flag.wrong('url has a part after "?" or "#"')
  return parsed.href.replace(/\/+$/, '')
}

function proof(
  flag: CacheFlag,
  { token, tokenFile, oidc }: CacheSettings,
  { cwd, env }: Host,
): Pick<ServerPlace, 'token' | 'identity'> {
  if ([token, tokenFile, oidc].filter((one) => one !== undefined).length > 1)
    throw flag.wrong('of token, token-file and oidc there can be one')
  if (oidc !== undefined) return { identity: identityOf(flag, oidc, env) }
  if (tokenFile !== undefined) return { token: () => readToken(resolve(cwd, tokenFile)) }
  const given = token ?? env.TSBUILD_CACHE_TOKEN
  return given === undefined || given === '' ? {} : { token: async () => given }
}

async function readToken(path: string): Promise<string> {
  let text: string
  try {
    text = (await readFile(path, 'utf8')).trim()
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new UserError('ERR_SECRET', `Cannot read token file "${path}": ${code}`, { cause })
  }
  if (text === '') throw new UserError('ERR_SECRET', `Cannot use token file "${path}": it is empty`)
  return text
}

function identityOf(flag: CacheFlag, provider: 'github' | 'gitlab', env: Host['env']): CiIdentity {
  if (provider === 'gitlab') {
    const { TSBUILD_ID_TOKEN: idToken = '' } = env
    if (idToken !== '') return { provider, idToken }
    throw flag.wrong('TSBUILD_ID_TOKEN is not set', [
      'Give the job `id_tokens: {TSBUILD_ID_TOKEN: {aud: URL of the cache-server}}`.',
    ])
  }
  const { ACTIONS_ID_TOKEN_REQUEST_URL: requestUrl = '', ACTIONS_ID_TOKEN_REQUEST_TOKEN: requestToken = '' } =
    env
  if (requestUrl !== '' && requestToken !== '') return { provider, requestUrl, requestToken }
  throw flag.wrong('ACTIONS_ID_TOKEN_REQUEST_URL is not set', [
    'Give the job `permissions: {id-token: write}`.',
  ])
}
