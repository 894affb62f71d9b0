import type { ObjectInfo, ObjectKey, ObjectStore } from '@tsbuild/object-store'
import { type Candidate, Candidates, chooseEvictions, measure } from './choose-evictions.ts'
import { idOf, KeyCounts } from './key-counts.ts'
import { Turn } from './turn.ts'
import type { CollectReport, Holder, Keeper, SpaceLimits, Sweep } from './types.ts'

/** What a {@link Collector} works with. */
export interface CollectorOptions {
  readonly store: ObjectStore
  readonly keepers: readonly Keeper[]
  /** How long what was put or handed out stays, whatever happens. */
  readonly graceMs: number
  /** How long ago something may have been touched last when somebody is told that it is there: a write for each read would be too much. */
  readonly promiseMs: number
  /** What the limits are while so many bytes are stored; undefined: nothing has to go to make room. */
  readonly space?: ((bytes: number) => SpaceLimits | undefined) | undefined
  /** Unix ms. */
  readonly now: () => number
  /** Of this process: a name that no other one has. */
  readonly id: string
  /**
   * Unix ms of the machine's start: a power cut may have undone touches, so within a grace of it nothing goes. Undefined where the storage
   * keeps them.
   */
  readonly bootedMs?: number | undefined
}

const turnKey = 'gc/v1/turn'
const atATime = 16

/** Everything that one run counts. */
interface Run {
  readonly signal: AbortSignal
  readonly turn: Turn
  /** What was touched later stays. */
  readonly notAfterMs: number
  evicted: number
  expired: number
  swept: number
  sweptBytes: number
  spared: number
}

/**
 * Collects what nobody needs: marks what is held, sweeps the rest, while everything else goes on. Any number of processes may have one; a
 * run takes the turn. Two runs at once would do no harm.
 *
 * Why nothing goes that somebody was just told is there: before he is told, the object is touched, and every deletion here has the
 * condition that the object was not touched within the grace, which the engine checks together with the deletion. So it does not matter
 * how old the marks are.
 *
 * @see docs/adr/0032-collecting-a-shared-cache.md
 */
export class Collector {
  readonly #options: CollectorOptions

  constructor(options: CollectorOptions) {
    this.#options = options
  }

  /**
   * One run. A failure of the store ends it; what it had done until then is as good as a shorter run.
   * @throws {UserError} `ERR_CANCELLED`
   */
  async run(signal: AbortSignal): Promise<CollectReport> {
    const { store, now, id, graceMs, promiseMs, bootedMs } = this.#options
    const turn = new Turn(store, turnKey, id, now)
    const counts = { evicted: 0, expired: 0, swept: 0, sweptBytes: 0, spared: 0 }
    const nothing = { hadTurn: false, objects: 0, bytes: 0, ...counts }
    if (!(await turn.take())) return { ...nothing, leftBytes: turn.lastBytes }
    let leftBytes: number | undefined
    try {
      const notAfterMs = now() - graceMs - promiseMs
      const run: Run = { signal, turn, notAfterMs, ...counts }
      const { objects, bytes } = await this.#weigh(signal)
      // Before a grace has passed since the start of the machine no touch can be trusted to have been kept.
      if (bootedMs === undefined || notAfterMs >= bootedMs) await this.#collect(run, bytes)
      const { evicted, expired, swept, sweptBytes, spared } = run
      leftBytes = Math.max(0, bytes - sweptBytes)
      return { hadTurn: true, objects, bytes, leftBytes, evicted, expired, swept, sweptBytes, spared }
    } finally {
      await turn.give(leftBytes)
    }
  }

