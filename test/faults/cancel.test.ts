import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import type { Outcome } from '../support/tsbuild.ts'
import { endBuild } from './endings.ts'
import { endOf, findLeft, inTrial, openRig, type Rig } from './rig.ts'
import { makeScenarios, type Scenario, type Scenarios } from './scenarios.ts'
import {
  failures,
  inParallel,
  isSoak,
  keepFigures,
  randomNumbers,
  seed,
  soakPoints,
  type Verdict,
} from './tally.ts'

let rig: Rig
let scenarios: Scenarios
beforeAll(async () => {
  rig = await openRig('cancel')
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

/** 130, or what it had come to by itself when the signal arrived; and soon. */
function faultsOf({ code, signal }: Outcome, ms: number): readonly string[] {
  return [
    // Before its first line Node.js has no handler yet, and dies of the signal as any program.
    ...(code === 130 || code === 0 || signal === 'SIGINT' ? [] : ['another exit code']),
    ...(ms <= 2000 ? [] : [`the prompt came back after ${Math.round(ms)} ms`]),
  ]
}

describe('Ctrl-C', () => {
  it('at any instant gives the prompt back, and costs nothing that was done', async (t) => {
    needs(t, 'root')
    const random = randomNumbers(seed)
    const instants = Array.from({ length: isSoak ? soakPoints(100) : 8 }, (_, index) => ({
      scenario: scenarioOf(index % 2 === 0 ? 'build' : 'stages'),
      ms: Math.floor(random() * 600),
    }))
    const verdicts = await inParallel(instants, 2, ({ scenario, ms }) =>
      endBuild(scenario, `${scenario.name}, SIGINT`, ms, {
        act: (_, pid) => void process.kill(pid, 'SIGINT'),
        faults: faultsOf,
      }),
    )
    keepFigures('cancel', verdicts)
    expect(failures(verdicts), `seed ${seed}`).toEqual([])
    expect(verdicts.some(({ reached }) => reached)).toBe(true)
  })

  /** Its step takes no notice of signals. */
  const stubborn = () =>
    rig.context('stubborn', {
      Dockerfile: `FROM busybox:test\nRUN trap '' TERM INT HUP; echo is-running; while :; do sleep 1; done\n`,
    })

  it('twice does not wait for a step', async (t) => {
    needs(t, 'root')
    await inTrial({ template: rig.busybox }, async (trial) => {
      const running = trial.start([], ['--progress', 'plain', stubborn()])
      await running.saw(/is-running$/m)
      running.child.kill('SIGINT')
      await wait(100)
      const secondAt = performance.now()
      running.child.kill('SIGINT')
      const { code } = await endOf(running)
      expect(performance.now() - secondAt).toBeLessThan(1000)
      expect(code).toBe(130)
      expect(await findLeft(trial)).toEqual([])
    })
  })

  it.for(['SIGHUP', 'SIGTERM'] as const)('%s ends the step and what it left behind', async (signal, t) => {
    needs(t, 'root')
    await inTrial({ template: rig.busybox }, async (trial) => {
      const running = trial.start([], ['--progress', 'plain', stubborn()])
      await running.saw(/is-running$/m)
      running.child.kill(signal)
      const { code, hung } = await endOf(running, 30)
      expect([hung, code]).toEqual([false, 130])
      expect(await findLeft(trial)).toEqual([])
    })
  })

  it('leaves nothing where nobody reads any more', async (t) => {
    needs(t, 'root')
    const verdicts: Verdict[] = []
    const scenario = scenarioOf('build')
    for (const ms of [50, 200, 350]) {
      const close = { stdout: 'output', stderr: 'progress' } as const
      for (const stream of ['stdout', 'stderr'] as const) {
        const verdict = await inTrial(scenario, async (trial) => {
          const running = trial.start([], scenario.args(trial))
          const ended = endOf(running)
          await wait(ms)
          running.child[stream]?.destroy()
          const { hung } = await ended
          const left = await findLeft(trial)
          return {
            point: `${close[stream]} closed after ${ms} ms`,
            reached: true,
            lost: [],
            corrupt: hung ? ['hung'] : [],
            leaked: left,
          }
        })
        verdicts.push(verdict)
      }
    }
    expect(failures(verdicts)).toEqual([])
  })
})
