import { matchesAny } from './glob.ts'
import { isScopeRepository, scopeOfRepository } from './scope-repository.ts'
import type { Decision, Grant, Operation, Scope, Target } from './types.ts'

/** What a route needs: nothing, a valid grant of any kind, or an operation. */
export type Needs = 'public' | 'any' | Operation

/** What an operation on something needs besides the operation itself, and what is said where that is missing. */
interface Rule {
  readonly reach: 'everything' | 'read chain' | 'write scope' | 'pull patterns' | 'push patterns' | 'nothing'
  readonly otherwise: 'hidden' | 'forbidden'
}

const everywhere: Rule = { reach: 'everything', otherwise: 'forbidden' }

/**
 * Who may do what to what: for each kind of thing and operation how far a grant must reach. An operation never implies another.
 * What may not be read looks as if it were not there; that something may not be written is said of everything alike, be it there or
 * not.
 */
export const permissions: Readonly<
  Record<'server' | 'scope' | 'repository' | 'stray', Readonly<Record<Operation, Rule>>>
> = {
  server: { pull: everywhere, push: everywhere, delete: everywhere, admin: everywhere },
  scope: {
    pull: { reach: 'read chain', otherwise: 'hidden' },
    push: { reach: 'write scope', otherwise: 'forbidden' },
    delete: { reach: 'write scope', otherwise: 'forbidden' },
    admin: everywhere,
  },
  repository: {
    pull: { reach: 'pull patterns', otherwise: 'hidden' },
    push: { reach: 'push patterns', otherwise: 'forbidden' },
    delete: { reach: 'push patterns', otherwise: 'forbidden' },
    admin: everywhere,
  },
  // Below `cache/`, and no scope's.
  stray: {
    pull: { reach: 'nothing', otherwise: 'hidden' },
    push: { reach: 'nothing', otherwise: 'forbidden' },
    delete: { reach: 'nothing', otherwise: 'forbidden' },
    admin: { reach: 'nothing', otherwise: 'forbidden' },
  },
}

/**
 * Says whether a grant permits something. Whoever showed no token is asked for one wherever it might help.
 *
 * @see spec/cache-server.md 4.3
 */
export function decide(grant: Grant, needs: Needs, target: Target): Decision {
  if (needs === 'public') return 'allowed'
  const decision = decideAuthenticated(grant, needs, target)
  return decision === 'allowed' || grant.authenticated ? decision : 'unauthenticated'
}

function decideAuthenticated(grant: Grant, needs: Needs, target: Target): Decision {
  // An anonymous grant that permits nothing is none.
  if (needs === 'public' || needs === 'any')
    return grant.authenticated || grant.operations.length > 0 ? 'allowed' : 'unauthenticated'
  if (!grant.operations.includes(needs)) return 'forbidden'
  const seen = seenAs(target)
  const { reach, otherwise } = permissions[seen.kind][needs]
  return reaches(grant, reach, seen) ? 'allowed' : otherwise
}

/** A repository of a scope is decided about as the scope. */
function seenAs(target: Target): Target | { readonly kind: 'stray' } {
  if (target.kind !== 'repository' || !isScopeRepository(target.name)) return target
  const scope = scopeOfRepository(target.name)
  return scope === undefined ? { kind: 'stray' } : { kind: 'scope', scope }
}

function reaches(grant: Grant, reach: Rule['reach'], target: Target | { readonly kind: 'stray' }): boolean {
  if (reach === 'everything') return true
  if (target.kind === 'scope') return reachesScope(grant, reach, target.scope)
  if (target.kind !== 'repository') return false
  if (reach === 'pull patterns') return matchesAny(grant.repositories.pull, target.name)
  return reach === 'push patterns' && matchesAny(grant.repositories.push, target.name)
}

function reachesScope(grant: Grant, reach: Rule['reach'], scope: Scope): boolean {
  if (reach === 'read chain') return grant.read.includes(scope)
  return reach === 'write scope' && grant.write === scope
}
