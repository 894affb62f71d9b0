import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findMounts, findProcesses, untilNone } from '../support/processes.ts'
import { readSteps } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('processes')
})
afterAll(() => workspace?.remove())

/** A build whose second step runs until it is killed; its `sleep` is told apart by its number of seconds. */
function endless(name: string, seconds: number, tail = '') {
  const dockerfile = [
    'FROM busybox:test',
    `RUN echo ${name} > /first`,
    `RUN echo is-running && sleep ${seconds}`,
  ]
  return {
    context: workspace.context(name, { Dockerfile: dockerfile.join('\n') + tail }),
    finished: workspace.context(`${name}-finished`, { Dockerfile: dockerfile.slice(0, 2).join('\n') }),
    marker: `sleep ${seconds}`,
  }
}

/** Starts a build and waits until its endless step says that it runs. */
async function startEndless(context: string) {
  const running = workspace.tsbuild.start(['--progress', 'plain', context])
  await running.saw(/^#\d+ [\d.]+ is-running$/m)
  return running
}

describe('two processes', () => {
  it('execute a step once when they build the same thing at the same time', async () => {
    const context = workspace.context('twice', {
      Dockerfile: 'FROM busybox:test\nRUN sleep 2; cat /proc/sys/kernel/random/uuid > /once\nRUN cat /once\n',
    })
    const [one, two] = await Promise.all(
      ['a', 'b'].map((name) => workspace.tsbuild.build(['-o', workspace.path(`twice-${name}`), context])),
    )
    expect([...(one?.executed ?? []), ...(two?.executed ?? [])]).toHaveLength(2)
    expect([...(one?.cached ?? []), ...(two?.cached ?? [])]).toHaveLength(2)
  })

  it('go on with a step when the one that ran it is killed', async () => {
    const { context, marker } = endless('taken-over', 98_761)
    const first = await startEndless(context)
    const second = workspace.tsbuild.start(['--progress', 'plain', context])
    first.child.kill('SIGKILL')
    await first.outcome
    await second.saw(/^#\d+ [\d.]+ is-running$/m)
    second.child.kill('SIGINT')
    expect((await second.outcome).code).toBe(130)
    expect(await untilNone(() => findProcesses(marker))).toEqual([])
  })

  it('leave a valid store when eight build different things', async () => {
    const contexts = Array.from({ length: 8 }, (_, index) =>
      workspace.context(`many-${index}`, {
        Dockerfile: `FROM busybox:test\nRUN echo ${index} > /n\nRUN cat /n\n`,
      }),
    )
    await Promise.all(
      contexts.map((context, index) => workspace.tsbuild.build(['-t', `many:${index}`, context])),
    )
    const images = await workspace.tsbuild.check(['images'])
    expect(images.match(/many/g)).toHaveLength(8)
    for (const context of contexts) expect((await workspace.tsbuild.build([context])).executed).toEqual([])
  })
})

describe('a killed build', () => {
  it('leaves no process and no mount, and its finished steps are cached', async () => {
    const { context, finished, marker } = endless('killed', 98_762)
    const running = await startEndless(context)
    expect(findProcesses(marker)).not.toEqual([])
    running.child.kill('SIGKILL')
    expect((await running.outcome).signal).toBe('SIGKILL')
    expect(await untilNone(() => findProcesses(marker))).toEqual([])
    expect(await untilNone(() => findMounts(workspace.tsbuild.root))).toEqual([])
    const steps = await workspace.tsbuild.build([finished])
    expect(steps.executed).toEqual([])
    expect(steps.cached).toHaveLength(1)
  })

  it('leaves a store that builds and exports, wherever it was when it was killed', async () => {
    const context = workspace.context('anywhere', {
      Dockerfile: [
        'FROM busybox:test',
        'COPY . /src',
        ...[1, 2, 3, 4, 5].map((n) => `RUN echo ${n} > /${n}`),
      ].join('\n'),
      file: 'x',
    })
    for (let round = 0; round < 6; round += 1) {
      const running = workspace.tsbuild.start([
        '--no-cache',
        '--progress',
        'json',
        '-t',
        'anywhere:1.0',
        context,
      ])
      await running.saw(new RegExp(`("vertex.completed"[^]*){${round + 1}}`))
      running.child.kill('SIGKILL')
      const before = readSteps((await running.outcome).stderr)
      // What was reported done is there: the next build finds it.
      const after = await workspace.tsbuild.build(['-t', 'anywhere:1.0', context])
      expect(after.failed).toEqual([])
      for (const name of before.executed) expect(after.executed).not.toContain(name)
      expect(await workspace.tsbuild.check(['run', 'anywhere:1.0', 'cat', '/5'])).toBe('5\n')
    }
  })
})

describe('Ctrl-C', () => {
  it.each(['SIGINT', 'SIGTERM'] as const)('%s ends the step and exits with 130', async (signal) => {
    const seconds = signal === 'SIGINT' ? 98_763 : 98_764
    const { context, marker } = endless(signal.toLowerCase(), seconds)
    const running = await startEndless(context)
    running.child.kill(signal)
    const outcome = await running.outcome
    expect(outcome.code).toBe(130)
    expect(await untilNone(() => findProcesses(marker))).toEqual([])
    expect(await untilNone(() => findMounts(workspace.tsbuild.root))).toEqual([])
  })
})
