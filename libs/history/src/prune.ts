import type { BuildStore } from '@tsbuild/store'
import type { HistoryLimits } from './types.ts'

/** A build, as far as it counts for what is kept. */
export interface PruneCandidate {
  readonly ref: string
  readonly changedMs: number
}

/**
 * Chooses what goes so that the rest is within the limits. The newest stay; those of an age or beyond the number go without
 * being measured.
 *
 * @param candidates newest first
 * @param keep a build that stays in any case, and whose bytes count first
 */
export function chooseDoomed(
  candidates: readonly PruneCandidate[],
  limits: HistoryLimits,
  options: { readonly now: number; readonly keep: string; readonly sizeOf: (ref: string) => number },
): readonly string[] {
  const { now, keep, sizeOf } = options
  const others = candidates.filter(({ ref }) => ref !== keep)
  const oldestMs = now - limits.ageMs
  const wanted = (changedMs: number, index: number) => index < limits.builds - 1 && changedMs >= oldestMs
  // Nobody measures for a limit that is none.
  const measure = limits.bytes === Number.POSITIVE_INFINITY ? () => 0 : sizeOf
  let bytes = measure(keep)
  return others.flatMap(({ ref, changedMs }, index) => {
    const kept = wanted(changedMs, index) && bytes <= limits.bytes
    if (kept) bytes += measure(ref)
    return kept && bytes <= limits.bytes ? [] : [ref]
  })
}

/** Makes room after the build `keep`. What runs or is read stays. */
export async function prune(
  store: BuildStore,
  limits: HistoryLimits,
  now: number,
  keep: string,
): Promise<void> {
  const sizeOf = (ref: string) => store.sizeBytes(ref)
  await store.remove(chooseDoomed(store.list(), limits, { now, keep, sizeOf }))
}
