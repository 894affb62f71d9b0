import type { Digest } from '@tsbuild/digest'
import { outputKey } from './keys.ts'
import { load } from './load.ts'
import { complete, fail, type Resolved, type Run, type State, started } from './run.ts'
import type { CacheRecord, RecordedInput, StepOp } from './types.ts'

/** A step that is to run. */
export interface Plan<R> {
  readonly keys: readonly Digest[]
  readonly definition: Digest
  readonly inputs: readonly RecordedInput[]
  readonly results: readonly R[]
  /** Those of the inputs that a stored result builds upon. */
  readonly bases: readonly Resolved<R>[]
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
    const onWait = () => {
      const reason = 'another process runs this step'
      run.events({ type: 'vertex.waiting', vertex, reason, at: run.now() })
    }
    const body = async () => {
      const record = state.vertex.ignoreCache ? undefined : run.cache.load(plan.definition)
      const made = record === undefined ? undefined : load(run, state, op, record, plan.bases)
      if (made !== undefined) return usable(made)
      const { resolved, commit, ranAt } = await execute(run, state, op, plan)
      usable(resolved)
      await commit()
      // Sent when it is durable, dated when it had run: that is how long the step took.
      complete(run, vertex, ranAt)
    }
    const whole = run.exclusive(plan.definition, body, onWait, run.signal)
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

async function execute<R>(run: Run<R>, state: State<R>, op: StepOp<R>, plan: Plan<R>) {
  return await run.limit(async () => {
    run.signal.throwIfAborted()
    const startedAt = started(run, state.vertex.digest)
    const { vertex } = state
    const executed = await op.execute(plan.results, { vertex, signal: run.signal, events: run.events })
    run.executed++
    const createdAt = run.now()
    const record: CacheRecord = {
      outputKey: op.pure
        ? (plan.keys.at(-1) ?? plan.definition)
        : outputKey(plan.definition, executed.stored),
      name: vertex.name,
      op: op.key,
      inputs: plan.inputs,
      stored: executed.stored,
      createdAt,
      durationMs: Math.max(0, Math.round(createdAt - startedAt)),
    }
    const resolved: Resolved<R> = {
      result: executed.result,
      input: { kind: 'result', key: record.outputKey },
    }
    return { resolved, commit: () => executed.commit(plan.keys, record), ranAt: createdAt }
  })
}
