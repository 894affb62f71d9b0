import { type Digest, digestKey } from '@tsbuild/digest'
import type { Native } from '@tsbuild/native'
import { listOf, objectOf, oneOf, parseJson, text } from '@tsbuild/shape'
import { isSnapshotId, type SnapshotId, type Store } from '@tsbuild/store'

/** How stacks are shortened. */
export interface MergingLimits {
  /** Trees that become one. */
  readonly run: number
  /** Stacks of more trees than this are shortened, in the background. */
  readonly above: number
  /** No stack may have more: what it takes to shorten it is waited for. */
  readonly most: number
}

/**
 * A lower directory costs a step 0.05 ms, and every look-up in a directory that all of them have one look each: so few are
 * better, but each merge makes every directory of its run once more. overlayfs takes 500, of which a step's mount points
 * are one. The measurements are in docs/adr/0022.
 */
const defaultLimits: MergingLimits = { run: 32, above: 64, most: 480 }

/** What {@link createMergedRuns} needs from outside. */
export interface MergedRunsOptions {
  readonly store: Store
  readonly native: Native
  readonly merging?: MergingLimits | undefined
}

/** Stands one snapshot in for a run of snapshots: as a lower directory it means the same. */
export interface MergedRuns {
  /**
   * Shortens a stack, lowest first. Long stacks get shorter with the next calls, as runs are merged in the background; only
   * one that overlayfs would refuse is waited for. At least one tree stays as it is, so that a merged one never stands
   * alone: without an overlay, its marks would be seen.
   *
   * @throws what `Native.merge` and the store throw, where the stack is too high without a merged run; the signal's reason
   */
  shorten(stack: readonly SnapshotId[], signal: AbortSignal): Promise<readonly SnapshotId[]>
  /** Gives up what is under way in the background, and resolves when nothing is. */
  close(): Promise<void>
}

/** A tree of a stack; the name of a merged one is the key of its record. */
interface Tree {
  readonly name: string
  readonly id: SnapshotId
}

/** A run of trees that is merged, on its way, or could not be. */
interface Run {
  tree: Tree | undefined
  error: unknown
  /** Never rejects. */
  done: Promise<void>
}

/** The key of the record that says where a run is merged, the names of its trees lowest first. */
export function mergedKey(names: readonly string[]): Digest {
  return digestKey('tsbuild.merged.v1', { lower: names })
}

/** See {@link MergedRuns}. */
export function createMergedRuns({ store, native, merging = defaultLimits }: MergedRunsOptions): MergedRuns {
  const runs = new Map<string, Run>()
  const abort = new AbortController()
  /** One merge at a time: steps have the machine. */
  let last: Promise<void> = Promise.resolve()

  const runOf = (trees: readonly Tree[]): Run => {
    const names = trees.map(({ name }) => name)
    const known = runs.get(names.join())
    if (known !== undefined) return known
    const name = mergedKey(names)
    const id = mergedSnapshot(store, name)
    const run: Run =
      id === undefined
        ? begin(name, () => last.then(() => mergeRun({ store, native }, name, trees, abort.signal)))
        : { tree: { name, id }, done: Promise.resolve(), error: undefined }
    if (id === undefined) last = run.done
    runs.set(names.join(), run)
    return run
  }

  const shortened = (stack: readonly Tree[]): Shortened => {
    if (stack.length <= merging.above) return { trees: stack, missing: [] }
    const merged: Tree[] = []
    const missing: Run[] = []
    const rest: Tree[] = []
    const whole = Math.floor((stack.length - 1) / merging.run) * merging.run
    for (let at = 0; at < whole; at += merging.run) {
      const members = stack.slice(at, at + merging.run)
      const run = runOf(members)
      if (run.tree === undefined) missing.push(run)
      // Runs of runs begin at the bottom too: above a gap there are none yet.
      if (run.tree !== undefined && rest.length === 0) merged.push(run.tree)
      else rest.push(...(run.tree === undefined ? members : [run.tree]))
    }
    const below = shortened(merged)
    return {
      trees: [...below.trees, ...rest, ...stack.slice(whole)],
      missing: [...missing, ...below.missing],
    }
  }

  return {
    async shorten(stack, signal) {
      for (;;) {
        const { trees, missing } = shortened(stack.map((id) => ({ name: id, id })))
        if (trees.length <= merging.most || missing[0] === undefined) return trees.map(({ id }) => id)
        const failed = missing.find(({ error }) => error !== undefined)
        if (failed !== undefined) throw failed.error
        await settled(missing[0].done, signal)
      }
    },
    async close() {
      abort.abort()
      await Promise.all([...runs.values()].map(({ done }) => done))
    },
  }
}

interface Shortened {
  readonly trees: readonly Tree[]
  /** Runs that would make it shorter. */
  readonly missing: readonly Run[]
}

function begin(name: Digest, make: () => Promise<SnapshotId>): Run {
  const run: Run = { tree: undefined, error: undefined, done: Promise.resolve() }
  run.done = make().then(
    (id) => {
      run.tree = { name, id }
    },
    (error: unknown) => {
      run.error = error
    },
  )
  return run
}

/** Two builds that want one run merge it once. */
async function mergeRun(
  { store, native }: MergedRunsOptions,
  key: Digest,
  trees: readonly Tree[],
  signal: AbortSignal,
): Promise<SnapshotId> {
  return await store.locks.withLock(
    `merge ${key}`,
    async () => {
      const made = mergedSnapshot(store, key)
      if (made !== undefined) return made
      const draft = await store.snapshots.draft()
      try {
        const lower = trees.map(({ id }) => store.snapshots.path(id)).reverse()
        await native.merge(lower, draft.upper, { signal })
        await draft.commit([{ keys: [key], text: recordText(draft.id, trees) }])
      } catch (error) {
        await draft.release()
        throw error
      }
      return draft.id
    },
    { signal },
  )
}

function recordText(snapshot: SnapshotId, trees: readonly Tree[]): string {
  return `${JSON.stringify({ format: 1, snapshot, lower: trees.map(({ id }) => id) })}\n`
}

const isMergedRecord = objectOf({ format: oneOf(1), snapshot: text, lower: listOf(text) })

/** A damaged record is none, and one whose snapshot is gone: the run is merged again. */
function mergedSnapshot(store: Store, key: Digest): SnapshotId | undefined {
  const record = parseJson(store.records.get(key) ?? '')
  if (!isMergedRecord(record)) return undefined
  const { snapshot } = record as { readonly snapshot: string }
  return isSnapshotId(snapshot) && store.snapshots.has(snapshot) ? snapshot : undefined
}

/** Waits for what never rejects. @throws the signal's reason */
async function settled(done: Promise<void>, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  let stop: () => void = () => {}
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
  })
  try {
    await Promise.race([done, aborted])
  } finally {
    signal.removeEventListener('abort', stop)
  }
}
