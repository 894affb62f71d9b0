import type { Digest } from '@tsbuild/digest'
import { layerKey, outputKey } from './keys.ts'
import { find, graver, isForced, load, readsOf, type Unusable } from './load.ts'
import { basesOf, complete, fail, type Resolved, type Run, type State, started } from './run.ts'
import type { CacheRecord, Executed, Miss, RecordedInput, StepOp } from './types.ts'

/** A step that is to run. */
export interface Plan<R> {
  /** The definition key and, where inputs count by content, the content key. */
  readonly keys: readonly [definition: Digest, content?: Digest]
  readonly inputs: readonly RecordedInput[]
  readonly results: readonly R[]
  /** Those of the inputs that a stored result builds upon. */
  readonly bases: readonly Resolved<R>[]
  /** A record that was found and does not count. */
  readonly unusable: Unusable | undefined
}

/** Runs a step while no other process does; resolves as soon as its result can be used. */
export function executeOnce<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  plan: Plan<R>,
): Promise<Resolved<R>> {
  const vertex = state.vertex.digest
  return new Promise((usable, reject) => {
    const onWait = (who: string) =>
      run.events({ type: 'vertex.waiting', vertex, reason: `${who} runs this step`, at: run.now() })
    const body = async () => {
      const again = madeMeanwhile(run, state, op, plan)
      if ('resolved' in again) return usable(again.resolved)
      const { resolved, commit, ended } = await execute(run, state, op, { ...plan, ...again })
      usable(resolved)
      await commit()
      // Sent when it is durable, dated when it had run: that is how long the step took.
      complete(run, vertex, ended)
    }
    const key = strongest(plan.keys)
    // Each lock is an open file. Who has one waits for no other lock, so those that wait here get their turn.
    const whole = run.locking(() => run.exclusive(key, body, onWait, run.signal))
    run.commits.push(
      whole.catch((error) => {
        const failure = fail(run, state, error)
        reject(failure)
        throw failure
      }),
    )
    run.commits.at(-1)?.catch(() => {})
  })
}

/** Two steps with one definition key have one content key, but not the other way round. */
function strongest([definition, content = definition]: Plan<unknown>['keys']): Digest {
  return content
}

/** What another process, or another step of this build, recorded while this one waited. */
function madeMeanwhile<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  { keys, bases, unusable }: Plan<R>,
): ReturnType<typeof load<R>> | { readonly unusable: Unusable | undefined } {
  let last = unusable
  for (const key of keys) {
    const found = key === undefined ? {} : find(run, state, op, key)
    last = graver(last, found.unusable)
    if (found.record === undefined) continue
    const loaded = load(run, state, op, { record: found.record, keys, bases })
    if ('resolved' in loaded) {
      if (key !== keys[0]) run.cache.link(keys[0], found.record)
      return loaded
    }
    last = graver(last, loaded.unusable)
  }
  return { unusable: last }
}

async function execute<R>(run: Run<R>, state: State<R>, op: StepOp<R>, plan: Plan<R>) {
  return await run.limit(async () => {
    run.signal.throwIfAborted()
    const keepList = listKeeper(run, op, plan)
    await explain(run, state, op, { ...plan, keepList })
    // What a forced copy made may be what was there: whoever forced it wants to know.
    const isForcedCopy = op.pure && isForced(state, op, plan.unusable)
    const before = isForcedCopy ? run.cache.load(strongest(plan.keys)) : undefined
    const startedAt = started(run, state.vertex.digest)
    const { vertex } = state
    const lists = Promise.all(plan.inputs.map((_, index) => keepList(index)))
    const executing = op.execute(plan.results, { vertex, signal: run.signal, events: run.events })
    const executed = await executing.catch(async (error) => {
      await lists
      throw error
    })
    run.executed++
    if (state.found) run.cached--
    state.found = false
    const createdAt = run.now()
    const record: CacheRecord = {
      outputKey: outputOf(state, op, plan, executed),
      name: vertex.name,
      op: op.key,
      inputs: plan.inputs,
      inputNames: state.inputs.map((input) => input.vertex.name),
      about: executed.about ?? op.about,
      stored: executed.stored,
      createdAt,
      durationMs: Math.max(0, Math.round(createdAt - startedAt)),
    }
    const resolved: Resolved<R> = {
      result: executed.result,
      input: { kind: 'result', key: record.outputKey },
    }
    const keys = keysOf(plan)
    const solved = { vertex, keys, record, result: executed.result }
    state.solved = solved
    const commit = async () => {
      // They only explain a later miss; nobody waits for them who wants the result.
      await lists
      await executed.commit(keys, record)
      run.cache.recorded?.(keys, record)
      run.onStep?.(solved)
    }
    return { resolved, commit, ended: { at: createdAt, unchanged: before?.outputKey === record.outputKey } }
  })
}

function keysOf<R>({ keys }: Plan<R>): readonly Digest[] {
  return keys.filter((key) => key !== undefined)
}

type KeepList = Miss['keepList']

/** Keeps the list of an input once, for the explanation of this miss or of the next one. */
function listKeeper<R>(run: Run<R>, op: StepOp<R>, { results }: Plan<R>): KeepList {
  const kept = new Map<number, Promise<void>>()
  return (index) => {
    const known = kept.get(index)
    if (known !== undefined) return known
    const result = results[index]
    const keep = result === undefined ? undefined : op.inputs[index]?.keepList?.(result, run.signal)
    const keeping = (keep ?? Promise.resolve()).catch(() => {})
    kept.set(index, keeping)
    return keeping
  }
}

/** Says why the step has to run, where anybody can say. */
async function explain<R>(
  run: Run<R>,
  state: State<R>,
  { key, about, maxAgeMs }: StepOp<R>,
  plan: Plan<R> & { readonly keepList: KeepList },
): Promise<void> {
  const { inputs, unusable, keepList } = plan
  const { vertex } = state
  const inputNames = state.inputs.map((input) => input.vertex.name)
  const what = { vertex, op: key, about, maxAgeMs, inputs, inputNames }
  const reason = await run.cache.explain?.({ ...what, keys: keysOf(plan), unusable, keepList })
  if (reason === undefined) return
  const reads = readsOf(state, inputs)
  run.events({ type: 'vertex.missed', vertex: vertex.digest, reason, ...reads, at: run.now() })
}

/**
 * What a result counts as: what was put upon which bases, where that is known. A forced run that may give something else
 * each time counts as nothing that was, so that no older record matches below it. Of a pure step its own key says as much.
 */
function outputOf<R>(
  state: State<R>,
  op: StepOp<R>,
  plan: Plan<R>,
  { content, stored }: Executed<R>,
): Digest {
  if (!op.pure && isForced(state, op, plan.unusable)) return outputKey(plan.keys[0], stored)
  if (content !== undefined) return layerKey(basesOf(state, op, plan.inputs), content)
  return op.pure ? strongest(plan.keys) : outputKey(plan.keys[0], stored)
}
