import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BuildRecord } from '@tsbuild/builder'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { findProgram, needs } from '../support/capabilities.ts'
import { findProcesses, untilNone } from '../support/processes.ts'
import { check, command, type RunOptions, start } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

const token = 'CANARY-3b9a1f7c52d84e60'
const isRoot = process.getuid?.() === 0

/** The command on a store of its own, run by one user. */
function userOf(name: 'root' | 'an ordinary user') {
  let workspace: Workspace
  const become =
    name === 'root' || !isRoot
      ? []
      : ['setpriv', '--reuid', 'tsbuild-test', '--regid', 'tsbuild-test', '--init-groups']
  const begin = (args: readonly string[], options: RunOptions = {}) => {
    const [program = command, ...rest] = [...become, command, ...args]
    const env = { TSBUILD_ROOT: workspace.path('store'), HOME: workspace.path('home'), ...options.env }
    return start(program, rest, { cwd: workspace.folder, ...options, env })
  }
  const outcomeOf = (args: readonly string[], options?: RunOptions) => begin(args, options).outcome
  const json = async (args: readonly string[]) => {
    const { code, stdout, stderr } = await outcomeOf(['history', ...args, '--format', 'json'])
    if (code !== 0) throw new Error(`exit code ${code}\n${stderr}`)
    return JSON.parse(stdout)
  }
  return {
    begin,
    run: outcomeOf,
    list: (...args: readonly string[]): Promise<readonly BuildRecord[]> => json(['ls', ...args]),
    show: (ref = '^0'): Promise<BuildRecord> => json(['show', ref]),
    path: (...parts: readonly string[]) => workspace.path(...parts),
    /** The whole output of `tsbuild logs`, byte for byte. */
    async logs(...args: readonly string[]): Promise<Buffer> {
      const out = workspace.path('logs-out')
      const words = [...become, command, 'logs', ...args].map((word) => `'${word}'`).join(' ')
      await check('sh', ['-c', `${words} > '${out}'`], { env: { TSBUILD_ROOT: workspace.path('store') } })
      return readFileSync(out)
    },
    needed(t: TestContext) {
      if (name === 'root') needs(t, 'root', 'program busybox')
      else
        needs(
          t,
          'program newuidmap',
          'program busybox',
          ...(isRoot ? (['the user tsbuild-test'] as const) : []),
        )
    },
    async open() {
      workspace = openWorkspace('history')
      if (become.length > 0) await check('chown', ['tsbuild-test:', workspace.folder])
    },
    close: () => workspace?.remove(),
    /** A context of these steps. */
    project(folder: string, lines: readonly string[]): string {
      const context = workspace.context(folder, {
        Dockerfile: [
          'FROM scratch AS base',
          'COPY --chmod=755 busybox /bin/busybox',
          'RUN ["/bin/busybox", "--install", "-s", "/bin"]',
          ...lines,
        ].join('\n'),
      })
      copyFileSync(findProgram('busybox') ?? '/bin/busybox', join(context, 'busybox'))
      return context
    },
  }
}

const stepOf = (build: BuildRecord, part: string) => build.steps.find(({ name }) => name.includes(part))

/** The most memory that a process had, in KiB, as far as it was looked at before it ended. */
async function peakMemory(pid: number, ended: Promise<unknown>): Promise<number> {
  let peak = 0
  const look = setInterval(() => {
    try {
      const [, kib = '0'] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
      peak = Math.max(peak, Number(kib))
    } catch {
      // It has ended.
    }
  }, 20)
  await ended.finally(() => clearInterval(look))
  return peak
}

describe('a flood of output', () => {
  const user = userOf('root')
  beforeAll(() => user.open())
  afterAll(() => user.close())

  it('of a gigabyte is kept whole, and takes no memory (LOAD-05)', async (t) => {
    user.needed(t)
    const bytes = 1024 ** 3
    const context = user.project('gigabyte', [
      `RUN yes "some line of sixty bytes, or nearly so many, give or take" | head -c ${bytes}`,
    ])
    const building = user.begin(['--progress', 'quiet', context])
    const peakKib = await peakMemory(building.child.pid ?? 0, building.outcome)
    expect((await building.outcome).code).toBe(0)
    // Of Node itself and what is under way: a third of what is written would be more.
    expect(peakKib).toBeGreaterThan(50_000)
    expect(peakKib).toBeLessThan(340_000)
    const step = stepOf(await user.show(), 'yes')
    expect(step?.log).toEqual({ bytes, lostBytes: 0 })
    expect((await user.logs('--tail', '1', '^0', 'yes')).length).toBeLessThan(70)
  }, 240_000)
})

