import { decodeRepositoryName, encodeRepositoryName, scopesRoot } from './repository-name.ts'
import { isScope } from './scope.ts'
import type { Scope } from './types.ts'

/**
 * The repository below `/v2` that holds the layers of a scope: `acme/app:ref/main` is `cache/acme/app__ref/main`. No two scopes
 * share one, whatever their case and characters:
 *
 * - `a` to `y`, digits and `/` stay, and `.`, `_` and `-` between two characters that are none of those
 * - `:` becomes `__`, and nothing else does
 * - a capital becomes `z` and its small letter; any other byte of UTF-8 becomes `z` and two hex digits, from 0x80 on `z0` and those
 */
export function repositoryOfScope(scope: Scope): string {
  return encodeRepositoryName(scope)
}

/** The scope whose repository this is. Each has one name: undefined for all others, be they below `cache/` or not. */
export function scopeOfRepository(name: string): Scope | undefined {
  const text = decodeRepositoryName(name)
  return text !== undefined && isScope(text) && encodeRepositoryName(text) === name ? text : undefined
}

/** Whether a repository is among those kept for scopes, be there such a scope or not. */
export function isScopeRepository(name: string): boolean {
  return name === scopesRoot || name.startsWith(`${scopesRoot}/`)
}
