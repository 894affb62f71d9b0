import { identitiesOf, placeOf } from '@tsbuild/cache'
import type { StepPayload } from '@tsbuild/cache-protocol'
import { type Digest, digestKey, type KeyValue } from '@tsbuild/digest'
import type { CacheRecord, RecordedInput } from '@tsbuild/solver'
import type { StoredLayer } from '@tsbuild/store'
import type { Scope } from '@tsbuild/trust'

/** Bounds of the protocol: what is longer is shortened, for it counts for nothing. */
const maxName = 4096
const maxInputs = 1000
const maxInputName = 1024
const maxStage = 256

/** A step that is to be stored. */
export interface StoredStep {
  readonly keys: readonly Digest[]
  readonly record: CacheRecord
  /** Its layer, in each form that the server has. */
  readonly layer: readonly StoredLayer[]
}

/** What is stored of a step, under each of its keys. The server says who wrote it. */
export function payloadsOf(step: StoredStep, scope: Scope, builder: string): readonly StepPayload[] {
  const { keys, record, layer } = step
  const { outputKey, createdAt, durationMs } = record
  const name = record.name.slice(0, maxName)
  return keys.map((key) => ({
    v: 1,
    key,
    scope,
    result: { keys, outputKey, name, layer, createdAt, durationMs },
    identity: identityOf(record),
    inputs: inputsOf(record),
    producer: { subject: '', builder, run: undefined },
  }))
}

/** The paths of one agent are not those of another: a step is found by its place in a folder of this name. */
function identityOf(record: CacheRecord): StepPayload['identity'] {
  const { stage } = placeOf(record.name)
  return {
    build: identitiesOf(record).placeElsewhere,
    stage: stage === '' ? undefined : stage.slice(0, maxStage),
    platform: platformOf(record.op),
  }
}

function platformOf(op: KeyValue): string {
  const isObject = typeof op === 'object' && op !== null && 'platform' in op
  const platform: KeyValue = isObject ? op.platform : undefined
  return typeof platform === 'string' ? platform.slice(0, 128) : 'any'
}

/** As digests. The op is left out: it holds values of build arguments, which a plain digest would not hide. */
function inputsOf({ inputs, inputNames = [] }: CacheRecord): StepPayload['inputs'] {
  return inputs.slice(0, maxInputs).map((input, index) => ({
    name: (inputNames[index] ?? `input ${index}`).slice(0, maxInputName),
    id: idOf(input),
  }))
}

function idOf(input: RecordedInput): string {
  switch (input.kind) {
    case 'result':
      return input.key
    case 'source':
      return digestKey('tsbuild.source.v1', input.key)
    case 'content':
      return input.digest
  }
}
