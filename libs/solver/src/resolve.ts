import type { Digest } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import { executeOnce } from './execute.ts'
import { definitionKey } from './keys.ts'
import { find, graver, isForced, type Loaded, load } from './load.ts'
import {
  basesOf,
  complete,
  fail,
  keyedOf,
  type Resolved,
  type Run,
  type State,
  sourceInput,
  started,
  viewInput,
} from './run.ts'
import type { RecordedInput, SourceOp, StepOp, ViewOp } from './types.ts'

/** The result of a vertex: brought back, or made. Asked once of each, unless {@link lookAgain} resets it. */
export function resolve<R>(run: Run<R>, state: State<R>): Promise<Resolved<R>> {
  if (state.resolved === undefined) {
    state.resolved = begin(run, state)
    state.resolved.catch(() => {})
  }
  return state.resolved
}

async function begin<R>(run: Run<R>, state: State<R>): Promise<Resolved<R>> {
  try {
    const resolved = await start(run, state)
    state.counts = resolved.input
    return resolved
  } catch (error) {
    throw fail(run, state, error)
  }
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
  // A step waits for its key before it asks for its inputs; a view upon a view upon a view must not fill the stack.
  await keyedOf(state)
  const inputs = await Promise.all(state.inputs.map((input) => resolve(run, input)))
  const vertex = state.vertex.digest
  const counted = inputs.map(({ input }) => input)
  state.by = counted
  started(run, vertex)
  const result = op.combine(inputs.map((input) => input.result))
  complete(run, vertex)
  return { result, input: viewInput(op, counted) }
}

async function describe<R>(run: Run<R>, state: State<R>, op: SourceOp<R>): Promise<Resolved<R>> {
  const { vertex } = state
  started(run, vertex.digest)
  const result = await op.describe({ vertex, signal: run.signal, events: run.events })
  complete(run, vertex.digest)
  return { result, input: sourceInput(op) }
}

async function make<R>(run: Run<R>, state: State<R>, op: StepOp<R>): Promise<Resolved<R>> {
  const keyed = await keyedOf(state)
  if (keyed.definition === undefined || keyed.inputs === undefined)
    throw new InternalError('ERR_INTERNAL', 'a step has no key')
  let { unusable } = keyed
  if (keyed.record !== undefined) {
    const { record, definition } = keyed
    const bases = await Promise.all(basesOf(state, op, state.inputs).map((base) => resolve(run, base)))
    const loaded = load(run, state, op, { record, keys: [definition], bases })
    if ('resolved' in loaded) return loaded.resolved
    unusable = loaded.unusable
  }
  const resolved = await Promise.all(state.inputs.map((input) => resolve(run, input)))
  const bases = basesOf(state, op, resolved)
  const results = resolved.map(({ result }) => result)
  const inputs = keyed.inputs.map((input, index) => asResolved(input, resolved[index]))
  state.by = inputs
  const definition = definitionKey(op.key, inputs)
  const elsewhere = await ask(run, state, op, { keys: [definition], inputs, bases })
  if ('resolved' in elsewhere) return elsewhere.resolved
  unusable = graver(unusable, elsewhere.unusable)
  const byContent = await contentInputs(run, op, inputs, results)
  if (byContent === undefined)
    return await executeOnce(run, state, op, { keys: [definition], inputs, results, bases, unusable })
  const content = definitionKey(op.key, byContent)
  const keys = [definition, content] as const
  const found = await loadByContent(run, state, op, { keys, inputs: byContent, bases })
  if ('resolved' in found) return found.resolved
  unusable = graver(unusable, found.unusable)
  return await executeOnce(run, state, op, { keys, inputs: byContent, results, bases, unusable })
}

/** A step that is looked up when its inputs are there. */
interface Wanted<R> {
  /** All that is known of its keys; the last is asked for. */
  readonly keys: readonly [definition: Digest, content?: Digest]
  readonly inputs: readonly RecordedInput[]
  readonly bases: readonly Resolved<R>[]
}

type LoadedIfAny<R> = Loaded<R> | { readonly unusable: undefined }

/** By a key that nobody could know before its inputs were there: here, and then in caches elsewhere. */
async function loadByContent<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  wanted: Wanted<R>,
): Promise<LoadedIfAny<R>> {
  const here = loadLast(run, state, op, wanted)
  if ('resolved' in here) return here
  const elsewhere = await ask(run, state, op, wanted)
  return 'resolved' in elsewhere ? elsewhere : { unusable: graver(here.unusable, elsewhere.unusable) }
}

function loadLast<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  { keys, bases }: Wanted<R>,
): LoadedIfAny<R> {
  const [definition, key = definition] = keys
  const found = find(run, state, op, key)
  if (found.record === undefined) return { unusable: found.unusable }
  const loaded = load(run, state, op, { record: found.record, keys, bases })
  if ('resolved' in loaded) {
    if (key !== definition) run.cache.link(definition, found.record)
    return loaded
  }
  return { unusable: graver(found.unusable, loaded.unusable) }
}

/** Asks caches elsewhere, where there are any, for a step that is not here. */
async function ask<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  wanted: Wanted<R>,
): Promise<LoadedIfAny<R>> {
  const { vertex } = state
  if (run.cache.ask === undefined || isForced(state, op, undefined)) return { unusable: undefined }
  const [definition, key = definition] = wanted.keys
  const inputNames = state.inputs.map((input) => input.vertex.name)
  const { inputs } = wanted
  if (!(await run.cache.ask({ key, vertex, op: op.key, inputs, inputNames }, run.signal)))
    return { unusable: undefined }
  return loadLast(run, state, op, wanted)
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
      return { kind: 'content', ...(await run.reading(() => content(result, run.signal))) }
    }),
  )
}
