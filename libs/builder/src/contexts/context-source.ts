import { statSync } from 'node:fs'
import { basename, resolve } from 'node:path'
import { type GitUrl, parseGitUrl } from '@tsbuild/dockerfile'
import { redact, UserError } from '@tsbuild/errors'

/** What a context given by a text is. */
export type ContextSource =
  | { readonly kind: 'stdin' }
  /** @property path absolute */
  | { readonly kind: 'directory'; readonly path: string }
  | { readonly kind: 'git'; readonly url: GitUrl }
  | { readonly kind: 'http'; readonly url: string }
  /** What an image is resolved by; only named contexts are images. */
  | { readonly kind: 'image'; readonly reference: string }

/**
 * Says what `CONTEXT` of the command line means. A directory of the machine goes before what only looks like a URL, as
 * `github.com/o/r` may.
 *
 * @throws {UserError} `ERR_URL_INVALID`
 * @see spec/dockerfile.md 1.7
 */
export function mainContextSource(text: string, cwd: string): ContextSource {
  return text === '-' ? { kind: 'stdin' } : filesSource(text, cwd)
}

/**
 * Says what the value of `--build-context NAME=VALUE` means.
 *
 * @throws {UserError} `ERR_USAGE`, `ERR_UNSUPPORTED`, `ERR_URL_INVALID`
 * @see spec/dockerfile.md 1.7
 */
export function namedContextSource(name: string, text: string, cwd: string): ContextSource {
  const [, scheme, rest = ''] = /^([a-z][a-z-]*):(?:\/\/)?(.*)$/s.exec(text) ?? []
  switch (scheme) {
    case 'docker-image':
      return { kind: 'image', reference: nonEmpty(name, text, rest) }
    case 'oci-layout':
      return { kind: 'image', reference: `oci-layout://${resolve(cwd, nonEmpty(name, text, rest))}` }
    case 'target':
    case 'input': {
      const message = `Cannot use the named context "${name}": ${scheme}: is a matter of bake files, which are not supported`
      throw new UserError('ERR_UNSUPPORTED', message)
    }
    default:
      return filesSource(text, cwd)
  }
}

function nonEmpty(name: string, text: string, rest: string): string {
  if (rest !== '') return rest
  throw new UserError('ERR_USAGE', `Cannot use the named context "${name}": "${text}" names nothing`)
}

function filesSource(text: string, cwd: string): ContextSource {
  const path = resolve(cwd, text)
  if (isDirectory(path)) return { kind: 'directory', path }
  const url = parseGitUrl(text)
  if (url !== undefined) return { kind: 'git', url }
  return isHttpUrl(text) ? { kind: 'http', url: text } : { kind: 'directory', path }
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true
  } catch {
    // What keeps it from being looked at is said when it is opened.
    return false
  }
}

/** Whether a text is a URL that a file can be fetched from. */
export function isHttpUrl(text: string): boolean {
  return /^https?:\/\//i.test(text)
}

/** The last element of a URL's path, as a name for messages. */
export function fileNameOf(url: string): string {
  return basename(redact(url).replace(/[?#].*$/s, '')) || 'Dockerfile'
}
