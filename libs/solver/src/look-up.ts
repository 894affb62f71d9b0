import { InternalError } from '@tsbuild/errors'
import { definitionKey } from './keys.ts'
import { find } from './load.ts'
import { resolve } from './resolve.ts'
import { fail, type Keyed, keyedOf, type Run, type State, sourceInput, viewInput } from './run.ts'
import type { RecordedInput, StepOp } from './types.ts'

/** What a vertex counts as for its readers, and the record found under its key. Asked of each vertex, inputs first. */
export async function lookUp<R>(run: Run<R>, state: State<R>): Promise<Keyed> {
  const keyed = await keyOf(run, state)
  state.counts = keyed.input
  return keyed
}

async function keyOf<R>(run: Run<R>, state: State<R>): Promise<Keyed> {
  const { op } = state
  if (op.kind === 'source') return { input: sourceInput(op) }
  if (op.kind === 'view') {
    await Promise.all(state.inputs.map((input) => keyedOf(input)))
    const inputs = state.inputs.map(({ counts }) => counts)
    state.by = inputs
    return { input: viewInput(op, inputs) }
  }
  try {
    const inputs = await Promise.all(state.inputs.map((_, index) => keyOfInput(run, state, op, index)))
    state.by = inputs
    const definition = definitionKey(op.key, inputs)
    const { record, unusable } = find(run, state, op, definition)
    const input = record === undefined ? undefined : ({ kind: 'result', key: record.outputKey } as const)
    return { input, definition, inputs, record, unusable }
  } catch (error) {
    throw fail(run, state, error)
  }
}

/** What one input counts as; runs it where nothing less can tell. */
async function keyOfInput<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  index: number,
): Promise<RecordedInput> {
  const input = state.inputs[index]
  if (input === undefined) throw new InternalError('ERR_INTERNAL', `"${state.vertex.name}" lacks an input`)
  const selector = op.inputs[index]?.selector
  await keyedOf(input)
  if (input.counts !== undefined) return { ...input.counts, selector }
  const resolved = await resolve(run, input)
  if (resolved.input !== undefined) return { ...resolved.input, selector }
  return await contentOf(run, state, op, index)
}

/** What a step reads of an input without a key: such an input is there already, and is read once. */
export function contentOf<R>(
  run: Run<R>,
  state: State<R>,
  op: StepOp<R>,
  index: number,
): Promise<RecordedInput> {
  const known = state.contents.get(index)
  if (known !== undefined) return known
  const digest = async (): Promise<RecordedInput> => {
    const input = state.inputs[index]
    const content = op.inputs[index]?.content
    if (input === undefined || content === undefined) {
      throw new InternalError(
        'ERR_INTERNAL',
        `"${input?.vertex.name}" has no key and its reader digests no content`,
      )
    }
    const { result } = await resolve(run, input)
    return { kind: 'content', ...(await run.reading(() => content(result, run.signal))) }
  }
  const digested = digest()
  digested.catch(() => {})
  state.contents.set(index, digested)
  return digested
}