describe.each(['root', 'an ordinary user'] as const)('the history of %s', (name) => {
  const user = userOf(name)
  beforeAll(() => user.open())
  afterAll(() => user.close())

  it('has every byte that a step wrote: ten megabytes of anything, and a line of five without an end', async (t) => {
    user.needed(t)
    const context = user.project('flood', [
      "RUN (head -c 10000000 /dev/urandom; head -c 5000000 /dev/zero | tr '\\0' x) | tee /bytes",
    ])
    const out = user.path('flood-out')
    const built = await user.run(['--progress', 'plain', '-o', `type=tar,dest=${out}.tar`, context])
    expect(built.code).toBe(0)
    mkdirSync(out)
    await check('tar', ['-xf', `${out}.tar`, '-C', out, 'bytes'])
    const written = readFileSync(join(out, 'bytes'))
    expect(written.length).toBe(15_000_000)
    expect((await user.logs('^0', 'head -c')).equals(written)).toBe(true)
    const { log } = stepOf(await user.show(), 'head -c') ?? {}
    expect(log).toEqual({ bytes: 15_000_000, lostBytes: 0 })
  })

  it('has what was asked for, the steps, their outcomes, both streams and when they came', async (t) => {
    user.needed(t)
    const context = user.project('plain', ['RUN echo to-out && sleep 1 && echo to-err >&2'])
    const flags = [
      '-t',
      'plain:1',
      '--build-arg',
      'NPM_TOKEN=s3cr3t-value',
      '--build-arg',
      'V=2',
      '--no-cache',
    ]
    expect((await user.run(['--progress', 'quiet', ...flags, context])).code).toBe(0)
    const build = await user.show()
    expect(build).toMatchObject({ name: 'plain:1', outcome: 'completed', error: null })
    expect(build.request).toMatchObject({ context, tags: ['plain:1'] })
    expect(build.request.flags).toEqual([
      '--build-arg NPM_TOKEN=***',
      '--build-arg V=2',
      '--no-cache',
      '--output type=image',
    ])
    expect(build.image?.digest).toMatch(/^sha256:/)
    expect(build.warnings.map(({ rule }) => rule)).toContain('UnusedBuildArg')
    const step = stepOf(build, 'to-out')
    expect(step).toMatchObject({ outcome: 'completed', role: 'step', log: { bytes: 14, lostBytes: 0 } })
    expect((step?.endedAt ?? 0) - (step?.startedAt ?? 0)).toBeGreaterThanOrEqual(1000)
    expect(step?.usage?.peakMemoryBytes).toBeGreaterThan(0)
    expect((await user.logs('--stream', 'stderr', '^0', 'to-out')).toString()).toBe('to-err\n')
    expect((await user.logs('-n', '1', build.ref.slice(0, 8), String(step?.number))).toString()).toBe(
      'to-err\n',
    )
    const stamped = (await user.logs('-t', '^0', 'to-out')).toString().trimEnd().split('\n')
    const times = stamped.map((line) => Date.parse(line.split(' ')[0] ?? ''))
    expect(stamped.map((line) => line.split(' ')[1])).toEqual(['to-out', 'to-err'])
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(900)
    const text = (await user.run(['history', 'show'])).stdout
    for (const part of [build.ref, '--build-arg V=2', 'wrote 14 bytes', 'UnusedBuildArg'])
      expect(text).toContain(part)
    const again = await user.run(['--progress', 'quiet', '-t', 'plain:1', '--build-arg', 'V=2', context])
    expect(again.code).toBe(0)
    expect(
      (await user.show()).steps.filter(({ role }) => role === 'step').map(({ outcome }) => outcome),
    ).toEqual(['cached', 'cached', 'cached'])
    const cached = await user.run(['logs', '^0', 'to-out'])
    expect([cached.code, cached.stdout]).toEqual([0, ''])
    expect(cached.stderr).toContain(`tsbuild logs ${build.ref.slice(0, 12)} ${step?.number}`)
    expect((await user.logs('^1', 'to-out')).toString()).toBe('to-out\nto-err\n')
  })

  it('has the error of a build that failed, with the lines as they were, and says where all of the output is', async (t) => {
    user.needed(t)
    const context = user.project('fails', ['RUN seq 1 100 && exit 3 # as it was'])
    const failed = await user.run(['--progress', 'plain', context])
    expect(failed.code).toBe(1)
    const [, ref = '', number = ''] = /tsbuild logs ([0-9a-f]{12}) (\d+)/.exec(failed.stderr) ?? []
    writeFileSync(join(context, 'Dockerfile'), 'FROM scratch\n')
    const build = await user.show(ref)
    expect(build).toMatchObject({
      outcome: 'failed',
      error: { code: 'ERR_STEP_FAILED', source: { startLine: 4 } },
    })
    expect(build.steps[Number(number) - 1]).toMatchObject({ outcome: 'failed', log: { bytes: 292 } })
    const seq = Array.from({ length: 100 }, (_, index) => `${index + 1}\n`).join('')
    expect((await user.logs(ref, number)).toString()).toBe(seq)
    expect((await user.run(['history', 'show', ref])).stdout).toContain(
      '>>> RUN seq 1 100 && exit 3 # as it was',
    )
    const kept = JSON.parse((await user.run(['shell', '--list', '--format', 'json'])).stdout)
    expect(kept[0].ref).toBe(build.ref)
    // A program that reads the events is told nothing.
    const short = user.project('fails-shortly', ['RUN echo all && exit 3'])
    expect((await user.run(['--progress', 'plain', short])).stderr).not.toContain('tsbuild logs')
  })

  it('shows a build that runs, follows a step of it, and knows one that was cancelled', async (t) => {
    user.needed(t)
    const context = user.project('endless', [
      'RUN echo is-first && sleep 2 && echo is-second',
      'RUN echo is-running && sleep 98911',
    ])
    const running = user.begin(['--progress', 'plain', context])
    await running.saw(/^#\d+ [\d.]+ is-first$/m)
    const follower = user.begin(['logs', '-f', '^0', 'is-first'])
    expect(await user.show()).toMatchObject({ outcome: 'running', endedAt: null })
    const refused = await user.run(['history', 'rm', '^0'])
    expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('ERR_BUILD_IN_USE')])
    expect(await follower.outcome).toMatchObject({ code: 0, stdout: 'is-first\nis-second\n' })
    await running.saw(/^#\d+ [\d.]+ is-running$/m)
    const last = user.begin(['logs', '-f', '^0', 'is-running'])
    running.child.kill('SIGINT')
    expect((await running.outcome).code).toBe(130)
    expect(await last.outcome).toMatchObject({ code: 0, stdout: 'is-running\n' })
    const build = await user.show()
    expect(build).toMatchObject({ outcome: 'cancelled', error: { code: 'ERR_CANCELLED' } })
    expect(stepOf(build, 'is-first')?.outcome).toBe('completed')
    expect(stepOf(build, 'is-running')?.outcome).toBe('cancelled')
    expect((await user.list('--filter', 'status=cancelled')).map(({ ref }) => ref)).toEqual([build.ref])
  })

  it('knows a build that was killed, with what it had written up to then', async (t) => {
    user.needed(t)
    const context = user.project('killed', ['RUN echo is-before', 'RUN echo is-running && sleep 98912'])
    const running = user.begin(['--progress', 'plain', context])
    await running.saw(/^#\d+ [\d.]+ is-running$/m)
    running.child.kill('SIGKILL')
    await running.outcome
    expect(await untilNone(() => findProcesses('sleep 98912'))).toEqual([])
    const build = await user.show()
    expect(build).toMatchObject({ outcome: 'died', endedAt: null, error: null })
    expect(stepOf(build, 'is-before')?.outcome).toBe('completed')
    expect((await user.logs('^0', 'is-running')).toString()).toBe('is-running\n')
    expect((await user.run(['history', 'show'])).stdout).toContain('died')
    // Nobody follows the dead.
    expect(await user.run(['logs', '-f', '^0', 'is-running'])).toMatchObject({
      code: 0,
      stdout: 'is-running\n',
    })
  })

  it('keeps builds of one time apart', async (t) => {
    user.needed(t)
    const contexts = [1, 2, 3].map((number) =>
      user.project(`beside-${number}`, [`RUN echo is-${number} && sleep 1`]),
    )
    const outcomes = await Promise.all(
      contexts.map((context, index) =>
        user.run(['--progress', 'quiet', '-t', `beside:${index + 1}`, context]),
      ),
    )
    expect(outcomes.map(({ code }) => code)).toEqual([0, 0, 0])
    for (const number of [1, 2, 3]) {
      const [build] = await user.list('--filter', `name=beside:${number}`)
      expect((await user.logs(build?.ref ?? '', `is-${number}`)).toString()).toBe(`is-${number}\n`)
    }
  })

  it('has no secret in any file', async (t) => {
    user.needed(t)
    const context = user.project('secret', [
      'RUN --mount=type=secret,id=token,env=TOKEN echo "with $TOKEN" && echo "$TOKEN" >&2 && exit 4',
    ])
    const env = { SECRET_TOKEN: token }
    const failed = await user.run(['--secret', 'id=token,env=SECRET_TOKEN', context], { env })
    expect(failed.code).toBe(1)
    expect((await user.show()).request.flags).toContain('--secret id=token')
    expect((await user.logs('^0', 'with')).toString()).toBe('with ***\n***\n')
    const folder = user.path('store', 'v1', 'builds')
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    )
    expect(files.length).toBeGreaterThan(10)
    for (const file of files)
      expect(readFileSync(join(file.parentPath, file.name)).includes(token), file.name).toBe(false)
  })

  it('removes what is named, and refuses what is not one build or one step', async (t) => {
    user.needed(t)
    const builds = await user.list()
    const [newest, second] = builds
    const answers = await Promise.all(
      [
        ['history', 'rm', ''],
        ['history', 'show', 'ffffffffffff'],
        ['history', 'show', '^999'],
        ['logs', '^0', 'no such step'],
        ['logs', '^0', 'RUN'],
        ['history', 'rm'],
        ['history', 'ls', '--filter', 'status=lost'],
        ['logs', '-f'],
      ].map(async (args) => {
        const { code, stderr } = await user.run(args)
        return [code, /ERR_\w+/.exec(stderr)?.[0]]
      }),
    )
    expect(answers).toEqual([
      ...Array(3).fill([1, 'ERR_BUILD_NOT_FOUND']),
      ...Array(2).fill([1, 'ERR_STEP_NOT_FOUND']),
      ...Array(3).fill([2, 'ERR_USAGE']),
    ])
    const removed = await user.run(['history', 'rm', '^0', second?.ref.slice(0, 10) ?? ''])
    expect(removed.stdout).toBe(`${newest?.ref}\n${second?.ref}\n`)
    expect((await user.list()).map(({ ref }) => ref)).toEqual(builds.slice(2).map(({ ref }) => ref))
    writeFileSync(user.path('store', 'v1', 'builds', builds[2]?.ref ?? '', 'build.json'), 'garbage')
    const listed = await user.run(['history'])
    expect(listed.stdout).not.toContain(builds[2]?.ref.slice(0, 12))
    expect(listed.stderr).toContain(builds[2]?.ref)
    expect((await user.run(['history', 'rm', '--older-than', '1w'])).stdout).toBe('')
    expect((await user.run(['history', 'rm', '--all'])).stdout.trim().split('\n')).toHaveLength(
      builds.length - 2,
    )
    expect(readdirSync(user.path('store', 'v1', 'builds'))).toEqual([])
  })

  it('is no larger than wanted, and is not there at all where none is wanted', async (t) => {
    user.needed(t)
    const context = user.project('limits', ['RUN echo x'])
    const build = async (builds: string) => {
      const env = { TSBUILD_HISTORY_BUILDS: builds }
      expect((await user.run(['--progress', 'quiet', context], { env })).code).toBe(0)
    }
    for (const _ of [1, 2, 3]) await build('2')
    expect(await user.list()).toHaveLength(2)
    const before = await user.list()
    await build('0')
    expect(await user.list()).toEqual(before)
    expect(existsSync(user.path('store', 'v1', 'builds', before[0]?.ref ?? '', 'build.json'))).toBe(true)
  })
})
