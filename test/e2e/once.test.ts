import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { runOverlapping } from '../support/overlapping-builds.ts'
import { findProcesses, untilNone } from '../support/processes.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('once')
})
afterAll(() => workspace?.remove())

describe('several processes', () => {
  it('execute each distinct step of their builds exactly once', async () => {
    const { runs, steps } = await runOverlapping(workspace, 4, 0)
    expect(runs).toEqual(Object.fromEntries(steps.map((step) => [step, 1])))
  })

  it('say whom they wait for, and go on when that is killed', async () => {
    const seconds = 97_531
    const context = workspace.context('held', {
      Dockerfile: `FROM busybox:test\nRUN echo is-running && sleep ${seconds}`,
    })
    const holder = workspace.tsbuild.start(['--progress', 'plain', context])
    await holder.saw(/is-running/)
    const waiter = workspace.tsbuild.start(['--progress', 'plain', context])
    await waiter.saw(new RegExp(`waiting: process ${holder.child.pid} of build [0-9a-f]{24} runs this step`))
    // One that does nothing any more is named as such, to whoever asks then.
    holder.child.kill('SIGSTOP')
    const late = workspace.tsbuild.start(['--progress', 'plain', context])
    await late.saw(
      new RegExp(
        `process ${holder.child.pid} of build [0-9a-f]{24}, which is stopped \\(.kill -CONT ${holder.child.pid}`,
      ),
    )
    late.child.kill('SIGINT')
    expect((await late.outcome).code).toBe(130)
    holder.child.kill('SIGKILL')
    await holder.outcome
    await waiter.saw(/is-running/)
    waiter.child.kill('SIGINT')
    expect((await waiter.outcome).code).toBe(130)
    expect(await untilNone(() => findProcesses(`sleep ${seconds}`))).toEqual([])
  })
})
