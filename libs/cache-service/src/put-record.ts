import {
  decodePayload,
  encodeRecord,
  isSameResult,
  type PutOutcome,
  type StepPayload,
  type StepRecord,
  stepPayloadType,
} from '@tsbuild/cache-protocol'
import type { ObjectStore } from '@tsbuild/object-store'
import { isRecord, parseJson } from '@tsbuild/shape'
import {
  addSignature,
  type Envelope,
  maxSignatures,
  type Scope,
  type SigningKey,
  type TrustedKey,
  verifyEnvelope,
} from '@tsbuild/trust'
import type { RecordFinder } from './find-records.ts'
import { blobsOf, type RecordName, recordObject } from './layout.ts'
import { putBytes } from './read-object.ts'
import type { RecordChange } from './record-log.ts'

/** What records are stored with. */
export interface PutTools {
  readonly store: ObjectStore
  readonly finder: RecordFinder
  /** Signs what is taken. */
  readonly key: SigningKey
  /** Keys whose signatures are checked: those of clients that are known, and of the server. A signature of any other is kept as it is. */
  readonly knownKeys: readonly TrustedKey[]
  /** Takes the place of a record. @returns why there is none */
  readonly takePlace: (name: RecordName) => Promise<string | undefined>
}

/** Who stores something, and what. */
export interface PutRequest {
  readonly record: StepRecord
  /** Where it has to belong; undefined: wherever it says. */
  readonly name?: RecordName | undefined
  readonly subject: string
  readonly mayWrite: (scope: Scope) => boolean
}

/** What became of a record, and what has to be made known before that is said. */
export interface Put {
  readonly outcome: PutOutcome
  readonly change?: RecordChange
}

/** Others may delete and put the same record at the same moment, but not for ever. */
const tries = 4

/** Stores a record, if it may be stored: see docs/dev/cache-protocol.md, "Outcomes of storing". */
export async function putRecord(request: PutRequest, tools: PutTools): Promise<Put> {
  const { record, name, subject, mayWrite } = request
  const payload = decodePayload(record.envelope)
  if (payload === undefined) return invalid('it is no record of a version that this server knows')
  if (!mayWrite(payload.scope)) {
    const reason = `the token does not write ${payload.scope}`
    return { outcome: { outcome: 'forbidden', reason } }
  }
  if (name !== undefined && (name.key !== payload.key || name.scope !== payload.scope))
    return invalid('it is of another scope or key than the path')
  const envelope = checkedEnvelope(record.envelope, payload, subject, tools.knownKeys)
  if (typeof envelope === 'string') return invalid(envelope)
  // Before its layers are asked for: nobody has to send them for nothing.
  const full = await tools.takePlace(payload)
  if (full !== undefined) return { outcome: { outcome: 'full', reason: full } }
  const digests = await tools.finder.missingBlobs(payload.scope, blobsOf(payload))
  if (digests.length > 0) return { outcome: { outcome: 'missing', digests } }
  return await store(payload, addSignature(tools.key, envelope), tools)
}

/** The envelope that can be signed, or what is wrong with it. */
function checkedEnvelope(
  envelope: Envelope,
  payload: StepPayload,
  subject: string,
  known: readonly TrustedKey[],
): Envelope | string {
  if (envelope.signatures.length === 0) return withSubject(envelope, subject)
  // One more is the server's: nobody would read what has more than an envelope may.
  if (envelope.signatures.length >= maxSignatures) return `it has ${maxSignatures} signatures already`
  // A signature is over who wrote it too: the server cannot set that any more.
  if (payload.producer.subject !== subject) return 'producer.subject is not who the token says is writing'
  for (const signature of envelope.signatures) {
    const key = known.find(({ id }) => id === signature.keyid)
    if (key === undefined) continue
    if (verifyEnvelope({ ...envelope, signatures: [signature] }, [key], stepPayloadType) === undefined)
      return `the signature of key ${key.id} does not fit`
  }
  return envelope
}

/** What this version does not know of a payload stays in it. */
function withSubject(envelope: Envelope, subject: string): Envelope {
  const value = parseJson(Buffer.from(envelope.payload, 'base64').toString('utf8'))
  if (!isRecord(value) || !isRecord(value.producer)) return envelope
  const written = JSON.stringify({ ...value, producer: { ...value.producer, subject } })
  return { ...envelope, payload: Buffer.from(written).toString('base64') }
}

async function store(payload: StepPayload, envelope: Envelope, { store, finder }: PutTools): Promise<Put> {
  const object = recordObject(payload)
  const bytes = Buffer.from(encodeRecord({ envelope }))
  for (let tried = 0; tried < tries; tried++) {
    if (await putBytes(store, object, bytes))
      return { outcome: { outcome: 'stored' }, change: added(payload) }
    const there = await store.head(object)
    const stored = await finder.read(payload)
    if (stored !== undefined) {
      const change = added(stored.payload)
      if (isSameResult(stored.payload.result, payload.result)) return { outcome: { outcome: 'same' }, change }
      return { outcome: { outcome: 'different', record: stored.record }, change }
    }
    // What is there cannot be used: damaged, not ours, or its blobs are gone.
    if (there !== undefined) await store.delete(object, { version: there.version })
  }
  throw new Error(`${object} was replaced again and again`)
}

function added(payload: StepPayload): RecordChange {
  const { scope, key, result } = payload
  return { kind: 'added', name: { scope, key }, outputKey: result.outputKey, blobs: blobsOf(payload) }
}

function invalid(reason: string): Put {
  return { outcome: { outcome: 'invalid', reason } }
}
