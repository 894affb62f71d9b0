import type { Digest } from '@tsbuild/digest'
import { type CacheRecord, definitionKey, type PlannedStep, type WantedRecord } from '@tsbuild/solver'
import type { CacheImporter, FoundRecord } from '../types.ts'
import type { Guard } from './guard.ts'
import type { FoundRecords } from './merge-found.ts'

/** Look-ups take this long at most, all together, before a build goes on without. */
export const lookUpMs = 2000

/** An importer and its guard. */
export interface GuardedImporter {
  readonly importer: CacheImporter
  readonly guard: Guard
}

/** The key of each step that follows from what is known, as a solver would make it. */
export function keysOf(
  steps: readonly PlannedStep[],
  known: (key: Digest) => Pick<CacheRecord, 'outputKey'> | undefined,
): ReadonlySet<Digest> {
  const keys = new Set<Digest>()
  const counted = new Map<Digest, Digest>()
  for (const { vertex, kind, op, inputs } of steps) {
    const counts = inputs.flatMap((input) => {
      if (input.kind !== 'step') return [input]
      const key = counted.get(input.vertex)
      return key === undefined ? [] : [{ kind: 'result' as const, key, selector: input.selector }]
    })
    if (counts.length < inputs.length) continue
    const key = definitionKey(op, counts)
    if (kind === 'step') keys.add(key)
    const outputKey = kind === 'view' ? key : known(key)?.outputKey
    if (outputKey !== undefined) counted.set(vertex.digest, outputKey)
  }
  return keys
}

/**
 * Asks all caches for a whole graph, at once; then again those for which others found something that their own chains may go on
 * over, while anything new is found.
 */
export async function planAll(
  importers: readonly GuardedImporter[],
  steps: readonly PlannedStep[],
  found: FoundRecords,
  {
    known,
    now,
    signal,
  }: {
    readonly known: (key: Digest) => CacheRecord | undefined
    readonly now: () => number
    readonly signal: AbortSignal
  },
): Promise<void> {
  const until = now() + lookUpMs
  let asked = importers
  while (asked.length > 0) {
    const leftMs = until - now()
    // Each round brought something; what the next one would bring is less and less.
    if (leftMs <= 0) return
    const answers = await Promise.all(
      asked.map(({ importer, guard }) =>
        guard.ask((aborted) => importer.plan(steps, known, aborted), signal, leftMs),
      ),
    )
    const news = asked.filter((_, index) => found.add(answers[index] ?? []))
    asked = importers.filter(({ guard }, index) => {
      const others = news.filter(({ importer }) => importer !== importers[index]?.importer)
      return guard.isAlive && others.length > 0
    })
  }
}

/** Looks keys up as they come: those that come at a time are one request. */
export interface LookUps {
  /** @returns whether the key was found */
  find(wanted: WantedRecord, signal: AbortSignal): Promise<boolean>
}

/** Makes it over some caches. */
export function createLookUps(importers: readonly GuardedImporter[], found: FoundRecords): LookUps {
  let batch: { readonly wanted: WantedRecord[]; readonly done: Promise<void> } | undefined
  const send = async (wanted: readonly WantedRecord[], signal: AbortSignal) => {
    const answers = await Promise.all(
      importers.map(({ importer, guard }) =>
        guard.ask<readonly FoundRecord[]>((aborted) => importer.find(wanted, aborted), signal, lookUpMs),
      ),
    )
    for (const records of answers) found.add(records ?? [])
  }
  const join = (wanted: WantedRecord, signal: AbortSignal): Promise<void> => {
    if (batch === undefined) {
      const all: WantedRecord[] = []
      const done = new Promise<void>((resolve, reject) => {
        setImmediate(() => {
          batch = undefined
          send(all, signal).then(resolve, reject)
        })
      })
      batch = { wanted: all, done }
    }
    batch.wanted.push(wanted)
    return batch.done
  }
  return {
    async find(wanted, signal) {
      if (importers.every(({ guard }) => !guard.isAlive)) return false
      await join(wanted, signal)
      return found.get(wanted.key) !== undefined
    },
  }
}
