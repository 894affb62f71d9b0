import { lookUp } from './look-up.ts'
import { resolve } from './resolve.ts'
import { keyedOf, type Run, type State } from './run.ts'

/**
 * Makes the results of a build agree. What a record names may be gone: then the step runs when some reader needs it, after
 * another reader was found by what the record said. If the step made something else now, a build of both readers would
 * mix the two, so the other one is looked up once more, and what was made of it.
 *
 * @param states inputs before their readers
 */
export async function lookAgain<R>(run: Run<R>, states: readonly State<R>[]): Promise<void> {
  for (;;) {
    const outdated = states.filter(isOutdated)
    if (outdated.length === 0) return
    const wanted = outdated.filter((state) => state.resolved !== undefined)
    for (const state of outdated) state.resolved = undefined
    for (const state of outdated) beginLookUp(run, state)
    await Promise.all(outdated.map((state) => keyedOf(state)))
    await Promise.all(wanted.map((state) => resolve(run, state)))
  }
}

/** Asks what a vertex counts as. A failure is that of whoever waits for it. */
export function beginLookUp<R>(run: Run<R>, state: State<R>): void {
  state.keyed = lookUp(run, state)
  state.keyed.catch(() => {})
}

/** Whether an input counts as something else by now than when the vertex was found or made. */
function isOutdated<R>({ by, inputs }: State<R>): boolean {
  return (by ?? []).some((then, index) => {
    const now = inputs[index]?.counts
    return then?.kind === 'result' && now?.kind === 'result' && then.key !== now.key
  })
}
