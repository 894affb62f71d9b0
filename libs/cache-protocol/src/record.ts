import { isDigest } from '@tsbuild/digest'
import {
  count,
  either,
  isRecord,
  nothing,
  objectOf,
  oneOf,
  optional,
  parseJson,
  text,
  unixMs,
} from '@tsbuild/shape'
import type { StoredLayer } from '@tsbuild/store'
import type { Envelope } from '@tsbuild/trust'
import { maxPayloadBytes } from './limits.ts'
import { readScope } from './scope.ts'
import { base64UpTo, digest, listUpTo, mapUpTo, matching, textUpTo } from './shapes.ts'
import { type StepPayload, type StepRecord, type StepResult, stepPayloadType } from './types.ts'

const mediaType = matching(/^[a-z0-9][a-z0-9!#$&^_.+-]{0,126}\/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}$/i)

const layerShape = objectOf({
  mediaType,
  digest,
  size: count,
  diffId: digest,
  annotations: optional(mapUpTo(32, textUpTo(256), textUpTo(4096))),
  form: optional(
    objectOf({ format: textUpTo(32), level: isLevel, clampMtime: either(nothing, Number.isSafeInteger) }),
  ),
})

const resultShape = objectOf({
  keys: listUpTo(8, digest, 1),
  outputKey: digest,
  name: textUpTo(4096),
  layer: listUpTo(16, layerShape, 1),
  createdAt: unixMs,
  durationMs: count,
})

const payloadShape = objectOf({
  v: oneOf(1),
  key: digest,
  scope: text,
  result: resultShape,
  identity: objectOf({ build: digest, stage: optional(textUpTo(256)), platform: textUpTo(128) }),
  inputs: listUpTo(1000, objectOf({ name: textUpTo(1024), id: textUpTo(256) })),
  producer: objectOf({
    subject: textUpTo(512),
    builder: textUpTo(128),
    run: optional(textUpTo(512)),
  }),
})

const envelopeShape = objectOf({
  payloadType: textUpTo(128),
  payload: base64UpTo(Math.ceil(maxPayloadBytes / 3) * 4),
  signatures: listUpTo(8, objectOf({ keyid: textUpTo(128), sig: base64UpTo(1024) })),
})

/** Compression levels are small numbers, below zero too. */
function isLevel(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && Math.abs(value) <= 1000
}

/** Reads the envelope of a record. Nothing is said about signatures, or about what it holds. */
export function readRecord(value: unknown): StepRecord | undefined {
  if (!isRecord(value) || !envelopeShape(value.envelope)) return undefined
  const { payloadType, payload, signatures } = value.envelope as Envelope
  return {
    envelope: { payloadType, payload, signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig })) },
  }
}

/** {@link readRecord} of a text. */
export function parseRecord(written: string): StepRecord | undefined {
  return readRecord(parseJson(written))
}

/** A record as it is stored and sent. */
export function encodeRecord({ envelope }: StepRecord): string {
  const { payloadType, payload, signatures } = envelope
  const each = signatures.map(({ keyid, sig }) => ({ keyid, sig }))
  return JSON.stringify({ envelope: { payloadType, payload, signatures: each } })
}

/** The bytes of a payload, to be signed: what a reader verifies are these, and never a value written again. */
export function encodePayload(payload: StepPayload): Uint8Array {
  const { v, key, scope, result, identity, inputs, producer } = payload
  return Buffer.from(JSON.stringify({ v, key, scope, result, identity, inputs, producer }))
}

/**
 * Reads what an envelope holds. Members that are not known are of a later writer, and passed over.
 *
 * @returns undefined for what is no payload of version 1: a record of a later version is none for this reader, as if it were not there
 */
export function decodePayload({ payloadType, payload }: Envelope): StepPayload | undefined {
  if (payloadType !== stepPayloadType) return undefined
  const bytes = Buffer.from(payload, 'base64')
  if (bytes.length > maxPayloadBytes) return undefined
  const value = parseJson(bytes.toString('utf8'))
  if (!payloadShape(value)) return undefined
  const { v, key, result, identity, inputs, producer, ...rest } = value as StepPayload
  const scope = readScope(rest.scope)
  if (scope === undefined || !result.keys.includes(key)) return undefined
  const { build, stage, platform } = identity
  const { subject, builder, run } = producer
  return {
    v,
    key,
    scope,
    result: withKnownMembers(result),
    identity: { build, stage, platform },
    inputs: inputs.map(({ name, id }) => ({ name, id })),
    producer: { subject, builder, run },
  }
}

/** Reads a result, as the index of a cache in a registry or a directory holds it. */
export function readResult(value: unknown): StepResult | undefined {
  return resultShape(value) ? withKnownMembers(value as StepResult) : undefined
}

/** Whether two results are of the same content, whoever made them, when, and in which form they wrote it. */
export function isSameResult(one: StepResult, other: StepResult): boolean {
  return (
    one.outputKey === other.outputKey ||
    one.layer.some(({ diffId }) => other.layer.some((layer) => layer.diffId === diffId))
  )
}

function withKnownMembers({ keys, outputKey, name, layer, createdAt, durationMs }: StepResult): StepResult {
  return { keys: keys.filter(isDigest), outputKey, name, layer: layer.map(layerOf), createdAt, durationMs }
}

function layerOf({ mediaType, digest, size, diffId, annotations, form }: StoredLayer): StoredLayer {
  return {
    mediaType,
    digest,
    size,
    diffId,
    ...(annotations === undefined ? {} : { annotations }),
    form: form && { format: form.format, level: form.level, clampMtime: form.clampMtime },
  }
}
