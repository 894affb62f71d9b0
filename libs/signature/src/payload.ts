import type { Digest } from '@tsbuild/digest'
import { parseJsonObject } from '@tsbuild/oci'
import { either, exactly, isRecord, nothing, oneOf, optional, text } from '@tsbuild/shape'

const payloadType = 'cosign container image signature'

/** What is signed about an image. */
export interface SimpleSigning {
  /** The repository, without a tag: `docker.io/library/app`. */
  readonly identity: string
  readonly digest: string
  readonly annotations: Readonly<Record<string, unknown>>
}

interface Payload {
  readonly critical: {
    readonly identity: { readonly 'docker-reference': string }
    readonly image: { readonly 'docker-manifest-digest': string }
    readonly type: typeof payloadType
  }
  readonly optional: Readonly<Record<string, unknown>> | null
}

const criticalShape = exactly({
  identity: exactly({ 'docker-reference': text }),
  image: exactly({ 'docker-manifest-digest': text }),
  type: oneOf(payloadType),
})
const optionalShape = optional(either(nothing, isRecord))

/**
 * The bytes that are signed for an image: the same words always give the same bytes.
 * @see https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
 */
export function serializePayload(
  identity: string,
  digest: Digest,
  annotations: Readonly<Record<string, string>>,
): Buffer {
  const sorted = Object.entries(annotations).sort(([a], [b]) => (a < b ? -1 : 1))
  const payload: Payload = {
    critical: {
      identity: { 'docker-reference': identity },
      image: { 'docker-manifest-digest': digest },
      type: payloadType,
    },
    optional: sorted.length === 0 ? null : Object.fromEntries(sorted),
  }
  return Buffer.from(JSON.stringify(payload))
}

/**
 * Reads what was signed. Nothing unknown is borne where it counts: what a reader does not know it would pass over.
 *
 * @returns undefined for what is no such payload
 */
export function parsePayload(bytes: Uint8Array): SimpleSigning | undefined {
  const value = parsedOrNothing(bytes)
  if (!isRecord(value) || !criticalShape(value.critical) || !optionalShape(value.optional)) return undefined
  if (Object.keys(value).some((name) => name !== 'critical' && name !== 'optional')) return undefined
  const { critical, optional: stated } = value as unknown as Payload
  return {
    identity: critical.identity['docker-reference'],
    digest: critical.image['docker-manifest-digest'],
    annotations: stated ?? {},
  }
}

function parsedOrNothing(bytes: Uint8Array): unknown {
  try {
    return parseJsonObject(bytes, 'signature payload').value
  } catch {
    return undefined
  }
}
