import { copyFileSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { findProgram, needs } from '../support/capabilities.ts'
import { findCgroups, readCgroup } from '../support/cgroups.ts'
import { findMounts, findProcesses, untilNone } from '../support/processes.ts'
import { check, command, readEvents, start } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, openWorkspace, type Workspace } from '../support/workspace.ts'

/** Cgroups are root's on most machines. */
beforeEach((t) => needs(t, 'root'))

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('limits')
})
afterAll(() => workspace?.remove())

const parentOf = (name: string) => `tsbuild-e2e-${process.pid}-${name}`

/** A build of these steps, whose cgroups are below one of its own. */
function project(name: string, ...steps: readonly string[]) {
  const context = workspace.context(name, {
    Dockerfile: ['FROM busybox:test', ...steps.map((step) => `RUN ${step}`)].join('\n'),
  })
  const parent = parentOf(name)
  const argv = (...flags: readonly string[]) => [
    ...['--progress', 'plain', '--network', 'none', '--cgroup-parent', parent],
    ...flags,
    context,
  ]
  return {
    context,
    parent,
    run: (...flags: readonly string[]) => workspace.tsbuild.run(argv(...flags)),
    start: (...flags: readonly string[]) => {
      const running = workspace.tsbuild.start(argv(...flags))
      onTestFinished(() => void running.child.kill('SIGKILL'))
      return running
    },
    leftovers: () => untilNone(() => [...findCgroups(parent), ...findMounts(workspace.tsbuild.root)]),
  }
}

/** A step that allocates this much, in one piece that it fills. */
const allocate = (megabytes: number) => `dd if=/dev/zero of=/dev/null bs=${megabytes}M count=1`

/** Forks without end, and ends when its own loop can fork no more. */
const forkBomb = 'bomb() { bomb | bomb & }; while true; do bomb; done'

