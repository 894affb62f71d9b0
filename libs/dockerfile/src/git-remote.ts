/** What a user name and a password in a URL say; the password may be empty. */
export interface GitCredentials {
  readonly username: string
  readonly password: string
}

/** Where a repository is, without secrets. */
export interface GitRemote {
  /** What `git fetch` takes. A user name stays in the `ssh` forms only, a password in none. */
  readonly remote: string
  readonly scheme: 'https' | 'http' | 'ssh' | 'git'
  /** With its port, as written. */
  readonly host: string
  /** As written: percent-encoded in URLs, relative to the home directory in the form `user@host:path`. */
  readonly path: string
  /** Of the `http` and `https` forms, decoded. */
  readonly credentials: GitCredentials | undefined
}

const urlForm = /^([a-z0-9+.-]+):\/\/([^/?#]*)([^?#]*)$/i
const scpForm = /^(?:([\w-]+)@)?(\[[0-9a-f:.]+\]|[a-z0-9._][a-z0-9._-]*):(.*)$/is
const schemes = ['https', 'http', 'ssh', 'git'] as const

/**
 * Reads a URL of the four schemes that are fetched from, or `[user@]host:path` for ssh. Everything that git would take for
 * a file of this machine, a program (`ext::`) or an option is refused, and so are line breaks and other control characters.
 *
 * @param text without query and fragment
 * @returns a sentence's end that says what is wrong
 */
export function readGitRemote(text: string): GitRemote | string {
  if (hasControls(text)) return 'it has a control character'
  const url = urlForm.exec(text)
  if (url !== null) return readUrl(url[1] ?? '', url[2] ?? '', url[3] ?? '')
  const scp = text.includes('://') || text.includes('::') ? null : scpForm.exec(text)
  if (scp === null) return 'expected https://, http://, ssh://, git:// or user@host:path'
  const [, user, host = '', path = ''] = scp
  if (user?.startsWith('-') || path.startsWith('-') || path === '')
    return 'its user name or path is malformed'
  return { remote: text, scheme: 'ssh', host, path, credentials: undefined }
}

function readUrl(schemeText: string, authority: string, path: string): GitRemote | string {
  const scheme = schemes.find((one) => one === schemeText.toLowerCase())
  if (scheme === undefined) return `the scheme ${JSON.stringify(schemeText)} is not fetched from`
  const at = authority.lastIndexOf('@')
  const host = authority.slice(at + 1)
  // A host that begins with a hyphen would be an option of ssh.
  if (!/^(?:\[[0-9a-f:.%]+\]|[^\s\-:[\]\\][^\s:[\]\\]*)(?::\d{1,5})?$/i.test(host))
    return `its host ${JSON.stringify(host)} is malformed`
  if (path === '' || path === '/') return 'it names no repository of the host'
  const userInfo = at === -1 ? undefined : readUserInfo(authority.slice(0, at))
  if (userInfo === null) return 'its user name or password is malformed'
  const user = scheme === 'ssh' && userInfo !== undefined && userInfo.username !== '' ? userInfo.username : ''
  if (user.startsWith('-') || /[@:/?#\s]/.test(user)) return 'its user name is malformed'
  const remote = `${scheme}://${user === '' ? '' : `${user}@`}${host}${path}`
  const credentials = scheme === 'https' || scheme === 'http' ? userInfo : undefined
  return { remote, scheme, host, path, credentials }
}

/** @returns null for text that cannot be decoded, or that would break out of a header */
function readUserInfo(text: string): GitCredentials | null {
  const colon = text.indexOf(':')
  const username = decode(colon === -1 ? text : text.slice(0, colon))
  const password = colon === -1 ? '' : decode(text.slice(colon + 1))
  if (username === undefined || password === undefined) return null
  return hasControls(username) || hasControls(password) ? null : { username, password }
}

/** Percent-decodes; undefined for text that is not encoded UTF-8. */
export function decode(text: string): string | undefined {
  try {
    return decodeURIComponent(text)
  } catch {
    return undefined
  }
}

/** Whether a text has a character that no URL, ref or path of ours may have. */
export function hasControls(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return /[\u0000-\u001f\u007f]/.test(text)
}

/**
 * Where a submodule is. Only `./` and `../` are relative to the remote of the repository that has it; more `../` than there
 * are directories end at the host, never at another one.
 *
 * @param url as in `.gitmodules`
 * @returns a sentence's end that says what is wrong
 */
export function resolveSubmoduleRemote(parent: GitRemote, url: string): GitRemote | string {
  if (!url.startsWith('./') && !url.startsWith('../')) return readGitRemote(url)
  const segments = parent.path.split('/').filter((segment) => segment !== '')
  for (const segment of url.split('/')) {
    if (segment === '..') {
      if (segments.length === 0) return `${JSON.stringify(url)} leaves the host`
      segments.pop()
    } else if (segment !== '.' && segment !== '') segments.push(segment)
  }
  const head = parent.remote.slice(0, parent.remote.length - parent.path.length)
  return readGitRemote(`${head}${parent.path.startsWith('/') ? '/' : ''}${segments.join('/')}`)
}

/**
 * Whether a text can be the name of a branch, a tag, a ref, or a commit, and nothing else: no option, no pattern, no
 * revision such as `HEAD~1`.
 *
 * @see https://git-scm.com/docs/git-check-ref-format
 */
export function isGitRefName(text: string): boolean {
  if (hasControls(text) || /[\s~^:?*[\\]|\.\.|@\{|\/\/|\/\./.test(text)) return false
  if (/^[-./]|[./]$|\.lock(?:\/|$)/.test(text)) return false
  return text !== '' && text !== '@'
}