  async #weigh(signal: AbortSignal): Promise<{ readonly objects: number; readonly bytes: number }> {
    let [objects, bytes] = [0, 0]
    for await (const { size } of this.#options.store.list('', { signal })) {
      objects += 1
      bytes += size
    }
    return { objects, bytes }
  }

  async #collect(run: Run, bytes: number): Promise<void> {
    const space = this.#options.space?.(bytes)
    const isFull = space !== undefined && bytes > space.highBytes
    const { marks, expired, candidates } = await this.#mark(run, isFull)
    run.expired = await this.#evict(run, expired, marks)
    await this.#sweepAll(run, marks)
    const left = bytes - run.sweptBytes
    if (!isFull || left <= space.highBytes) return
    const sizes = await measure(this.#options.store, this.#sweeps, run.signal)
    const chosen = chooseEvictions(candidates.inOrder(), left - space.lowBytes, sizes, new KeyCounts(marks))
    run.evicted = await this.#evict(run, chosen, marks)
    await this.#sweepAll(run, marks)
  }

  /** What is held, and which holders can go. */
  async #mark(run: Run, isFull: boolean) {
    const marks = new KeyCounts()
    const candidates = new Candidates()
    const expired: Candidate[] = []
    for (const keeper of this.#options.keepers) {
      for await (const holder of keeper.holders(run.signal)) {
        for (const key of holder.holds) marks.add(key)
        if (holder.retention.kind === 'kept' || lastUse(holder) > run.notAfterMs) continue
        if (this.#isExpired(holder)) expired.push(candidateOf(keeper, holder))
        else if (isFull) candidates.add(candidateOf(keeper, holder))
      }
    }
    return { marks, candidates, expired }
  }

  get #sweeps(): readonly Sweep[] {
    return this.#options.keepers.flatMap((keeper) => keeper.sweeps)
  }

  /** Objects that stay hold others, which come later. */
  async #sweepAll(run: Run, marks: KeyCounts): Promise<void> {
    const held = new KeyCounts(marks)
    for (const sweep of this.#sweeps) await this.#sweep(run, sweep, held)
  }

  #isExpired(holder: Holder): boolean {
    const { retention } = holder
    if (retention.kind === 'kept' || retention.forMs === undefined) return false
    return lastUse(holder) + retention.forMs < this.#options.now()
  }

  /** A holder goes before anything that it holds does. @returns how many went */
  async #evict(run: Run, chosen: readonly Candidate[], marks: KeyCounts): Promise<number> {
    let gone = 0
    for (const keeper of this.#options.keepers) {
      const own = chosen.filter((candidate) => candidate.keeper === keeper)
      for (let at = 0; at < own.length; at += 256) {
        await run.turn.renew()
        const batch = own.slice(at, at + 256)
        const keys = new Set(await keeper.evict(batch, run.notAfterMs, run.signal))
        for (const { key, holds } of batch) {
          if (!keys.has(key)) run.spared += 1
          else for (const id of holds) marks.change(id, -1)
        }
        gone += keys.size
      }
    }
    return gone
  }

  /** Deletes what is not held; adds what is held by what stays. */
  async #sweep(run: Run, sweep: Sweep, held: KeyCounts): Promise<void> {
    let doomed: ObjectInfo[] = []
    const keep = (keys: readonly ObjectKey[]) => {
      for (const key of keys) held.add(key)
    }
    const flush = async () => {
      const batch = doomed
      doomed = []
      await run.turn.renew()
      for (const info of await this.#delete(run, batch)) keep(sweep.held(info.key) ?? [])
    }
    for await (const info of this.#options.store.list(sweep.prefix, { signal: run.signal })) {
      const keeps = sweep.held(info.key)
      if (keeps === undefined) continue
      const waitsAfterMs = this.#options.now() - (sweep.waitMs?.(info.key) ?? 0)
      const isYoung = info.modifiedMs > Math.min(run.notAfterMs, waitsAfterMs)
      if (isYoung || held.has(idOf(info.key))) keep(keeps)
      else doomed.push(info)
      if (doomed.length === atATime) await flush()
    }
    await flush()
  }

  /** @returns those that stay */
  async #delete(run: Run, batch: readonly ObjectInfo[]): Promise<readonly ObjectInfo[]> {
    const { store } = this.#options
    const { signal, notAfterMs } = run
    const gone = await Promise.all(
      batch.map(({ key, version }) => store.delete(key, { version, notAfterMs }, { signal })),
    )
    const staying = batch.filter((_, place) => gone[place] === false)
    run.spared += staying.length
    for (const [place, { size }] of batch.entries()) {
      if (gone[place] !== true) continue
      run.swept += 1
      run.sweptBytes += size
    }
    return staying
  }
}

function lastUse({ usedMs, modifiedMs }: Holder): number {
  return Math.max(usedMs, modifiedMs)
}

function candidateOf(keeper: Keeper, holder: Holder): Candidate {
  const { key, version, holds } = holder
  return { keeper, key, version, usedMs: lastUse(holder), holds: holds.map(idOf) }
}
