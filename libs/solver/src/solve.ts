import { setMaxListeners } from 'node:events'
import type { Digest } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import pLimit from 'p-limit'
import { contentKey, definitionKey, outputKey } from './keys.ts'
import {
  complete,
  fail,
  type Keyed,
  type KeyedInput,
  type Resolved,
  type Run,
  type State,
  started,
} from './run.ts'
import type {
  CacheRecord,
  RecordedInput,
  Solution,
  SolveOptions,
  SolverOp,
  SourceOp,
  StepOp,
  ViewOp,
} from './types.ts'

/**
 * Makes the result of a graph's target: looks every step up from the sources on, runs those that are not recorded, each
 * once, as many at a time as allowed, and records what they made. The first failure cancels the rest.
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
    commits: [],
    running: new Set(),
    reported: new WeakSet(),
    cached: 0,
    executed: 0,
    failure: undefined,
  }
  const states = createStates(run)
  try {
    const target = options.graph.target === undefined ? undefined : states.get(options.graph.target)
    const resolved = target === undefined ? undefined : await resolve(run, target)
    // A commit that fails must not count as unhandled while an exporter is still at work.
    const durable = Promise.all(run.commits).then(() => undefined)
    durable.catch(() => {})
    return { result: resolved?.result, cached: run.cached, executed: run.executed, durable }
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
    states.set(vertex.digest, { vertex, op, inputs, keyed: undefined, resolved: undefined })
    const { digest, name, source } = vertex
    const planned = { vertex: digest, name, inputs: vertex.inputs, source, ...roleOf(op) }
    run.events({ type: 'vertex.planned', ...planned, at: run.now() })
  }
  // In topological order, so that no chain of steps is as deep as the stack.
  for (const state of states.values()) void key(run, state)
  return states
}

function roleOf<R>({ kind }: SolverOp<R>) {
  if (kind === 'step') return {}
  return kind === 'view' ? ({ view: true, role: 'view' } as const) : ({ role: 'source' } as const)
}

/** After a failure: waits until nothing runs any more. */
async function settle<R>(states: ReadonlyMap<Digest, State<R>>): Promise<void> {
  await Promise.allSettled([...states.values()].flatMap((state) => [state.keyed, state.resolved]))
}

function key<R>(run: Run<R>, state: State<R>): Promise<Keyed> {
  if (state.keyed === undefined) {
    state.keyed = computeKey(run, state)
    state.keyed.catch(() => {})
  }
  return state.keyed
}

async function computeKey<R>(run: Run<R>, state: State<R>): Promise<Keyed> {
  const { op, vertex } = state
  if (op.kind === 'source')
    return { input: op.key === undefined ? undefined : { kind: 'source', key: op.key } }
  if (op.kind === 'view') {
    const inputs = await Promise.all(state.inputs.map((input) => key(run, input)))
    return { input: viewInput(op, inputs) }
  }
  try {
    const inputs = await Promise.all(state.inputs.map((input, index) => keyOfInput(run, op, input, index)))
    const definition = definitionKey(op.key, inputs)
    const record = vertex.ignoreCache ? undefined : run.cache.load(definition)
    const input = record === undefined ? undefined : ({ kind: 'result', key: record.outputKey } as const)
    return { input, definition, inputs, record }
  } catch (error) {
    throw fail(run, state, error)
  }
}

/** What a view counts as: its inputs. Undefined while one of them has no key. */
function viewInput<R>(
  op: ViewOp<R>,
  inputs: readonly { readonly input: KeyedInput | undefined }[],
): KeyedInput | undefined {
  const keyed = inputs.flatMap(({ input }) => (input === undefined ? [] : [input]))
  return keyed.length < inputs.length ? undefined : { kind: 'result', key: definitionKey(op.key, keyed) }
}

/** What one input counts as; runs it where nothing less can tell. */
async function keyOfInput<R>(
  run: Run<R>,
  op: StepOp<R>,
  input: State<R>,
  index: number,
): Promise<RecordedInput> {
  const selector = op.inputs[index]?.selector
  const keyed = await key(run, input)
  if (keyed.input !== undefined) return { ...keyed.input, selector }
  const resolved = await resolve(run, input)
  if (resolved.input !== undefined) return { ...resolved.input, selector }
  const content = op.inputs[index]?.content
  if (content === undefined) {
    throw new InternalError(
      'ERR_INTERNAL',
      `"${input.vertex.name}" has no key and its reader digests no content`,
    )
  }
  return { kind: 'content', ...(await content(resolved.result, run.signal)) }
}

function resolve<R>(run: Run<R>, state: State<R>): Promise<Resolved<R>> {
  if (state.resolved === undefined) {
    state.resolved = start(run, state).catch((error) => {
      throw fail(run, state, error)
    })
    state.resolved.catch(() => {})
  }
  return state.resolved
}

function start<R>(run: Run<R>, state: State<R>): Promise<Resolved<R>> {
  switch (state.op.kind) {
    case 'source':
      return describe(run, state, state.op)
    case 'view':
      return combine(run, state, state.op)
    case 'step':
      return make(run, state, state.op)
  }
}

