import type { Digest } from '@tsbuild/digest'
import { type CacheRecord, definitionKey, type PlannedStep, type WantedRecord } from '@tsbuild/solver'
import type { CacheImporter, FoundRecord } from '../types.ts'
import type { Guard } from './guard.ts'
import type { FoundRecords } from './merge-found.ts'
import type { WaitBudget } from './wait-budget.ts'

/** A build waits this long at most for the look-ups of one cache, all together; then it goes on without it. */
export const lookUpMs = 2000

/** An importer and its guard. */
export interface GuardedImporter {
  readonly importer: CacheImporter
  readonly guard: Guard
}

/** One that is asked what it has. */
export interface AskedImporter extends GuardedImporter {
  readonly budget: WaitBudget
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
  importers: readonly AskedImporter[],
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
      asked.map((one) => look(one, (aborted) => one.importer.plan(steps, known, aborted), signal, leftMs)),
    )
    const news = asked.filter((_, index) => found.add(answers[index] ?? []))
    asked = importers.filter(({ importer, guard, budget }) => {
      const isNewsToIt = news.some((other) => other.importer !== importer)
      return guard.isAlive && isNewsToIt && budget.leftMs() > 0
    })
  }
}

/** Asks a cache for as long as its budget lasts. @param mostMs where this one question may not take all of it */
async function look<T>(
  { guard, budget }: AskedImporter,
  body: (signal: AbortSignal) => Promise<T>,
  signal: AbortSignal,
  mostMs = Number.POSITIVE_INFINITY,
): Promise<T | undefined> {
  const why = `it did not answer within ${budget.totalMs / 1000} s${budget.isBegun ? ', all look-ups together' : ''}`
  const ms = Math.min(mostMs, budget.leftMs())
  return await budget.count(() => guard.ask(body, signal, { ms, why }))
}

/** Looks keys up as they come: those that come at a time are one request. */
export interface LookUps {
  /** @returns whether the key was found */
  find(wanted: WantedRecord, signal: AbortSignal): Promise<boolean>
}

/** Makes it over some caches. */
export function createLookUps(importers: readonly AskedImporter[], found: FoundRecords): LookUps {
  let batch: { readonly wanted: WantedRecord[]; readonly done: Promise<void> } | undefined
  const send = async (wanted: readonly WantedRecord[], signal: AbortSignal) => {
    const answers = await Promise.all(
      importers.map((one) =>
        look<readonly FoundRecord[]>(one, (aborted) => one.importer.find(wanted, aborted), signal),
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
