import type { GitCredentials, GitRemote } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import type { SecretSource } from '../remote-source.ts'
import type { GitConfigEntry } from './git-environment.ts'

/** A remote and what is said to it. */
export interface RemoteAccess {
  readonly remote: GitRemote
  readonly config: readonly GitConfigEntry[]
  /** Texts that must not be seen anywhere. */
  readonly secrets: readonly string[]
  /** What a user may do when the remote says no, as hints. */
  readonly hints: readonly string[]
}

/** Where credentials come from. */
export interface CredentialSources {
  readonly secrets: SecretSource
  /** Of the URL that the user wrote, for this remote. */
  readonly credentials?: ((remote: string) => GitCredentials | undefined) | undefined
}

/**
 * Looks for the credentials of a remote: those of its own URL, then the secrets `GIT_AUTH_HEADER.<host>`,
 * `GIT_AUTH_TOKEN.<host>`, `GIT_AUTH_HEADER` and `GIT_AUTH_TOKEN`. The last two are for the repository that was asked for,
 * and for its submodules on the same host. Secrets are not sent over `http:`, except to this machine.
 *
 * @param root the repository that was asked for
 * @throws {UserError} `ERR_SECRET` if a secret cannot stand in a header
 * @see spec/dockerfile.md 3.4, `auth`
 */
export async function accessTo(
  remote: GitRemote,
  root: GitRemote,
  sources: CredentialSources,
): Promise<RemoteAccess> {
  if (remote.scheme === 'ssh') return { remote, config: [], secrets: [], hints: sshHints }
  if (remote.scheme === 'git') return { remote, config: [], secrets: [], hints: [] }
  const own = remote.credentials ?? sources.credentials?.(remote.remote)
  if (own !== undefined) return authorized(remote, basic(own), [own.password || own.username])
  if (remote.scheme === 'http' && !isLoopback(remote.host)) {
    const hints = ['Secrets are not sent over http, where everybody on the way can read them; use https.']
    return { remote, config: [], secrets: [], hints }
  }
  for (const { id, isToken } of secretIds(remote, root)) {
    const bytes = await sources.secrets(id)
    if (bytes === undefined) continue
    const text = headerText(id, bytes)
    const header = isToken ? basic({ username: 'x-access-token', password: text }) : text
    return authorized(remote, header, [text])
  }
  const hint = `Give a token with \`--secret id=GIT_AUTH_TOKEN.${remote.host},env=NAME\` if the repository is not public.`
  return { remote, config: [], secrets: [], hints: [hint] }
}

const sshHints = [
  'Keys come from the agent of `--ssh default`, for a context else from that of SSH_AUTH_SOCK; the host must be in known_hosts.',
  'With https, a token can be given as the secret GIT_AUTH_TOKEN.',
]

function secretIds(remote: GitRemote, root: GitRemote): readonly { id: string; isToken: boolean }[] {
  const host = remote.host.toLowerCase()
  const scopes = [...new Set([`.${host}`, `.${host.replace(/:\d+$/, '')}`])]
  if (remote.scheme === root.scheme && host === root.host.toLowerCase()) scopes.push('')
  return scopes.flatMap((scope) => [
    { id: `GIT_AUTH_HEADER${scope}`, isToken: false },
    { id: `GIT_AUTH_TOKEN${scope}`, isToken: true },
  ])
}

/**
 * git sends an extra header to whatever host a redirect of its first request names, so redirects are not followed with one.
 */
function authorized(remote: GitRemote, header: string, secrets: readonly string[]): RemoteAccess {
  const words = header.split(/\s+/)
  return {
    remote,
    config: [
      [`http.${remote.remote}.extraHeader`, `Authorization: ${header}`],
      ['http.followRedirects', 'false'],
    ],
    secrets: [...secrets, header, ...words.slice(1)].filter((text) => text.length > 3),
    hints: ['The credentials of the build were sent. Do they give access to this repository?'],
  }
}

function basic({ username, password }: GitCredentials): string {
  return `basic ${Buffer.from(`${username}:${password}`).toString('base64')}`
}

function headerText(id: string, bytes: Uint8Array): string {
  const text = Buffer.from(bytes).toString().trim()
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they would end the header
  if (text !== '' && !/[\u0000-\u001f\u007f]/.test(text)) return text
  throw new UserError('ERR_SECRET', `Cannot use the secret "${id}": expected one line of text`)
}

function isLoopback(host: string): boolean {
  return /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/i.test(host)
}