/** It counts as what its inputs are now: one of them may have run again since the key was asked for. */
async function combine<R>(run: Run<R>, state: State<R>, op: ViewOp<R>): Promise<Resolved<R>> {
  const inputs = await Promise.all(state.inputs.map((input) => resolve(run, input)))
  const vertex = state.vertex.digest
  started(run, vertex)
  const result = op.combine(inputs.map((input) => input.result))
  complete(run, vertex)
  return { result, input: viewInput(op, inputs) }
}

async function describe<R>(run: Run<R>, state: State<R>, op: SourceOp<R>): Promise<Resolved<R>> {
  const { vertex } = state
  started(run, vertex.digest)
  const result = await op.describe({ vertex, signal: run.signal, events: run.events })
  complete(run, vertex.digest)
  return { result, input: (await key(run, state)).input }
}

async function make<R>(run: Run<R>, state: State<R>, op: StepOp<R>): Promise<Resolved<R>> {
  const keyed = await key(run, state)
  if (keyed.definition === undefined || keyed.inputs === undefined)
    throw new InternalError('ERR_INTERNAL', 'a step has no key')
  const hit = await load(run, state, op, keyed.record)
  if (hit !== undefined) return hit
  const resolved = await Promise.all(state.inputs.map((input) => resolve(run, input)))
  const results = resolved.map(({ result }) => result)
  const inputs = keyed.inputs.map((input, index) => asResolved(input, resolved[index]))
  const definition = definitionKey(op.key, inputs)
  const byContent = await contentInputs(run, op, inputs, results)
  const content = byContent === undefined ? undefined : contentKey(op.key, byContent)
  if (content !== undefined && !state.vertex.ignoreCache) {
    const found = run.cache.load(content)
    const again = await load(run, state, op, found)
    if (again !== undefined && found !== undefined) {
      run.cache.link(definition, found)
      return again
    }
  }
  const keys = content === undefined ? [definition] : [definition, content]
  return await executeOnce(run, state, op, { keys, definition, inputs: byContent ?? inputs, results })
}

/**
 * An input was keyed by its record, but ran again because what the record names is gone: it counts as what it is now, so
 * that nothing is recorded over a result that no longer exists.
 */
function asResolved<R>(input: RecordedInput, resolved: Resolved<R> | undefined): RecordedInput {
  if (input.kind !== 'result' || resolved?.input?.kind !== 'result') return input
  return { ...input, key: resolved.input.key }
}

/** The inputs with content in the place of keys, or undefined if that changes nothing. */
async function contentInputs<R>(
  run: Run<R>,
  op: StepOp<R>,
  inputs: readonly RecordedInput[],
  results: readonly R[],
): Promise<readonly RecordedInput[] | undefined> {
  const replaceable = inputs.some(
    (input, index) => input.kind !== 'content' && op.inputs[index]?.content !== undefined,
  )
  if (!replaceable) return undefined
  return await Promise.all(
    inputs.map(async (input, index): Promise<RecordedInput> => {
      const content = op.inputs[index]?.content
      const result = results[index]
      if (input.kind === 'content' || content === undefined || result === undefined) return input
      return { kind: 'content', ...(await content(result, run.signal)) }
    }),
  )
}

async function load<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  record: CacheRecord | undefined,
): Promise<Resolved<R> | undefined> {
  if (record === undefined) return undefined
  const bases = await Promise.all(
    op.bases.map(async (index) => {
      const base = state.inputs[index]
      if (base === undefined)
        throw new InternalError('ERR_INTERNAL', `"${state.vertex.name}" has no input ${index}`)
      return { index, ...(await resolve(run, base)) }
    }),
  )
  if (!bases.every(({ index, input }) => isBuiltUpon(record.inputs[index], input))) return undefined
  const result = op.load(
    record.stored,
    bases.map((base) => base.result),
  )
  if (result === undefined) return undefined
  run.cached++
  run.events({ type: 'vertex.cached', vertex: state.vertex.digest, from: 'local', at: run.now() })
  return { result, input: { kind: 'result', key: record.outputKey } }
}

/** A layer belongs onto the very result it was made upon, and not onto that of a later run of the same step. */
function isBuiltUpon(recorded: RecordedInput | undefined, base: KeyedInput | undefined): boolean {
  return recorded?.kind !== 'result' || base?.kind !== 'result' || recorded.key === base.key
}

interface Plan<R> {
  readonly keys: readonly Digest[]
  readonly definition: Digest
  readonly inputs: readonly RecordedInput[]
  readonly results: readonly R[]
}

/** Runs a step while no other process does; resolves as soon as its result can be used. */
function executeOnce<R>(run: Run<R>, state: State<R>, op: StepOp<R>, plan: Plan<R>): Promise<Resolved<R>> {
  const vertex = state.vertex.digest
  return new Promise((usable, reject) => {
    const onWait = () => {
      const reason = 'another process runs this step'
      run.events({ type: 'vertex.waiting', vertex, reason, at: run.now() })
    }
    const body = async () => {
      const made = state.vertex.ignoreCache
        ? undefined
        : await load(run, state, op, run.cache.load(plan.definition))
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
