import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { countPoints, killAt } from './kill-points.ts'
import { openRig, type Rig } from './rig.ts'
import { makeScenarios, type Scenarios, scenarioNames } from './scenarios.ts'
import { failures, inParallel, keepFigures, sample, seed, type Verdict } from './tally.ts'

let rig: Rig
let scenarios: Scenarios
beforeAll(async () => {
  rig = await openRig('kill')
  scenarios = await makeScenarios(rig)
})
afterAll(async () => {
  await scenarios?.stop()
  await rig?.remove()
})

describe('SIGKILL at a system call', () => {
  it.for(scenarioNames)('of %s loses nothing, breaks nothing and leaves nothing', async (name, t) => {
    needs(t, 'root', 'program strace')
    const scenario = scenarios.all.find((one) => one.name === name)
    if (scenario === undefined) throw new Error(`no scenario ${name}`)
    const points = await countPoints(scenario)
    const all: Verdict[] = []
    for (const victim of ['builder', 'helper'] as const) {
      const own = points.filter((point) => (point.victim === 'builder') === (victim === 'builder'))
      const verdicts = await inParallel(sample(own, 4), 2, killAt)
      keepFigures(`kill-${name}-${victim}`, verdicts)
      all.push(...verdicts)
    }
    expect(failures(all), `seed ${seed}`).toEqual([])
    expect(all.filter(({ reached }) => reached).length).toBeGreaterThan(all.length / 2)
  })
})
