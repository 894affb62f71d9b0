import type { StepResult } from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import { cachedLayerJson } from '@tsbuild/snapshot'
import type { RecordedInput, WantedRecord } from '@tsbuild/solver'
import type { FoundRecord } from './types.ts'

/** The step that a result was looked for, as far as a record says what it was made of. */
export interface WantedStep extends Pick<WantedRecord, 'op' | 'inputNames'> {
  readonly inputs: readonly RecordedInput[]
}

/**
 * A result of a cache elsewhere as a record of this build: made of what the step that looks for it is made of.
 *
 * @param place the cache that it was found in, by which its layer is fetched
 * @param repository of a registry that has the layer too: an image that is pushed there needs no bytes of it
 */
export function foundRecord(
  result: StepResult,
  keys: readonly Digest[],
  { op, inputs, inputNames }: WantedStep,
  place: string,
  repository?: string,
): FoundRecord {
  const { outputKey, name, layer, createdAt, durationMs } = result
  const places = repository === undefined ? [place] : [place, repository]
  const cached = cachedLayerJson({ kind: 'cached', blobs: layer, places, createdAt })
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
