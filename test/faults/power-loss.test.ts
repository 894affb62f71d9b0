import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { makePowerRig } from './power-loss.ts'
import { openRig, type Rig, type Trial } from './rig.ts'
import { makeScenarios, type Scenarios } from './scenarios.ts'
import { failures, isSoak, keepFigures, randomNumbers, seed, soakPoints, type Verdict } from './tally.ts'

let rig: Rig
let scenarios: Scenarios
beforeAll(async () => {
  rig = await openRig('power')
  scenarios = await makeScenarios(rig)
})
afterAll(async () => {
  await scenarios?.stop()
  await rig?.remove()
})

/** Those that write to the store. */
const names = ['build', 'first', 'stages', 'pull', 'failing', 'push'] as const

describe('a power cut', () => {
  it('at any instant loses nothing that was reported done, and leaves no half file', async (t) => {
    needs(t, 'root', 'loop devices', 'program mkfs.xfs')
    const wanted = isSoak ? soakPoints(300) : 12
    const power = await makePowerRig(rig)
    const random = randomNumbers(seed)
    const verdicts: Verdict[] = []
    try {
      for (let round = 0; verdicts.length < wanted; round += 1) {
        const scenario = scenarios.all.find(({ name }) => name === names[round % names.length])
        if (scenario === undefined) throw new Error('no such scenario')
        const most = isSoak ? 20 : 4
        const spread = isSoak ? 60 : 200
        verdicts.push(
          ...(await power.cut(scenario, () => random() * spread, Math.min(most, wanted - verdicts.length))),
        )
      }
    } finally {
      await power.remove()
    }
    keepFigures('power', verdicts)
    expect(failures(verdicts), `seed ${seed}`).toEqual([])
  })

  it('is noticed by this rig where a store is not made durable', async (t) => {
    needs(t, 'root', 'loop devices', 'program mkfs.xfs')
    const six = scenarios.all.find(({ name }) => name === 'build')
    if (six === undefined) throw new Error('no such scenario')
    const power = await makePowerRig(rig)
    try {
      const careless = {
        ...six,
        args: (trial: Trial) => [...six.args(trial), '--durability', 'none'],
      }
      const verdicts = await power.cut(careless, () => 200, 10)
      expect(failures(verdicts)).not.toEqual([])
    } finally {
      await power.remove()
    }
  })
})
