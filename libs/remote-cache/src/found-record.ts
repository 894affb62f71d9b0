import type { StepResult } from '@tsbuild/cache-protocol'
import type { Digest, KeyValue } from '@tsbuild/digest'
import type { RecordedInput, WantedRecord } from '@tsbuild/solver'
import { type StoredLayer, storedLayerJson } from '@tsbuild/store'
import type { FoundRecord } from './types.ts'

/** The step that a result was looked for, as far as a record says what it was made of. */
export interface WantedStep extends Pick<WantedRecord, 'op' | 'inputNames'> {
  readonly inputs: readonly RecordedInput[]
}

/**
 * A result of a cache elsewhere as a record of this build: made of what the step that looks for it is made of.
 *
 * @param place the cache that it was found in, by which its layer is fetched
 */
export function foundRecord(
  result: StepResult,
  keys: readonly Digest[],
  { op, inputs, inputNames }: WantedStep,
  place: string,
): FoundRecord {
  const { outputKey, name, layer, createdAt, durationMs } = result
  const cached = { blobs: layer.map(layerValue), places: [place], createdAt }
  return {
    keys,
    record: {
      outputKey,
      name,
      op,
      inputs,
      inputNames,
      stored: { cached },
      createdAt,
      durationMs,
      from: place,
    },
  }
}

/** As a record on disk has it. */
function layerValue(layer: StoredLayer): KeyValue {
  return JSON.parse(JSON.stringify(storedLayerJson(layer)))
}
