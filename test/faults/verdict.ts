import { rmSync } from 'node:fs'
import { describeTree } from '../support/tree.ts'
import { type Outcome, readSteps } from '../support/tsbuild.ts'
import { fsck } from './fsck.ts'
import { endOf, findLeft, type Trial } from './rig.ts'
import type { Scenario } from './scenarios.ts'
import type { Verdict } from './tally.ts'

/**
 * Judges a trial whose build has ended, in whatever way: what is left a second later, whether every file of the store is
 * whole, whether the same build now gives what it should, with every step cached that had been reported done, and whether
 * nothing half done is left after that.
 */
export async function judge(
  scenario: Scenario,
  trial: Trial,
  point: string,
  before: Outcome,
  reached: boolean,
): Promise<Verdict> {
  const left = await findLeft(trial)
  await trial.corral.clear()
  const first = fsck(trial.store, { swept: false, noEmptyFiles: true })
  const outside = (await scenario.outside?.(trial)) ?? []
  const again = await rebuild(scenario, trial, before)
  const last = fsck(trial.store, { swept: true, noEmptyFiles: true })
  return {
    point,
    reached,
    lost: again.lost,
    corrupt: [...first.corrupt, ...outside, ...again.problems, ...last.corrupt],
    leaked: [...left, ...last.leaked, ...(await findLeft(trial))],
  }
}

/** Builds the same once more; `before` is what the build that died had said. */
export async function rebuild(scenario: Scenario, trial: Trial, before: Outcome) {
  rmSync(trial.path('tree'), { recursive: true, force: true })
  const { code, stderr, hung } = await endOf(trial.start([], scenario.rebuild(trial)))
  const steps = readSteps(stderr)
  const done = readSteps(before.stderr.replace(/\n[^\n]*$/, '\n'))
  const problems =
    code === 0
      ? compare(scenario.tree, describeTree(trial.path('tree')))
      : [`the next build ${hung ? 'hung' : `ended with ${code}`}: ${stderr.slice(-2000)}`]
  return {
    lost:
      code === 0 ? [...done.executed, ...done.cached].filter((name) => steps.executed.includes(name)) : [],
    problems,
  }
}

function compare(expected: readonly string[], found: readonly string[]): readonly string[] {
  return [
    ...expected.filter((line) => !found.includes(line)).map((line) => `missing: ${line}`),
    ...found.filter((line) => !expected.includes(line)).map((line) => `unexpected: ${line}`),
  ]
}
