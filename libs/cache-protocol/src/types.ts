import type { Digest, KeyValue } from '@tsbuild/digest'
import type { RecordedInput } from '@tsbuild/solver'
import type { StoredLayer } from '@tsbuild/store'
import type { Envelope, Scope } from '@tsbuild/trust'

/**
 * What a step gave, as far as others need to know it. What it was made of is not told: whoever finds it under a key has made
 * that key of the same things. The unit of every cache outside of the store: a record of the cache-server, a line of the index in
 * a registry or a directory.
 */
export interface StepResult {
  /** The definition key and, where inputs counted by content, the content key; both name this result. */
  readonly keys: readonly Digest[]
  /** What the steps above count it as. */
  readonly outputKey: Digest
  /** As shown to the user: `[build 3/7] RUN make`. */
  readonly name: string
  /** Its layer in each form that was made of it; at least one. The descriptors are all that is trusted about the bytes. */
  readonly layer: readonly StoredLayer[]
  /** Unix ms, when the step had run. */
  readonly createdAt: number
  /** How long it took. */
  readonly durationMs: number
}

/** The payload of a record's envelope. Its media type is {@link stepPayloadType}. @see spec/cache-server.md 4.2 */
export interface StepPayload {
  readonly v: 1
  /** The key that the record is stored under: one of `result.keys`. */
  readonly key: Digest
  readonly scope: Scope
  readonly result: StepResult
  /** Where the step stands, for whoever explains a miss of it. */
  readonly identity: StepIdentity
  /** What it was made of, as digests: build arguments as keyed hashes, so that none can be guessed. */
  readonly inputs: readonly { readonly name: string; readonly id: string }[]
  readonly producer: {
    /** The subject of the token that wrote it; set by the server. */
    readonly subject: string
    /** `tsbuild/0.1.0`. */
    readonly builder: string
    /** Of the build that made it. */
    readonly run: string | undefined
  }
}

/** See {@link StepPayload.identity}. */
export interface StepIdentity {
  /** Names the Dockerfile and its context as `identitiesOf` of libs/cache does: a digest. */
  readonly build: Digest
  readonly stage: string | undefined
  readonly platform: string
}

/** A record as it is stored and sent. */
export interface StepRecord {
  readonly envelope: Envelope
}

/** Media type of {@link StepPayload}. */
export const stepPayloadType = 'application/vnd.tsbuild.step.v1+json'

/**
 * `POST /v1/plan`: the steps of a build, inputs before their readers. The server makes the keys as the solver does, each from what it
 * found for the inputs, so one round trip answers for the whole graph.
 */
export interface PlanRequest {
  readonly steps: readonly PlanStep[]
}

/** See {@link PlanRequest}. */
export interface PlanStep {
  /** A step has a record; a view counts as its inputs. */
  readonly kind: 'step' | 'view'
  /** The SHA-256 of the op's canonical JSON would not do: the key is made of the value itself. */
  readonly op: KeyValue
  readonly inputs: readonly PlanInput[]
  /** What the client knows already that this step counts as; it is not looked for. */
  readonly outputKey?: Digest | undefined
}

/** An input of a {@link PlanStep}. */
export type PlanInput =
  /** Counts as what it is: a source, or content that the client has read. No preimage is sent. */
  | { readonly kind: 'known'; readonly input: PlanKnownInput }
  /** Counts as what is found for an earlier step of the plan, by its place in it. */
  | { readonly kind: 'step'; readonly step: number; readonly selector?: KeyValue | undefined }

/** A {@link RecordedInput} without its preimage. */
export type PlanKnownInput =
  | Extract<RecordedInput, { kind: 'result' | 'source' }>
  | { readonly kind: 'content'; readonly digest: Digest }

/** The reply to a plan or a look-up: for each step or key, in order, the record of the first scope of the chain that has it. */
export interface LookupReply {
  readonly records: readonly (StepRecord | null)[]
}

/** `POST /v1/lookup`. */
export interface LookupRequest {
  readonly keys: readonly Digest[]
}

/** `POST /v1/missing`: which of these blobs the scope's repository lacks. What others have is not told. */
export interface MissingRequest {
  readonly scope: Scope
  readonly digests: readonly Digest[]
}

/** Its reply: the places in the request's list. */
export interface MissingReply {
  readonly missing: readonly number[]
}

/** `PUT /v1/records/{scope}/{key}` sends a {@link StepRecord}, signed by the client or by nobody yet. `POST /v1/records` sends many. */
export interface PutRecordsRequest {
  readonly records: readonly StepRecord[]
}

/**
 * What became of one record: `stored` 201, `same` 200, `different` 409 with the record that is there, `forbidden` 403, `invalid` 422,
 * `missing` 424 with the digests of blobs that the scope's repository lacks.
 */
export type PutOutcome =
  | { readonly outcome: 'stored' | 'same' }
  | { readonly outcome: 'different'; readonly record: StepRecord }
  | { readonly outcome: 'forbidden' | 'invalid' | 'full'; readonly reason: string }
  | { readonly outcome: 'missing'; readonly digests: readonly Digest[] }

/** The reply to {@link PutRecordsRequest}, in order. */
export interface PutRecordsReply {
  readonly outcomes: readonly PutOutcome[]
}

/** `GET /v1/capabilities`: what a client has to know before it asks; also what its token permits. */
export interface Capabilities {
  readonly protocol: 1
  /** Who the token says is asking: the subject of every record that it signs. */
  readonly subject: string
  /** Of the server's signature: shown and pinned at the first contact. */
  readonly keys: readonly { readonly id: string /** Base64. */; readonly publicKey: string }[]
  readonly read: readonly Scope[]
  readonly write: Scope | null
  /** The repository below `/v2` that holds the layers of each of these scopes. */
  readonly repositories: Readonly<Record<Scope, string>>
  readonly maxBlobBytes: number
  /** What else the server has, by name: `claims`, `pack`. A client asks for nothing that is not listed. */
  readonly features: readonly string[]
}
