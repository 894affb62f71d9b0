import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { type Digest, digestBytes, parseDiffId } from '@tsbuild/digest'
import type { Scope } from '@tsbuild/trust'
import { describe, expect, it } from 'vitest'
import {
  bitmapType,
  type Capabilities,
  decodeBitmap,
  decodePayload,
  encodeBitmap,
  encodePayload,
  encodeRecord,
  isSameResult,
  type LookupReply,
  maxDigests,
  maxKeys,
  type PlanRequest,
  type PutRecordsReply,
  parseCapabilities,
  parseLookup,
  parseLookupReply,
  parseMissing,
  parseMissingReply,
  parsePlan,
  parsePutOutcome,
  parsePutRecords,
  parsePutRecordsReply,
  parseRecord,
  type StepPayload,
  type StepRecord,
  stepPayloadType,
} from './index.ts'

const of = (text: string): Digest => digestBytes(text)
const scope = 'acme/app:ref/main' as Scope

const payload: StepPayload = {
  v: 1,
  key: of('definition'),
  scope,
  result: {
    keys: [of('definition'), of('content')],
    outputKey: of('output'),
    name: '[build 3/7] RUN make',
    layer: [
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar+gzip',
        digest: of('gzip'),
        size: 1234,
        diffId: parseDiffId(of('tar')),
        form: { format: 'gzip', level: 6, clampMtime: null },
      },
      {
        mediaType: 'application/vnd.oci.image.layer.v1.tar+zstd',
        digest: of('zstd'),
        size: 1000,
        diffId: parseDiffId(of('tar')),
        annotations: { 'org.example.note': 'x' },
        form: undefined,
      },
    ],
    createdAt: 1_750_000_000_000,
    durationMs: 4200,
  },
  identity: { build: of('build'), stage: 'build', platform: 'linux/amd64' },
  inputs: [{ name: 'base', id: of('base') }],
  producer: { subject: 'token:ci-main', builder: 'tsbuild/0.1.0', run: 'r-17' },
}

const envelope = {
  payloadType: stepPayloadType,
  payload: Buffer.from(encodePayload(payload)).toString('base64'),
  signatures: [{ keyid: 'ed25519:0011223344556677', sig: Buffer.alloc(64, 7).toString('base64') }],
}
const record: StepRecord = { envelope }

const plan: PlanRequest = {
  steps: [
    {
      kind: 'step',
      op: { exec: { args: ['make'], env: null } },
      inputs: [
        { kind: 'known', input: { kind: 'source', key: { image: of('image') } } },
        { kind: 'known', input: { kind: 'content', digest: of('files') } },
        { kind: 'known', input: { kind: 'result', key: of('other'), selector: '/out' } },
      ],
    },
    { kind: 'view', op: { merge: 1 }, inputs: [{ kind: 'step', step: 0 }], outputKey: of('known') },
    { kind: 'step', op: 'copy', inputs: [{ kind: 'step', step: 0, selector: ['/a', '/b'] }] },
  ],
}

const capabilities: Capabilities = {
  protocol: 1,
  subject: 'token:ci-main',
  keys: [{ id: 'ed25519:0011223344556677', publicKey: Buffer.alloc(32, 1).toString('base64') }],
  read: [scope],
  write: scope,
  repositories: { [scope]: 'cache/acme/app/ref/main' } as Capabilities['repositories'],
  maxBlobBytes: 10_000_000_000,
  features: ['bitmap'],
}

const reply: LookupReply = { records: [record, null] }

const outcomes: PutRecordsReply = {
  outcomes: [
    { outcome: 'stored' },
    { outcome: 'same' },
    { outcome: 'different', record },
    { outcome: 'forbidden', reason: 'the token writes acme/app:pr/7' },
    { outcome: 'invalid', reason: 'the signature is not of its key' },
    { outcome: 'missing', digests: [of('gzip')] },
    { outcome: 'full', reason: 'acme/app:ref/main has as many records as it may' },
  ],
}

/** Each message with its parser, by the name of its golden file. */
const messages: Readonly<Record<string, readonly [value: unknown, parse: (written: string) => unknown]>> = {
  'record.json': [record, parseRecord],
  'payload.json': [payload, (written) => decodePayload({ ...envelope, payload: btoa(written) })],
  'plan-request.json': [plan, parsePlan],
  'lookup-request.json': [{ keys: [of('a'), of('b')] }, parseLookup],
  'lookup-reply.json': [reply, (written) => parseLookupReply(written, 2)],
  'missing-request.json': [{ scope, digests: [of('a'), of('b')] }, parseMissing],
  'missing-reply.json': [{ missing: [1] }, (written) => parseMissingReply(written, 2)],
  'put-request.json': [{ records: [record] }, parsePutRecords],
  'put-reply.json': [outcomes, (written) => parsePutRecordsReply(written, 7)],
  'capabilities.json': [capabilities, parseCapabilities],
}

