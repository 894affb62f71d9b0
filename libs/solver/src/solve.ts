import { setMaxListeners } from 'node:events'
import type { Digest } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import pLimit from 'p-limit'
import { beginLookUp, lookAgain } from './look-again.ts'
import { prepare } from './prepare.ts'
import { resolve } from './resolve.ts'
import type { Run, State } from './run.ts'
import { solvedSteps } from './solved-steps.ts'
import type { Solution, SolveOptions, SolverOp } from './types.ts'

/**
 * Steps that hold a lock besides those that run: what is made durable, or is waiting for another process. Without a bound a build
 * of a thousand independent steps had thousands of files open.
 */
const lockedBesides = 32

/** Digests of what steps read that are made at a time, besides as many as steps may run: most wait for the disk. */
const readBesides = 6

/**
 * Makes the results of a graph's targets: looks every step up from the sources on, runs those that are not recorded, each
 * once, as many at a time as allowed, and records what they made. What several targets need is made once. The first failure
 * cancels the rest.
 *
 * A result may be used before it is durable; `vertex.completed` is sent, and {@link Solution.durable} resolves, when it is.
 *
 * @throws the first failure, with the place in the Dockerfile; `ERR_CANCELLED` if the signal fires
 */
export async function solve<R>(options: SolveOptions<R>): Promise<Solution<R>> {
  const abort = new AbortController()
  const signal = AbortSignal.any([options.signal, abort.signal])
  // Every step under way listens: more than Node's ten are no leak.
  setMaxListeners(0, signal)
  const limit = pLimit({ concurrency: options.parallelism, rejectOnClear: true })
  const run: Run<R> = {
    ...options,
    signal,
    abort,
    limit,
    reading: pLimit(options.parallelism + readBesides),
    locking: pLimit(options.parallelism + lockedBesides),
    commits: [],
    running: new Set(),
    reported: new WeakSet(),
    cached: 0,
    executed: 0,
    failure: undefined,
  }
  const states = createStates(run)
  try {
    // Without a cache elsewhere nothing waits for anything.
    if (run.cache.prepare !== undefined) await prepare(run, [...states.values()])
    // In topological order, so that no chain of steps is as deep as the stack.
    for (const state of states.values()) beginLookUp(run, state)
    const targets = options.graph.targets.map((target) =>
      target === undefined ? target : states.get(target),
    )
    await Promise.all(targets.map((target) => target && resolve(run, target)))
    await lookAgain(run, [...states.values()])
    const resolved = await Promise.all(targets.map((target) => target?.resolved))
    // A commit that fails must not count as unhandled while an exporter is still at work.
    const durable = allEnded(run.commits)
    durable.catch(() => {})
    const results = resolved.map((target) => target?.result)
    const steps = () => solvedSteps(run, [...states.values()])
    return { results, cached: run.cached, executed: run.executed, durable, steps }
  } catch (error) {
    await settle(states)
    // Steps that had run stay cached.
    await Promise.allSettled(run.commits)
    throw run.failure ?? error
  }
}

function createStates<R>(run: Run<R>): ReadonlyMap<Digest, State<R>> {
  const states = new Map<Digest, State<R>>()
  for (const vertex of run.graph.vertices) {
    const inputs = vertex.inputs.map((input) => {
      const state = states.get(input)
      if (state === undefined)
        throw new InternalError('ERR_INTERNAL', `the graph lists "${vertex.name}" before its input`)
      return state
    })
    const op = run.op(vertex)
    const unknown = { keyed: undefined, resolved: undefined, counts: undefined, by: undefined }
    const undone = { found: false, solved: undefined, contents: new Map() }
    states.set(vertex.digest, { vertex, op, inputs, ...unknown, ...undone })
    const { digest, name, source } = vertex
    const planned = { vertex: digest, name, inputs: vertex.inputs, source, ...roleOf(op) }
    run.events({ type: 'vertex.planned', ...planned, at: run.now() })
  }
  return states
}

function roleOf<R>({ kind }: SolverOp<R>) {
  if (kind === 'step') return {}
  return kind === 'view' ? ({ view: true, role: 'view' } as const) : ({ role: 'source' } as const)
}

/** Ends when none is under way any more. @throws the first failure */
async function allEnded(commits: readonly Promise<void>[]): Promise<void> {
  await Promise.allSettled(commits)
  await Promise.all(commits)
}

/** After a failure: waits until nothing runs any more. */
async function settle<R>(states: ReadonlyMap<Digest, State<R>>): Promise<void> {
  await Promise.allSettled([...states.values()].flatMap((state) => [state.keyed, state.resolved]))
}
