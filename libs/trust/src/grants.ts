import { parseScope } from './scope.ts'
import type { Grant, Scope } from './types.ts'

/** The scope of a server that asks nobody who they are. */
export const localScope: Scope = parseScope('local:ref/main')

/** What bytes, requests and uploads of a grant are counted by. No account is ever the id of another token. */
export function accountOf({ id, account }: Grant): string {
  return account === undefined ? id : `account ${account}`
}

/** What somebody may do who shows no token: nothing. */
export const nobody: Grant = {
  authenticated: false,
  subject: 'anonymous',
  read: [],
  write: undefined,
  operations: [],
  repositories: { pull: [], push: [] },
  maxBytes: undefined,
  expiresAt: undefined,
  id: 'anonymous',
}

/** What somebody may do who shows no token to a server with `--public-read`. */
export function publicGrant(read: readonly Scope[], pull: readonly string[]): Grant {
  return { ...nobody, read, operations: ['pull'], repositories: { pull, push: [] } }
}

/** What everybody may do on a server that listens on loopback only and has no authentication: everything. */
export const loopbackGrant: Grant = {
  ...nobody,
  // No token would help where none is known.
  authenticated: true,
  subject: 'local',
  read: [localScope],
  write: localScope,
  operations: ['pull', 'push', 'delete', 'admin'],
  repositories: { pull: ['**'], push: ['**'] },
  id: 'local',
}
