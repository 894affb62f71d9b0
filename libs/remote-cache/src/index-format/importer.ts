import type { Readable } from 'node:stream'
import type { StoredLayer } from '@tsbuild/store'
import { foundRecord } from '../found-record.ts'
import type { BuildkitFacts, CacheImporter, FoundRecord } from '../types.ts'
import { type BuildkitSearch, createBuildkitSearch } from './buildkit-search.ts'
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
  /** See `OpenTools.buildkit`. */
  readonly buildkit?: (() => BuildkitFacts | undefined) | undefined
}

interface Loaded {
  readonly lookup: StepLookup
  readonly buildkit: BuildkitSearch
}

/** Imports from a cache that has one index: it is read once, with the first look-up, and stays in memory. */
export function createIndexImporter({ name, read, openBlob, buildkit }: IndexSource): CacheImporter {
  let loading: Promise<Loaded> | undefined
  const load = (signal: AbortSignal) => {
    loading ??= read(signal).then((index) => ({
      lookup: lookupOf(index.steps),
      buildkit: createBuildkitSearch(index.buildkit, buildkit, name),
    }))
    return loading
  }
  return {
    name,
    plan: async (steps, known, signal) => {
      const loaded = await load(signal)
      const ours = planOver(steps, loaded.lookup, known).map(({ planned, inputs, step }): FoundRecord => {
        const { op, inputNames } = planned
        return foundRecord(step, step.keys, { op, inputs, inputNames }, name)
      })
      const byKey = new Map(ours.flatMap(({ keys, record }) => keys.map((key) => [key, record] as const)))
      const theirs = await loaded.buildkit.plan(steps, (key) => known(key) ?? byKey.get(key))
      return [...ours, ...theirs]
    },
    find: async (wanted, signal) => {
      const { lookup, buildkit: search } = await load(signal)
      const ours = wanted.map((one): FoundRecord | undefined => {
        const [step] = lookup.find(one.key)
        return step === undefined ? undefined : foundRecord(step, step.keys, one, name)
      })
      const theirs = await search.find(wanted.filter((_, index) => ours[index] === undefined))
      return [...ours.filter((record) => record !== undefined), ...theirs]
    },
    openBlob: (_layer, blob, offset, signal) => openBlob(blob, offset, signal),
    close: async () => {},
  }
}
