import type { Readable } from 'node:stream'
import type { StoredLayer } from '@tsbuild/store'
import { foundRecord } from '../found-record.ts'
import type { CacheImporter, FoundRecord } from '../types.ts'
import { lookupOf, planOver, type StepLookup } from './plan.ts'
import type { CacheIndex } from './types.ts'

/** A place that an index is read from. */
export interface IndexSource {
  /** As shown to the user. */
  readonly name: string
  /** Reads the index; called once. */
  readonly read: (signal: AbortSignal) => Promise<CacheIndex>
  /** See `CacheImporter.openBlob`. */
  readonly openBlob: (blob: StoredLayer, offset: number, signal: AbortSignal) => Promise<Readable | undefined>
}

/** Imports from a cache that has one index: it is read once, with the first look-up, and stays in memory. */
export function createIndexImporter({ name, read, openBlob }: IndexSource): CacheImporter {
  let loaded: Promise<StepLookup> | undefined
  const lookup = (signal: AbortSignal) => {
    loaded ??= read(signal).then(({ steps }) => lookupOf(steps))
    return loaded
  }
  return {
    name,
    plan: async (steps, known, signal) =>
      planOver(steps, await lookup(signal), known).map(({ planned, inputs, step }): FoundRecord => {
        const { op, inputNames } = planned
        return foundRecord(step, step.keys, { op, inputs, inputNames }, name)
      }),
    find: async (wanted, signal) => {
      const steps = await lookup(signal)
      return wanted.flatMap((one): FoundRecord[] => {
        const [step] = steps.find(one.key)
        return step === undefined ? [] : [foundRecord(step, step.keys, one, name)]
      })
    },
    openBlob: (_layer, blob, offset, signal) => openBlob(blob, offset, signal),
    close: async () => {},
  }
}
