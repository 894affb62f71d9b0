import type { ObjectStore } from '@tsbuild/object-store'
import { idOf, KeyCounts } from './key-counts.ts'
import type { Holder, Keeper, Sweep } from './types.ts'

/** Of so many that could go, those used longest ago, the order is known; another run does the rest. */
const mostCandidates = 50_000

/** A holder that can go. */
export interface Candidate extends Pick<Holder, 'key' | 'version' | 'usedMs'> {
  readonly keeper: Keeper
  readonly holds: readonly number[]
}

/** Gathers the holders that could make room, those used longest ago. */
export class Candidates {
  #found: Candidate[] = []

  add(candidate: Candidate): void {
    this.#found.push(candidate)
    if (this.#found.length >= 2 * mostCandidates) this.#found = this.inOrder()
  }

  /** Used longest ago first. */
  inOrder(): Candidate[] {
    return this.#found.toSorted((a, b) => a.usedMs - b.usedMs).slice(0, mostCandidates)
  }
}

/** What every collectable object takes, and what it keeps. */
export interface Sizes {
  readonly bytes: ReadonlyMap<number, number>
  /** By the object that keeps: a link its content. */
  readonly held: ReadonlyMap<number, readonly number[]>
  /** How many objects keep another one by being there. */
  readonly keeping: KeyCounts
}

/** Lists all that can be collected. For when room has to be made: it holds a number or two for each object. */
export async function measure(
  store: ObjectStore,
  sweeps: readonly Sweep[],
  signal: AbortSignal,
): Promise<Sizes> {
  const bytes = new Map<number, number>()
  const held = new Map<number, readonly number[]>()
  const keeping = new KeyCounts()
  for (const sweep of sweeps) {
    for await (const { key, size } of store.list(sweep.prefix, { signal })) {
      const keeps = sweep.held(key)
      if (keeps === undefined) continue
      bytes.set(idOf(key), size)
      if (keeps.length > 0) held.set(idOf(key), keeps.map(idOf))
      for (const one of keeps) keeping.add(one)
    }
  }
  return { bytes, held, keeping }
}

/**
 * The fewest of the candidates, in their order, without which so many bytes less are held. What they share with others that stay frees
 * nothing.
 *
 * @param marks how many holders hold each object; those of what is chosen are taken off, as they are off `sizes`
 */
export function chooseEvictions(
  candidates: readonly Candidate[],
  wantedBytes: number,
  { bytes, held, keeping }: Sizes,
  marks: KeyCounts,
): readonly Candidate[] {
  let freed = 0
  const chosen: Candidate[] = []
  const letGo = (id: number) => {
    if (marks.has(id) || keeping.has(id)) return
    freed += bytes.get(id) ?? 0
    for (const kept of held.get(id) ?? []) {
      keeping.change(kept, -1)
      letGo(kept)
    }
  }
  for (const candidate of candidates) {
    if (freed >= wantedBytes) break
    chosen.push(candidate)
    for (const id of candidate.holds) {
      marks.change(id, -1)
      letGo(id)
    }
  }
  return chosen
}
