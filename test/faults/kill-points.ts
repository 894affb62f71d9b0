import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { endOf, inTrial, type Trial, wrapHelper } from './rig.ts'
import type { Scenario } from './scenarios.ts'
import { killSyscalls, pointsOf, readLog, type SyscallPoint, straceWords } from './strace.ts'
import type { Verdict } from './tally.ts'
import { judge, lastWords } from './verdict.ts'

/** A system call before which a process is killed. */
export interface KillPoint extends SyscallPoint {
  readonly scenario: Scenario
  /** The builder, or the helper that it starts as its nth. */
  readonly victim: 'builder' | number
}

const builderWords = ['-b', 'execve']
const helperWords = ['-D']

/** Every point of a scenario: it runs twice to its end, once with the builder traced and once with all helpers. */
export async function countPoints(scenario: Scenario): Promise<readonly KillPoint[]> {
  const builder = await inTrial(scenario, async (trial) => {
    scenario.prepare?.(trial)
    const log = trial.path('log')
    await mustEnd(trial, straceWords(log, killSyscalls, undefined, builderWords), scenario)
    return pointsOf(readLog(log)).map((point) => ({ ...point, scenario, victim: 'builder' as const }))
  })
  const helpers = await inTrial(scenario, async (trial) => {
    scenario.prepare?.(trial)
    const wrapper = wrapHelper(trial, 0, straceWords('@FOLDER@/log', killSyscalls, undefined, helperWords))
    await mustEnd(trial, [], scenario, { TSBUILD_HELPER: wrapper })
    return readdirSync(trial.folder).flatMap((name) => {
      const number = Number(/^helper-(\d+)$/.exec(name)?.[1])
      const path = join(trial.folder, name, 'log')
      if (!existsSync(path)) return []
      return pointsOf(readLog(path)).map((point) => ({ ...point, scenario, victim: number }))
    })
  })
  return [...builder, ...helpers]
}

async function mustEnd(
  trial: Trial,
  words: readonly string[],
  scenario: Scenario,
  env?: Record<string, string>,
) {
  const { code, stderr } = await endOf(trial.start(words, scenario.args(trial), env))
  if (code !== scenario.code) throw new Error(`${scenario.name} under strace: exit code ${code}\n${stderr}`)
}

/** Kills at a point and says what came of it. A run may make a call less than the one that was counted; then it is run again. */
export async function killAt(point: KillPoint): Promise<Verdict> {
  for (let attempt = 1; ; attempt += 1) {
    const verdict = await inTrial(point.scenario, (trial) => killOnce(point, trial))
    if (verdict.reached || attempt === 3) return verdict
  }
}

async function killOnce(point: KillPoint, trial: Trial): Promise<Verdict> {
  const { scenario, victim, syscall, when } = point
  const name = `${scenario.name}, ${victim === 'builder' ? victim : `helper ${victim}`}, ${syscall} ${when}`
  scenario.prepare?.(trial)
  const inject = `${syscall}:signal=SIGKILL:when=${when}`
  if (victim === 'builder') {
    const words = straceWords(trial.path('log'), [syscall], inject, builderWords)
    const before = await endOf(trial.start(words, scenario.args(trial)))
    return judge(scenario, trial, name, before, () => before.signal === 'SIGKILL' && !before.hung)
  }
  const words = straceWords('@FOLDER@/log', [syscall], inject, helperWords)
  const before = await endOf(
    trial.start([], scenario.args(trial), { TSBUILD_HELPER: wrapHelper(trial, victim, words) }),
  )
  const log = trial.path(`helper-${victim}`, 'log')
  const verdict = await judge(scenario, trial, name, before, () => wasKilled(log), { deadHelper: true })
  const ended = before.code !== null && [0, 1, 3].includes(before.code)
  return ended
    ? verdict
    : {
        ...verdict,
        corrupt: [
          ...verdict.corrupt,
          `the builder ${before.hung ? 'hung' : `ended with ${before.code ?? before.signal}`}: ${lastWords(before.stderr)}`,
        ],
      }
}

function wasKilled(log: string): boolean {
  return existsSync(log) && /\+\+\+ killed by SIGKILL/.test(readFileSync(log, 'utf8'))
}
