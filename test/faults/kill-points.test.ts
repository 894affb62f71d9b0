import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { countPoints, killAt } from './kill-points.ts'
import { openRig, type Rig } from './rig.ts'
import { makeScenarios, type Scenarios, scenarioNames } from './scenarios.ts'
import { failures, inParallel, keepFigures, sample, seed } from './tally.ts'

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
  it.each(scenarioNames)('of %s loses nothing, breaks nothing and leaves nothing', async (name) => {
    const scenario = scenarios.all.find((one) => one.name === name)
    if (scenario === undefined) throw new Error(`no scenario ${name}`)
    const points = await countPoints(scenario)
    for (const victim of ['builder', 'helper'] as const) {
      const own = points.filter((point) => (point.victim === 'builder') === (victim === 'builder'))
      const verdicts = await inParallel(sample(own, 4), 2, killAt)
      keepFigures(`kill-${name}-${victim}`, verdicts)
      expect(failures(verdicts), `seed ${seed}`).toEqual([])
      expect(verdicts.filter(({ reached }) => reached).length).toBeGreaterThan(verdicts.length / 2)
    }
  })
})
