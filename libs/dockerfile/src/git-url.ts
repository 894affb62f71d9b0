import { didYouMean, redact, UserError } from '@tsbuild/errors'
import { decode, type GitCredentials, hasControls, isGitRefName, readGitRemote } from './git-remote.ts'

/** A repository as a context or as a source of ADD. */
export interface GitUrl {
  /** What `git fetch` takes; never a password. */
  readonly remote: string
  /** A branch, a tag, a full ref or a commit; empty is the remote's HEAD. */
  readonly ref: string
  /** Relative and clean; empty is the repository's own root. */
  readonly subdir: string
  /** Lowercase hex, 7 to 64 digits. */
  readonly checksum: string | undefined
  /** Undefined where the URL does not say; the default is no. */
  readonly keepGitDir: boolean | undefined
  /** Undefined where the URL does not say; the default is yes. */
  readonly submodules: boolean | undefined
  /** Undefined where the URL does not say; the default is `checkout`. */
  readonly mtime: 'checkout' | 'commit' | undefined
  /** From the URL, for this remote only. */
  readonly credentials: GitCredentials | undefined
  /** `github.com/o/r`: a path may look the same. It is a repository for a context, and a path for ADD. */
  readonly mayBePath: boolean
}

const scpWithUser = /^[\w-]+@[a-z0-9.-]+:/i
const keys = [
  'ref',
  'tag',
  'branch',
  'subdir',
  'commit',
  'checksum',
  'keep-git-dir',
  'submodules',
  'mtime',
  'fetch-by-commit',
]

/**
 * Reads what BuildKit calls a git URL: `https://` and `http://` whose path ends in `.git`, `ssh://`, `git://`,
 * `user@host:path` and `github.com/o/r`, each with `#ref:subdir` or a query. `file://` is none: a Dockerfile must not
 * reach repositories of the machine.
 *
 * @returns undefined for everything else: a path, or the URL of a file
 * @throws {UserError} `ERR_URL_INVALID` if it is a git URL and something in it is wrong
 * @see spec/dockerfile.md 1.7, 3.4
 */
export function parseGitUrl(text: string): GitUrl | undefined {
  const { base, query, fragment } = split(text)
  const mayBePath = base.startsWith('github.com/')
  if (!mayBePath && !looksLikeGit(base)) return undefined
  const found = readGitRemote(mayBePath ? `https://${base}` : base)
  if (typeof found === 'string') throw invalid(text, found)
  const isUrl = mayBePath || base.includes('://')
  const parts = readFragment(text, isUrl ? decode(fragment) : fragment)
  const options = readQuery(text, query)
  const merged = merge(text, parts, options)
  return { remote: found.remote, ...merged, credentials: found.credentials, mayBePath }
}

