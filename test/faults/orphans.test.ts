import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { fsck } from './fsck.ts'
import { endOf, findLeft, inTrial, openRig, type Rig, type Trial } from './rig.ts'
import { makeScenarios, type Scenario, type Scenarios } from './scenarios.ts'
import { failures, isSoak, keepFigures, randomNumbers, seed, type Verdict } from './tally.ts'
import { judge, lastWords } from './verdict.ts'

let rig: Rig
let scenarios: Scenarios
beforeAll(async () => {
  rig = await openRig('orphans')
  scenarios = await makeScenarios(rig)
})
afterAll(async () => {
  await scenarios?.stop()
  await rig?.remove()
})

const scenarioOf = (name: Scenario['name']): Scenario => {
  const found = scenarios.all.find((one) => one.name === name)
  if (found === undefined) throw new Error(`no scenario ${name}`)
  return found
}

/** A step with a child in the background, one in a session of its own, and one whose parent is gone. */
const everywhere = () =>
  rig.context('everywhere', {
    Dockerfile: [
      'FROM busybox:test',
      'RUN echo first > /first',
      "RUN sleep 5000 & setsid sleep 5001 & (setsid sh -c 'sleep 5002 & sleep 5003' &); echo is-running; sleep 5004",
    ].join('\n'),
  })

const firstStep = () =>
  rig.context('first-step', { Dockerfile: 'FROM busybox:test\nRUN echo first > /first\n' })

describe('kill -9 of the builder', () => {
  it('takes every process of a step with it, and its mounts and cgroups', async (t) => {
    needs(t, 'root')
    const verdicts: Verdict[] = []
    for (let round = 0; round < (isSoak ? 30 : 3); round += 1) {
      const verdict = await inTrial({ template: rig.busybox }, async (trial) => {
        const running = trial.start([], ['--progress', 'plain', everywhere()])
        await running.saw(/is-running$/m)
        const before = trial.corral.processes().length
        running.child.kill('SIGKILL')
        await endOf(running)
        const left = await findLeft(trial)
        const { corrupt } = fsck(trial.store, { swept: false })
        const again = await endOf(trial.start([], ['--progress', 'plain', firstStep()]))
        const cached = /^#\d+ CACHED/m.test(again.stderr)
        const swept = fsck(trial.store, { swept: true })
        return {
          point: `round ${round}`,
          reached: before >= 6,
          lost: cached ? [] : ['the step that was done'],
          corrupt: [...corrupt, ...swept.corrupt],
          leaked: [...left, ...swept.leaked],
        }
      })
      verdicts.push(verdict)
    }
    keepFigures('kill-run', verdicts)
    expect(failures(verdicts)).toEqual([])
    expect(verdicts.every(({ reached }) => reached)).toBe(true)
  })

  it('at any time of one of four on a store costs the others nothing', async (t) => {
    needs(t, 'root')
    const random = randomNumbers(seed)
    const verdicts: Verdict[] = []
    const until =
      performance.now() + (isSoak ? Number(process.env.TSBUILD_FAULT_MINUTES ?? 5) * 60_000 : 6000)
    while (performance.now() < until) verdicts.push(await killOneOfFour(random))
    keepFigures('kill-random', verdicts)
    expect(failures(verdicts), `seed ${seed}`).toEqual([])
  })
})

/** Three builders go on, of which two build the same as the one that dies. */
async function killOneOfFour(random: () => number): Promise<Verdict> {
  const [six, stages] = [scenarioOf('build'), scenarioOf('stages')]
  const ms = Math.floor(random() * 1200)
  return await inTrial(six, async (trial) => {
    const [victim, ...others] = [six, six, stages, six].map((scenario) =>
      trial.start([], scenario.args(trial)),
    )
    await wait(ms)
    const reached = victim?.child.kill('SIGKILL') ?? false
    const ends = await Promise.all(others.map((other) => endOf(other)))
    const before = victim === undefined ? ends[0] : await endOf(victim)
    if (before === undefined) throw new Error('nobody was started')
    const verdict = await judge(six, trial, `one of four killed after ${ms} ms`, before, () => reached)
    const failed = ends
      .filter(({ code }) => code !== 0)
      .map(({ code, stderr }) => `another ended with ${code}: ${lastWords(stderr)}`)
    return { ...verdict, corrupt: [...verdict.corrupt, ...failed] }
  })
}

describe('memory that runs out', () => {
  /** Limits everything of a trial; the kernel kills what takes most. */
  function limit(trial: Trial, bytes: number): boolean {
    const file = trial.corral.file('memory', 'memory.limit_in_bytes')
    if (file === undefined) return false
    writeFileSync(file, `${bytes}`)
    return true
  }
  const kills = (trial: Trial) => {
    const file = trial.corral.file('memory', 'memory.oom_control') ?? ''
    return existsSync(file) ? Number(/oom_kill (\d+)/.exec(readFileSync(file, 'utf8'))?.[1] ?? 0) : 0
  }

  it('in a build, a pull or an export ends it with an error, and costs nothing that was done', async (t) => {
    needs(t, 'root')
    const verdicts: Verdict[] = []
    const sizes = isSoak ? [8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 72] : [16, 40]
    for (const name of ['build', 'pull', 'export'] as const) {
      for (const megabytes of sizes)
        verdicts.push(await withMemory(scenarioOf(name), megabytes, limit, kills))
    }
    keepFigures('oom', verdicts)
    expect(failures(verdicts)).toEqual([])
    expect(verdicts.some(({ reached }) => reached)).toBe(true)
  })
})

async function withMemory(
  scenario: Scenario,
  megabytes: number,
  limit: (trial: Trial, bytes: number) => boolean,
  kills: (trial: Trial) => number,
): Promise<Verdict> {
  return await inTrial(scenario, async (trial) => {
    scenario.prepare?.(trial)
    const limited = limit(trial, megabytes * 1024 * 1024)
    const before = await endOf(trial.start([], scenario.args(trial)))
    const reached = limited && kills(trial) > 0
    limit(trial, -1)
    return await judge(scenario, trial, `${scenario.name} with ${megabytes} MiB`, before, () => reached, {
      deadHelper: true,
    })
  })
}