describe('a step that takes too much', () => {
  it.each([
    ['--pids-limit', ['--pids-limit', '150'], "the build's limit of 150 (--pids-limit)"],
    ['--resource', ['--resource', 'pids-limit=150'], 'its limit of 150 (--resource pids-limit)'],
  ] as const)('is ended with ERR_STEP_PIDS by %s when it is a fork bomb', async (flag, flags, limit) => {
    const { run, leftovers } = project(`bomb${flag}`, forkBomb)
    const { code, stderr } = await run(...flags)
    expect(stderr).toContain('[ERR_STEP_PIDS]')
    expect(stderr).toContain(`could make no more processes: ${limit} is reached`)
    expect(stderr).toContain('>>> RUN bomb()')
    expect(code).toBe(1)
    expect(await leftovers()).toEqual([])
  })

  it.each([
    ['--memory', ['--memory', '64m'], "used more than the build's memory limit of 64 MiB (--memory)"],
    [
      '--resource',
      ['--resource', 'memory=64m'],
      'used more than its memory limit of 64 MiB (--resource memory)',
    ],
  ] as const)(
    'is ended with ERR_STEP_OOM by %s when it takes 3 times the memory',
    async (flag, flags, why) => {
      const { run, leftovers } = project(`memory${flag}`, allocate(192))
      const { code, stderr } = await run(...flags)
      expect(stderr).toContain('[ERR_STEP_OOM]')
      expect(stderr).toContain(why)
      expect(code).toBe(1)
      expect(await leftovers()).toEqual([])
    },
  )

  it('is none where the limit is more than it takes', async () => {
    const { run } = project('enough', allocate(32))
    expect((await run('--memory', '256m', '--pids-limit', '50')).code).toBe(0)
  })

  it('has succeeded where it ends well although a process of it was ended', async () => {
    const { run } = project('survived', `${allocate(192)} || echo survived`)
    const { code, stderr } = await run('--memory', '64m')
    expect(stderr).toMatch(/^#\d+ [\d.]+ survived$/m)
    expect(code).toBe(0)
  })

  it('leaves its room to the next step', async () => {
    const { run } = project('next', `${allocate(48)}`, `${allocate(49)}`)
    expect((await run('--memory', '64m')).code).toBe(0)
  })
})

describe('the cgroups of a build', () => {
  /** Starts a build, and looks at files of its cgroups while its step runs. */
  async function limitsOf(name: string, files: readonly (readonly string[])[], ...flags: readonly string[]) {
    const { start, parent, leftovers } = project(name, `echo is-running && sleep 98871`)
    const running = start(...flags)
    await running.saw(/^#\d+ [\d.]+ is-running$/m)
    const found = files.map((names) => readCgroup(parent, ...names))
    running.child.kill('SIGINT')
    await running.outcome
    expect(await leftovers()).toEqual([])
    return found
  }
  const quota = ['cpu.cfs_quota_us', 'cpu.max']
  const pids = ['pids.max']
  const memory = ['memory.limit_in_bytes', 'memory.max']

  it('have what the flags say, and are gone afterwards', async () => {
    const found = await limitsOf(
      'flags',
      [quota, pids, memory],
      ...['--cpus', '1.5', '--pids-limit', '77', '-m', '100m'],
    )
    expect(found).toEqual([expect.stringMatching(/^150000( 100000)?$/), '77', String(100 * 1024 ** 2)])
  })

  it('keep a reserve for the machine where no flag says anything', async () => {
    const [processes, bytes] = await limitsOf('defaults', [pids, memory])
    expect(processes).toBe('16384')
    expect(Number(bytes)).toBeGreaterThan(0)
    expect(Number(bytes)).toBeLessThan(totalmem() - 100 * 1024 ** 2)
  })

  it('are made once for all steps', async () => {
    const { run } = project('once', ...[1, 2, 3].map((n) => `grep pids /proc/self/cgroup && echo ${n}`))
    const { stderr } = await run()
    const sessions = stderr.match(/pids:\S*\/tsbuild-session-[0-9a-f]+/g) ?? []
    expect(sessions).toHaveLength(3)
    expect(new Set(sessions).size).toBe(1)
  })
})

describe('what a step used', () => {
  it('is an event of each step that ran, and of none that did not', async () => {
    const context = workspace.context('usage', {
      Dockerfile: `FROM busybox:test\nRUN ${allocate(100)}\nRUN i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done\n`,
    })
    const usages = async () =>
      readEvents((await workspace.tsbuild.run(['--progress', 'json', context])).stderr).flatMap((event) =>
        event.type === 'vertex.usage' ? [event] : [],
      )
    const [first, second, ...others] = await usages()
    expect(first?.peakMemoryBytes).toBeGreaterThan(100 * 1024 ** 2)
    expect(second?.userMicros).toBeGreaterThan(10_000)
    expect(others).toEqual([])
    expect(await usages()).toEqual([])
  })
})

describe('time', () => {
  const trap = (seconds: number) =>
    `trap 'echo got-term; exit 0' TERM; echo is-running; sleep ${seconds} & wait`

  it('--step-timeout ends a step, SIGTERM first, and names its line', async () => {
    const { run, leftovers } = project('step-timeout', 'true', trap(98_872))
    const { code, stderr } = await run('--step-timeout', '2s')
    expect(stderr).toContain('[ERR_TIMEOUT]')
    expect(stderr).toMatch(/Cannot finish process ".*": it ran for longer than 2s/)
    expect(stderr).toContain('Dockerfile:3')
    expect(stderr).toMatch(/^#\d+ [\d.]+ got-term$/m)
    expect(code).toBe(1)
    expect(findProcesses('sleep 98872')).toEqual([])
    expect(await leftovers()).toEqual([])
  })

  it('--timeout ends a build, and names the step that was running', async () => {
    const { run, parent, leftovers } = project('timeout', 'echo finished > /first', 'sleep 98873')
    const { code, stderr } = await run('--timeout', '5s')
    expect(stderr).toContain('Cannot finish the build in 5s: still running: "[3/3] RUN sleep 98873"')
    expect(stderr).toContain('[ERR_TIMEOUT]')
    expect(code).toBe(1)
    expect(findProcesses('sleep 98873')).toEqual([])
    expect(await leftovers()).toEqual([])
    const dockerfile = 'FROM busybox:test\nRUN echo finished > /first'
    const again = workspace.context('timeout', { Dockerfile: dockerfile })
    const steps = await workspace.tsbuild.build(['--network', 'none', '--cgroup-parent', parent, again])
    expect(steps).toMatchObject({ executed: [], cached: ['[2/2] RUN echo finished > /first'] })
  })
})

describe('a build that is killed', () => {
  it.each(['SIGKILL', 'SIGINT'] as const)('by %s leaves no process, mount or cgroup', async (signal) => {
    const { start, parent, leftovers } = project(
      signal.toLowerCase(),
      '(sleep 98874 &); setsid sleep 98874 & echo is-running; sleep 98874',
    )
    const running = start('--pids-limit', '100')
    await running.saw(/^#\d+ [\d.]+ is-running$/m)
    expect(findCgroups(parent)).not.toEqual([])
    expect(findProcesses('sleep 98874').length).toBeGreaterThan(2)
    running.child.kill(signal)
    await running.outcome
    expect(await untilNone(() => findProcesses('sleep 98874'))).toEqual([])
    expect(await leftovers()).toEqual([])
  })
})

describe('an ordinary user', () => {
  const user = 'tsbuild-test'
  let own: Workspace
  beforeAll(async () => {
    if (process.getuid?.() !== 0) return
    own = openWorkspace('limits-user')
    await check('chown', [`${user}:`, own.folder])
  })
  afterAll(() => own?.remove())
  beforeEach((t) => needs(t, 'the user tsbuild-test', 'program newuidmap'))

  /** Starts a build of one step by that user. */
  function startAsUser(name: string, step: string, flags: readonly string[]) {
    const context = own.context(name, {
      Dockerfile: ['FROM scratch', 'COPY --chmod=755 busybox /bin/sh', `RUN ${step}`].join('\n'),
    })
    copyFileSync(findProgram('busybox') ?? '', join(context, 'busybox'))
    const drop = ['--reuid', user, '--regid', user, '--init-groups', '--inh-caps=-all']
    const argv = [...drop, command, '--progress', 'plain', '--network', 'none', ...flags, context]
    const env = { TSBUILD_ROOT: own.tsbuild.root, HOME: own.path('home') }
    const running = start('setpriv', argv, { env, cwd: own.folder })
    onTestFinished(() => void running.child.kill('SIGKILL'))
    return running
  }
  const leftovers = () =>
    untilNone(() => [...findMounts(own.tsbuild.root), ...findProcesses('sleep 98875')].map(String))

  it.each([
    ['--memory', ['--memory', '64m']],
    ['--resource memory', ['--resource', 'memory=64m']],
  ] as const)('is told with ERR_CGROUP that %s cannot be had', async (flag, flags) => {
    const { code, stderr } = await startAsUser('memory', 'echo never', flags).outcome
    expect(stderr).toContain(`Cannot enforce limit "${flag}": `)
    expect(stderr).toContain('[ERR_CGROUP]')
    expect(stderr).not.toMatch(/^#\d+ [\d.]+ never$/m)
    expect(code).toBe(3)
  })

  it('builds without the defaults', async () => {
    const { code, stderr } = await startAsUser('defaults', 'echo built', []).outcome
    expect(code, stderr).toBe(0)
  })

  it.each(['SIGKILL', 'SIGINT'] as const)(
    'leaves no process and no mount when killed by %s',
    async (signal) => {
      const running = startAsUser('killed', 'setsid sleep 98875 & echo is-running; sleep 98875', [])
      await running.saw(/^#\d+ [\d.]+ is-running$/m)
      running.child.kill(signal)
      await running.outcome
      expect(await leftovers()).toEqual([])
    },
  )

  it('has time limits', async () => {
    const running = startAsUser('time', 'sleep 98875', ['--step-timeout', '2s'])
    const { code, stderr } = await running.outcome
    expect(stderr).toContain('[ERR_TIMEOUT]')
    expect(code).toBe(1)
    expect(await leftovers()).toEqual([])
  })
})
