import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runOverlapping } from '../support/overlapping-builds.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('once-soak')
})
afterAll(() => workspace?.remove())

describe('sixteen processes', () => {
  it('execute each distinct step of their builds exactly once, ten times over', async () => {
    for (let round = 0; round < 10; round++) {
      const { runs, steps } = await runOverlapping(workspace, 16, round)
      expect(runs).toEqual(Object.fromEntries(steps.map((step) => [step, 1])))
    }
  })
})
