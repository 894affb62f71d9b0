import { UserError } from '@tsbuild/errors'
import { encodeRepositoryName, maxRepositoryLength } from './repository-name.ts'
import type { Scope } from './types.ts'

/** The parts of a scope. */
export interface ScopeParts {
  /** `acme/app`, or with its forge `gh:acme/app`. */
  readonly project: string
  readonly kind: 'ref' | 'pr' | 'user'
  readonly name: string
}

const component = /^[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9_-])?$/
const forge = /^[a-z][a-z0-9]{0,15}$/
const userName = /^[A-Za-z0-9](?:[A-Za-z0-9._@+-]*[A-Za-z0-9_-])?$/
const number = /^[1-9]\d{0,17}$/
/** What nobody sees, or takes for something else: controls, formats (bidirectional overrides, joiners), spaces, lone surrogates. */
const invisible = /[\p{C}\p{Z}]/u
/** What git refuses in the name of a branch, and `%`: decoding a scope twice must not change it. */
const refusedInRefs = /[~^:?*[\\%]|\.\.|@\{/

/**
 * Takes a scope apart. Scopes are compared as they are written: neither case nor Unicode forms are folded, and a text of which
 * another form would look the same is none.
 *
 * @returns undefined for what is no scope
 */
export function scopeParts(text: string): ScopeParts | undefined {
  // A bound before the expressions see it.
  if (text.length > maxRepositoryLength || text !== text.normalize('NFC') || invisible.test(text))
    return undefined
  const colon = text.lastIndexOf(':')
  const project = text.slice(0, Math.max(colon, 0))
  const [, kind, name = ''] = /^(ref|pr|user)\/(.+)$/s.exec(text.slice(colon + 1)) ?? []
  if (!isProject(project)) return undefined
  if (kind === 'ref' && isRefName(name)) return { project, kind, name }
  if (kind === 'pr' && isRequestName(name)) return { project, kind, name }
  if (kind === 'user' && userName.test(name) && !name.includes('..')) return { project, kind, name }
  return undefined
}

/** Whether a text is a scope; see {@link scopeParts}. */
export function isScope(text: string): text is Scope {
  // What has no repository of an allowed length has nowhere to keep its layers.
  return scopeParts(text) !== undefined && encodeRepositoryName(text).length <= maxRepositoryLength
}

/**
 * Parses a scope: `<project>:<kind>/<name>`.
 *
 * - project: components of ASCII letters, digits, `.`, `_` and `-`, divided by `/`, perhaps after a forge: `gh:acme/app`
 * - `ref/<name>`: a name that git takes for a branch, without `%`
 * - `pr/<number>`, or `pr/<number>/<ref name>` where the forge tells no number of the request (the number is then its project's)
 * - `user/<name>`: ASCII letters, digits and `._@+-`
 *
 * @throws {UserError} `ERR_CACHE_SCOPE`
 * @see spec/cache-server.md 4.3
 */
export function parseScope(text: string): Scope {
  if (isScope(text)) return text
  const shown = text.length > 100 ? `${text.slice(0, 100)}…` : text
  throw new UserError(
    'ERR_CACHE_SCOPE',
    `Cannot parse scope ${JSON.stringify(shown)}: expected PROJECT:ref/BRANCH, PROJECT:pr/NUMBER or PROJECT:user/NAME`,
  )
}

function isProject(text: string): boolean {
  const [first = '', second, ...others] = text.split(':')
  if (others.length > 0 || (second !== undefined && !forge.test(first))) return false
  return (second ?? first).split('/').every((part) => component.test(part) && !part.includes('..'))
}

/** @see https://git-scm.com/docs/git-check-ref-format */
function isRefName(name: string): boolean {
  if (name === '@' || name.startsWith('-') || name.endsWith('.') || refusedInRefs.test(name)) return false
  return name.split('/').every((part) => part !== '' && !part.startsWith('.') && !part.endsWith('.lock'))
}

function isRequestName(name: string): boolean {
  const slash = name.indexOf('/')
  if (slash === -1) return number.test(name)
  return number.test(name.slice(0, slash)) && isRefName(name.slice(slash + 1))
}
