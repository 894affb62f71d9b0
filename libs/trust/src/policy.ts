import { UserError } from '@tsbuild/errors'
import { matchesAny } from './glob.ts'
import { parsePublicKey } from './key.ts'
import type { Scope, TrustedKey, TrustPolicy } from './types.ts'

/** The keys that may speak for a scope: those of the first rule that matches it; none where no rule does. */
export function keysFor(policy: TrustPolicy, scope: Scope): readonly TrustedKey[] {
  return policy.rules.find(({ scopes }) => matchesAny(scopes, scope))?.keys ?? []
}

/**
 * Reads a file of trusted keys: in each line a pattern of scopes and a public key in base64, divided by spaces. Lines that are
 * empty or begin with `#` say nothing. Lines with the same pattern are one rule, which has all their keys; the rule whose
 * pattern comes first counts.
 *
 * @param name of the file, for errors
 * @throws {UserError} `ERR_CACHE_KEYS_FILE` with the number of the line; also for a file that trusts nobody
 */
export function parseKeysFile(text: string, name: string): TrustPolicy {
  const rules = new Map<string, TrustedKey[]>()
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    const trimmed = line.trim()
    if (trimmed === '' || trimmed.startsWith('#')) continue
    const [scopes = '', written = '', ...others] = trimmed.split(/\s+/)
    const key = parsePublicKey(written)
    const fault =
      written === '' || others.length > 0
        ? 'expected a pattern of scopes and a key'
        : !/^\*\*$|^[^:]+(?::[^:]+){1,2}$/.test(scopes)
          ? `expected a pattern of scopes (PROJECT:ref/*, or ** for all) before the key, and not "${scopes}"`
          : key === undefined
            ? 'expected a key of 32 bytes in base64'
            : undefined
    if (fault !== undefined || key === undefined)
      throw new UserError('ERR_CACHE_KEYS_FILE', `Cannot read keys "${name}": line ${index + 1}: ${fault}`)
    rules.set(scopes, [...(rules.get(scopes) ?? []), key])
  }
  if (rules.size === 0)
    throw new UserError('ERR_CACHE_KEYS_FILE', `Cannot read keys "${name}": it trusts no key`, {
      hints: [
        'Write a pattern of scopes and a key into a line: ** followed by the key that the server shows.',
      ],
    })
  return { rules: [...rules].map(([scopes, keys]) => ({ scopes: [scopes], keys })) }
}