const testdata = new URL('../testdata/', import.meta.url)

describe('the wire form', () => {
  it.each(Object.keys(messages))('%s is as it was', (name) => {
    const [value, parse] = messages[name] ?? []
    const file = new URL(name, testdata)
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`)
    const golden = readFileSync(file, 'utf8')
    expect(JSON.parse(JSON.stringify(value))).toEqual(JSON.parse(golden))
    expect(parse?.(golden)).toEqual(value)
  })

  it('has a golden file for each message and no other', () => {
    expect(readdirSync(testdata).toSorted()).toEqual(Object.keys(messages).toSorted())
  })

  it('the bytes of a payload and of a record are pinned: signatures are over them', () => {
    expect(of(Buffer.from(encodePayload(payload)).toString())).toMatchInlineSnapshot(
      `"sha256:511d887a6d3c4b1c4f4a01141b73d4a106e88c09c4793f9ea4e0f07d7d27fee7"`,
    )
    expect(of(encodeRecord(record))).toMatchInlineSnapshot(
      `"sha256:975081b9920b28073df96eaf53a8de78833eaff79558af4fcb3599edcccc26e5"`,
    )
  })
})

describe('what comes from the other side', () => {
  it.each(Object.keys(messages))('%s is taken with members of a later version', (name) => {
    const [value, parse] = messages[name] ?? []
    const later = JSON.stringify(withLater(value))
    expect(later).toContain('"later"')
    expect(parse?.(later)).toEqual(value)
  })

  it.each(Object.keys(messages))(
    '%s is refused, not thrown at, whichever member is something else',
    (name) => {
      const [value, parse] = messages[name] ?? []
      const written = JSON.stringify(value)
      for (const text of ['', 'null', '[]', '{}', '1', written.slice(0, -1)]) {
        expect(parse?.(text), text).toBeUndefined()
      }
      let changed = 0
      for (const other of ['null', '-1', '"x"', '[1e400]', '{"__proto__":1}']) {
        for (const place of placesOf(JSON.parse(written))) {
          // Must not throw; whether it is refused depends on the member.
          const result = parse?.(JSON.stringify(withChanged(JSON.parse(written), place, JSON.parse(other))))
          if (result === undefined) changed++
        }
      }
      expect(changed).toBeGreaterThan(0)
    },
  )

  it('a record of schema 2 is none for this version, by its media type or its number', () => {
    expect(decodePayload(envelope)).toEqual(payload)
    const second = 'application/vnd.tsbuild.step.v2+json'
    expect(decodePayload({ ...envelope, payloadType: second })).toBeUndefined()
    const numbered = Buffer.from(JSON.stringify({ ...payload, v: 2 })).toString('base64')
    expect(decodePayload({ ...envelope, payload: numbered })).toBeUndefined()
    const records = [{ envelope: { ...envelope, payloadType: second } }, { format: 2 }, record]
    const read = parseLookupReply(JSON.stringify({ records }), 3)?.records
    expect(read?.map((each) => each && decodePayload(each.envelope)?.v)).toEqual([undefined, null, 1])
  })

  it('a payload of a time that no date has is none: an image could not be made of it', () => {
    const made = (createdAt: number) =>
      Buffer.from(JSON.stringify({ ...payload, result: { ...payload.result, createdAt } })).toString('base64')
    expect(decodePayload({ ...envelope, payload: made(8.64e15) })).toBeDefined()
    expect(new Date(8.64e15).toISOString()).toBe('+275760-09-13T00:00:00.000Z')
    expect(decodePayload({ ...envelope, payload: made(8.64e15 + 1) })).toBeUndefined()
  })

  it('a payload must name its own key among the keys of its result', () => {
    const other = Buffer.from(JSON.stringify({ ...payload, key: of('elsewhere') })).toString('base64')
    expect(decodePayload({ ...envelope, payload: other })).toBeUndefined()
  })

  it('bounds hold: keys, digests, steps, records, a reply that is longer than the question', () => {
    const keys = (count: number) => Array.from({ length: count }, () => of('a'))
    expect(parseLookup(JSON.stringify({ keys: keys(maxKeys) }))?.keys.length).toBe(maxKeys)
    expect(parseLookup(JSON.stringify({ keys: keys(maxKeys + 1) }))).toBeUndefined()
    expect(parseMissing(JSON.stringify({ scope, digests: keys(maxDigests + 1) }))).toBeUndefined()
    const step = { kind: 'step', op: 1, inputs: [] }
    const steps = (count: number) => JSON.stringify({ steps: Array.from({ length: count }, () => step) })
    expect(parsePlan(steps(maxKeys))?.steps.length).toBe(maxKeys)
    expect(parsePlan(steps(maxKeys + 1))).toBeUndefined()
    expect(parsePutRecords(JSON.stringify({ records: Array(1001).fill(record) }))).toBeUndefined()
    expect(parseLookupReply(JSON.stringify(reply), 1)).toBeUndefined()
    expect(parseMissingReply('{"missing":[2]}', 2)).toBeUndefined()
  })

  it('a plan whose values are too deep for the stack, or hold what no key can, is refused', () => {
    const withOp = (op: string) => `{"steps":[{"kind":"step","op":${op},"inputs":[]}]}`
    expect(parsePlan(withOp('['.repeat(60) + ']'.repeat(60)))).toBeDefined()
    for (const op of ['['.repeat(100_000) + ']'.repeat(100_000), '0.5', '1e400'])
      expect(parsePlan(withOp(op)), op.slice(0, 20)).toBeUndefined()
  })

  it.each([
    ['itself', 1],
    ['a later step', 2],
    ['a step before the first', -1],
    ['half a step', 0.5],
  ])('a plan whose step reads %s is refused', (_, step) => {
    const steps = [
      { kind: 'step', op: 1, inputs: [] },
      { kind: 'step', op: 1, inputs: [{ kind: 'step', step }] },
      { kind: 'step', op: 1, inputs: [] },
    ]
    expect(parsePlan(JSON.stringify({ steps }))).toBeUndefined()
  })

  it('an outcome of one record is read as those of many are', () => {
    expect(outcomes.outcomes.map((outcome) => parsePutOutcome(JSON.stringify(outcome)))).toEqual(
      outcomes.outcomes,
    )
    expect(parsePutOutcome('{"outcome":"later"}')).toBeUndefined()
  })
})

describe('isSameResult()', () => {
  it('goes by what was made: not by who made it, when, or how it is compressed', () => {
    const { result } = payload
    expect(isSameResult(result, { ...result, createdAt: 1, durationMs: 1, name: 'x' })).toBe(true)
    const [first] = result.layer
    if (first === undefined) throw new Error('no layer')
    const otherBlob = { ...result, outputKey: of('x'), layer: [{ ...first, digest: of('xz') }] }
    expect(isSameResult(result, otherBlob)).toBe(true)
    const otherTar = { ...otherBlob, layer: [{ ...first, diffId: parseDiffId(of('other')) }] }
    expect(isSameResult(result, otherTar)).toBe(false)
  })
})

describe('bitmaps', () => {
  it('keep each bit at its place, and are refused at another length', () => {
    for (const length of [0, 1, 7, 8, 9, 1000]) {
      const bits = Array.from({ length }, (_, place) => place % 3 === 0)
      expect(decodeBitmap(encodeBitmap(bits), length)).toEqual(bits)
    }
    expect(encodeBitmap([true, false, true])).toEqual(new Uint8Array([5]))
    expect(decodeBitmap(new Uint8Array(2), 8)).toBeUndefined()
    expect(bitmapType).toBe('application/vnd.tsbuild.bitmap')
  })
})

/** The path of each member of a value. */
function placesOf(value: unknown, before: readonly string[] = []): readonly (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [before]
  const own = Object.entries(value).flatMap(([name, member]) => placesOf(member, [...before, name]))
  return [before, ...own]
}

function withChanged(value: unknown, [first, ...rest]: readonly string[], to: unknown): unknown {
  if (first === undefined) return to
  const members = value as Record<string, unknown>
  members[first] = withChanged(members[first], rest, to)
  return members
}

/** What is a map, or a value of a key, has no members that a later version adds. */
const values = new Set(['op', 'selector', 'annotations', 'repositories', 'input'])

function withLater(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withLater)
  if (typeof value !== 'object' || value === null) return value
  const own = Object.entries(value).map(([name, member]) => [
    name,
    values.has(name) ? member : withLater(member),
  ])
  return { ...Object.fromEntries(own), later: { x: 1 } }
}