function split(text: string): { readonly base: string; readonly query: string; readonly fragment: string } {
  const [, base = '', query = '', fragment = ''] = /^([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(text) ?? []
  return { base, query, fragment }
}

function looksLikeGit(base: string): boolean {
  const scheme = /^([a-z0-9]+):\/\//i.exec(base)?.[1]?.toLowerCase()
  if (scheme === undefined) return !base.includes('://') && scpWithUser.test(base)
  if (scheme === 'http' || scheme === 'https') return base.endsWith('.git')
  return scheme === 'ssh' || scheme === 'git'
}

function readFragment(text: string, fragment: string | undefined) {
  if (fragment === undefined) throw invalid(text, 'its fragment is malformed')
  const colon = fragment.indexOf(':')
  return colon === -1
    ? { ref: fragment, subdir: '' }
    : { ref: fragment.slice(0, colon), subdir: fragment.slice(colon + 1) }
}

function readQuery(text: string, query: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const pair of query.split('&').filter((one) => one !== '')) {
    const equals = pair.indexOf('=')
    const written = equals === -1 ? pair : pair.slice(0, equals)
    const key = decode(written.replaceAll('+', ' '))
    const value = equals === -1 ? '' : decode(pair.slice(equals + 1).replaceAll('+', ' '))
    if (key === undefined || value === undefined) throw invalid(text, 'its query is malformed')
    if (!keys.includes(key))
      throw invalid(text, `unexpected query ${JSON.stringify(key)}`, didYouMean(key, keys))
    if (found.has(key)) throw invalid(text, `query "${key}" has multiple values`)
    if (value === '' && !booleans.has(key)) throw invalid(text, `query "${key}" has no value`)
    found.set(key, value)
  }
  return found
}

type Merged = Pick<GitUrl, 'ref' | 'subdir' | 'checksum' | 'keepGitDir' | 'submodules' | 'mtime'>

function merge(
  text: string,
  fragment: { readonly ref: string; readonly subdir: string },
  query: ReadonlyMap<string, string>,
): Merged {
  const tag = prefixed('refs/tags/', query.get('tag'))
  const branch = prefixed('refs/heads/', query.get('branch'))
  if (tag !== undefined && branch !== undefined) throw invalid(text, 'branch conflicts with tag')
  const ref = one(text, 'ref', [fragment.ref || undefined, query.get('ref'), tag, branch]) ?? ''
  const subdir = one(text, 'subdir', [fragment.subdir || undefined, query.get('subdir')]) ?? ''
  const written = one(text, 'checksum', [query.get('checksum'), query.get('commit')])
  const checksum = written === undefined ? undefined : parseGitChecksum(written)
  if (checksum === null)
    throw invalid(text, `the commit ${JSON.stringify(written)} is not 7 to 64 hex digits`)
  const mtime = query.get('mtime')
  if (mtime !== undefined && mtime !== 'checkout' && mtime !== 'commit')
    throw invalid(text, `mtime ${JSON.stringify(mtime)} is neither "checkout" nor "commit"`)
  if (ref !== '' && !isGitRefName(ref))
    throw invalid(text, `${JSON.stringify(ref)} cannot be a branch, tag or commit`)
  const byCommit = flag(text, query, 'fetch-by-commit') === true
  if (byCommit && !/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(checksum ?? ''))
    throw invalid(text, 'fetch-by-commit needs the full commit, as commit=…')
  return {
    ref: byCommit ? (checksum ?? '') : ref,
    subdir: cleanSubdir(text, subdir),
    checksum,
    keepGitDir: flag(text, query, 'keep-git-dir'),
    submodules: flag(text, query, 'submodules'),
    mtime,
  }
}

function prefixed(prefix: string, name: string | undefined): string | undefined {
  return name === undefined || name.startsWith(prefix) ? name : `${prefix}${name}`
}

/** The one value that several places may give. */
function one(text: string, what: string, values: readonly (string | undefined)[]): string | undefined {
  const given = values.filter((value) => value !== undefined)
  const other = given.find((value) => value !== given[0])
  if (other === undefined) return given[0]
  throw invalid(text, `${what} conflicts: ${JSON.stringify(given[0])} vs ${JSON.stringify(other)}`)
}

const booleans = new Set(['keep-git-dir', 'submodules', 'fetch-by-commit'])
const trueWords = ['', '1', 't', 'T', 'TRUE', 'true', 'True']
const falseWords = ['0', 'f', 'F', 'FALSE', 'false', 'False']

function flag(text: string, query: ReadonlyMap<string, string>, key: string): boolean | undefined {
  const value = query.get(key)
  if (value === undefined) return undefined
  if (trueWords.includes(value)) return true
  if (falseWords.includes(value)) return false
  throw invalid(text, `invalid ${key} value: ${JSON.stringify(value)}`)
}

function cleanSubdir(text: string, subdir: string): string {
  const segments: string[] = []
  for (const segment of subdir.split('/')) {
    if (segment === '..') {
      if (segments.pop() === undefined)
        throw invalid(text, `the directory ${JSON.stringify(subdir)} is outside of the repository`)
    } else if (segment !== '' && segment !== '.') segments.push(segment)
  }
  if (hasControls(subdir) || segments.some((segment) => segment.toLowerCase() === '.git'))
    throw invalid(text, `${JSON.stringify(subdir)} cannot be a directory of a repository`)
  return segments.join('/')
}

/**
 * Reads the commit that `--checksum` or a query demands.
 * @returns null unless it is 7 to 64 hex digits; lowercase
 */
export function parseGitChecksum(text: string): string | null {
  return /^[0-9a-f]{7,64}$/i.test(text) ? text.toLowerCase() : null
}

function invalid(text: string, why: string, hints: readonly string[] = []): UserError {
  // The whole of what stands before the host, also where it is malformed and no user name.
  const shown = redact(text.replace(/^([a-z0-9]+:\/\/)[^/?#]*@/i, '$1***@'))
  return new UserError('ERR_URL_INVALID', `Cannot use the git URL ${JSON.stringify(shown)}: ${why}`, {
    hints,
  })
}
