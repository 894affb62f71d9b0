import { decodePayload, type StepPayload, type StepRecord, stepPayloadType } from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import { verifyForScope } from '@tsbuild/trust'
import type { ServerTrust } from './server-trust.ts'

/**
 * What a record says, if it may count: of a form that is known, about the key that was asked for, of a scope that the token reads, and
 * signed by a key that may speak for that scope. The server may have been changed, and what it keeps too.
 *
 * @returns `unknown` for a record of a later version, which is simply none for this one
 */
export function verifiedPayload(
  { envelope }: StepRecord,
  key: Digest,
  { capabilities, policy }: ServerTrust,
): StepPayload | 'unknown' | 'untrusted' {
  const payload = decodePayload(envelope)
  if (payload === undefined) return 'unknown'
  if (payload.key !== key || !capabilities.read.includes(payload.scope)) return 'untrusted'
  return verifyForScope(envelope, policy, payload.scope, stepPayloadType) === undefined
    ? 'untrusted'
    : payload
}
