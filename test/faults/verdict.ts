import { rmSync } from 'node:fs'
import { describeTree } from '../support/tree.ts'
import { type Outcome, readSteps } from '../support/tsbuild.ts'
import { fsck } from './fsck.ts'
import { endOf, findLeft, type Trial } from './rig.ts'
import type { Scenario } from './scenarios.ts'
import { isSoak, type Verdict } from './tally.ts'

/**
 * Judges a trial whose build has ended, in whatever way: what is left a second later, whether every file of the store is
 * whole, whether the same build now gives what it should, with every step cached that had been reported done, and whether
 * nothing half done is left after that.
 *
 * @param end `deadHelper`: the builder lived on, and nobody could remove the cgroups of a session whose helper was killed: the
 *   next session must. `powerCut`: see {@link fsck}
 */
export async function judge(
  scenario: Scenario,
  trial: Trial,
  point: string,
  before: Outcome,
  wasReached: () => boolean,
  end: { readonly deadHelper?: boolean; readonly powerCut?: boolean } = {},
): Promise<Verdict> {
  const { deadHelper = false, powerCut = false } = end
  const isSwept = (what: string) => deadHelper && what.startsWith('cgroup ')
  const left = await findLeft(trial, 1, isSwept)
  const reached = wasReached()
  await trial.corral.kill()
  const first = fsck(trial.store, { swept: false, noEmptyFiles: true, powerCut })
  const outside = (await scenario.outside?.(trial)) ?? []
  const again = await rebuild(scenario, trial, before)
  if (trial.corral.cgroups().length > 0) await endOf(trial.start([], scenario.anew(trial)))
  if (scenario.name === 'prune') await endOf(trial.start([], scenario.args(trial)))
  const last = fsck(trial.store, { swept: true, noEmptyFiles: true, powerCut })
  // In a soak each point would take half as long again.
  const verified = isSoak ? [] : await verify(trial)
  const dangling = [...(scenario.name === 'prune' ? [] : first.dangling), ...last.dangling]
  return {
    point,
    reached,
    lost: again.lost,
    corrupt: [...first.corrupt, ...dangling, ...outside, ...again.problems, ...last.corrupt, ...verified],
    leaked: [...left.filter((what) => !isSwept(what)), ...last.leaked, ...(await findLeft(trial))],
  }
}

/** What the product's own check says: it must find nothing either. */
async function verify(trial: Trial): Promise<readonly string[]> {
  const { code, stdout, stderr } = await endOf(trial.start([], ['verify']))
  return code === 0 ? [] : [`tsbuild verify: exit code ${code}: ${stdout}${lastWords(stderr)}`]
}

/** Builds the same once more; `before` is what the build that died had said. */
export async function rebuild(scenario: Scenario, trial: Trial, before: Outcome) {
  rmSync(trial.path('tree'), { recursive: true, force: true })
  const { code, stderr, hung } = await endOf(trial.start([], scenario.rebuild(trial)))
  const steps = readSteps(stderr)
  const done = readSteps(before.stderr.replace(/\n[^\n]*$/, '\n'))
  // Putting the layer of a `COPY --link` on its base is no work, and has no record.
  const executed = steps.executed.filter((name) => !name.includes('] LINK ')).map(bare)
  const problems =
    code === 0
      ? compare(scenario.tree, describeTree(trial.path('tree')))
      : [`the next build ${hung ? 'hung' : `ended with ${code}`}: ${lastWords(stderr)}`]
  return {
    lost:
      code === 0 ? [...done.executed, ...done.cached].filter((name) => executed.includes(bare(name))) : [],
    problems,
  }
}

/** Without `[2/7]`, which tells how many steps the stage has. */
const bare = (name: string) => name.replace(/^\[[^\]]*\] /, '')

function compare(expected: readonly string[], found: readonly string[]): readonly string[] {
  return [
    ...expected.filter((line) => !found.includes(line)).map((line) => `missing: ${line}`),
    ...found.filter((line) => !expected.includes(line)).map((line) => `unexpected: ${line}`),
  ]
}

/** What a build said at its end, without its events. */
export function lastWords(stderr: string): string {
  return stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{'))
    .join('\n')
    .slice(-1000)
}
