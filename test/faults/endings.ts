import { setTimeout as wait } from 'node:timers/promises'
import type { Outcome } from '../support/tsbuild.ts'
import { endOf, inTrial, type Trial } from './rig.ts'
import type { Scenario } from './scenarios.ts'
import type { Verdict } from './tally.ts'
import { judge, lastWords } from './verdict.ts'

/** Lets a build run for a time, does something to it, and judges how it took that. */
export async function endBuild(
  scenario: Scenario,
  point: string,
  afterMs: number,
  how: {
    readonly act: (trial: Trial, pid: number) => void
    /** What is wrong with how it ended, `ms` after the act. */
    readonly faults: (end: Outcome, ms: number) => readonly string[]
  },
): Promise<Verdict> {
  return await inTrial(scenario, async (trial) => {
    scenario.prepare?.(trial)
    const running = trial.start([], scenario.args(trial))
    const ended = endOf(running)
    await wait(afterMs)
    const startedAt = performance.now()
    const wasRunning = running.child.exitCode === null && running.child.signalCode === null
    if (wasRunning && running.child.pid !== undefined) how.act(trial, running.child.pid)
    const before = await ended
    const faults = how.faults(before, performance.now() - startedAt)
    const verdict = await judge(scenario, trial, `${point} after ${afterMs} ms`, before, () => wasRunning)
    const said = faults.map(
      (fault) => `${fault}: exit code ${before.code ?? before.signal}: ${lastWords(before.stderr)}`,
    )
    return { ...verdict, corrupt: [...verdict.corrupt, ...(wasRunning ? said : [])] }
  })
}
