import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { findProgram, needs } from '../support/capabilities.ts'
import { findMounts, findProcesses, untilNone } from '../support/processes.ts'
import { check, command, readSteps, start } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('soak-layers')
})
afterAll(() => workspace?.remove())

const numbered = <T>(count: number, line: (at: number) => T) =>
  Array.from({ length: count }, (_, at) => line(at))

const flags = ['--network', 'none']

/** Half of the values are below it. */
const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0

describe('LAY-03: a Dockerfile of 2,000 steps', () => {
  const count = 2000
  /** Notes in each step on how many directories it stands, which is what a step's overhead grows with. */
  const step = `tr , '\\n' < /proc/mounts | grep -c lowerdir`

  it('runs, on a bounded number of directories, and is found again', async () => {
    const context = workspace.context('steps', {
      Dockerfile: ['FROM busybox:test', ...numbered(count, (at) => `RUN ${step} > /n-${at}`)].join('\n'),
    })
    const out = workspace.path('steps-out')
    const { executed, events } = await workspace.tsbuild.build([...flags, '-o', out, context])
    expect(executed).toHaveLength(count)
    const directories = numbered(count, (at) => Number(readFileSync(join(out, `n-${at}`), 'utf8')))
    // 62 merged runs, less than one run of 32 above them, our own layer of mount points, and what is still on its way.
    expect(Math.max(...directories.slice(-100))).toBeLessThan(62 + 32 + 1 + 64)
    const took = (from: number, to: number) => {
      const started = new Map<string, number>()
      const times: number[] = []
      for (const event of events) {
        if (event.type === 'vertex.started') started.set(event.vertex, event.at)
        if (event.type !== 'vertex.completed') continue
        times.push(event.at - (started.get(event.vertex) ?? event.at))
      }
      return median(times.slice(from, to))
    }
    console.log(`a step at 10 to 60: ${took(10, 60)} ms; at 1,950 to 2,000: ${took(1950, 2000)} ms`)
    const again = await workspace.tsbuild.build([...flags, context])
    expect(again.executed).toEqual([])
    expect(again.cached).toHaveLength(count)
  })
})

/** What a process uses now, and at most: resident memory in bytes, open descriptors. */
function watch(pid: number) {
  const seen = { memoryBytes: 0, descriptors: 0 }
  const look = () => {
    try {
      const [, kib] = /^VmHWM:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? []
      seen.memoryBytes = Math.max(seen.memoryBytes, Number(kib ?? 0) * 1024)
      seen.descriptors = Math.max(seen.descriptors, readdirSync(`/proc/${pid}/fd`).length)
    } catch {
      // It has ended.
    }
  }
  const timer = setInterval(look, 20)
  return { seen, stop: () => clearInterval(timer) }
}

describe('LOAD-01: 64 builds at a time, of 10 steps each', () => {
  it('all end well, in bounded memory and descriptors, and leave nothing', async () => {
    const builds = numbered(64, (at) => {
      const context = workspace.context(`load-${at}`, {
        Dockerfile: ['FROM busybox:test', ...numbered(10, (n) => `RUN echo ${at} ${n} > /f`)].join('\n'),
      })
      const running = start(command, ['--progress', 'json', ...flags, context], {
        env: { TSBUILD_ROOT: workspace.tsbuild.root },
      })
      const watched = watch(running.child.pid ?? 0)
      onTestFinished(() => void running.child.kill('SIGKILL'))
      return { ...running, watched }
    })
    for (const { outcome, watched } of builds) {
      const { code, stderr } = await outcome
      watched.stop()
      expect(code, stderr).toBe(0)
      expect(readSteps(stderr).executed).toHaveLength(10)
      expect(watched.seen.memoryBytes).toBeGreaterThan(0)
      expect(watched.seen.memoryBytes).toBeLessThanOrEqual(300 * 2 ** 20)
      expect(watched.seen.descriptors).toBeLessThan(200)
    }
    const { root } = workspace.tsbuild
    expect(await untilNone(() => [...findMounts(root), ...findProcesses(root)])).toEqual([])
  })
})

describe('LOAD-02: a build of 1,000 independent steps', () => {
  it('runs them all in bounded memory and descriptors', async () => {
    const count = 1000
    const stages = numbered(count, (at) => `FROM busybox:test AS s${at}\nRUN echo ${at} > /f${at}`)
    const context = workspace.context('wide', {
      Dockerfile: [
        ...stages,
        'FROM busybox:test',
        ...numbered(count, (at) => `COPY --link --from=s${at} /f${at} /all/f${at}`),
        `RUN [ $(ls /all | wc -l) = ${count} ]`,
      ].join('\n'),
    })
    const running = start(command, ['--progress', 'json', ...flags, context], {
      env: { TSBUILD_ROOT: workspace.tsbuild.root },
    })
    const watched = watch(running.child.pid ?? 0)
    const { code, stderr } = await running.outcome
    watched.stop()
    expect(code, stderr.slice(-2000)).toBe(0)
    // A RUN, a COPY and what puts its layer upon the others, for each; and the one that looks.
    expect(readSteps(stderr).executed).toHaveLength(3 * count + 1)
    expect(watched.seen.memoryBytes).toBeLessThanOrEqual(300 * 2 ** 20)
    expect(watched.seen.descriptors).toBeLessThan(300)
  })
})

/** System calls by name, as `strace -c` counts them. */
function callsOf(table: string): ReadonlyMap<string, number> {
  const lines = table.split('\n').map((line) => line.trim().split(/\s+/))
  return new Map(
    lines.flatMap((words) => {
      const [name, calls] = [words.at(-1) ?? '', Number(words[3])]
      return words.length >= 5 && Number.isInteger(calls) && name !== 'total' ? [[name, calls] as const] : []
    }),
  )
}

describe('LOAD-03: a store of 100,000 records', () => {
  it('costs no more to open, and to look a build up in, than a small one', async (t) => {
    needs(t, 'program strace')
    const strace = findProgram('strace') ?? ''
    const context = workspace.context('small', {
      Dockerfile: ['FROM busybox:test', ...numbered(20, (at) => `RUN echo ${at} > /f`)].join('\n'),
    })
    const root = workspace.path('small-store')
    await check('cp', ['-a', '--reflink=auto', workspace.tsbuild.root, root])
    const env = { TSBUILD_ROOT: root }
    await check(command, [...flags, context], { env })
    const folder = mkdtempSync(join(workspace.folder, 'strace-'))
    onTestFinished(() => rmSync(folder, { recursive: true }))
    const count = async (name: string) => {
      const table = join(folder, name)
      await check(strace, ['-f', '-c', '-o', table, command, ...flags, context], { env })
      return callsOf(readFileSync(table, 'utf8'))
    }
    const relevant = ['openat', 'getdents64', 'statx', 'newfstatat', 'read', 'fcntl', 'utimensat']
    const before = await count('before')
    addRecords(join(root, 'v1/records'), 100_000)
    const after = await count('after')
    expect(before.get('openat')).toBeGreaterThan(0)
    for (const name of relevant) {
      const [small, large] = [before.get(name) ?? 0, after.get(name) ?? 0]
      // Threads and timers are not the same in any two runs; 100,000 records are far more than that.
      expect(large, `${name}: ${small} before`).toBeLessThan(small + 500)
    }
  })
})

/** Copies of a real record under other keys: readable, and of no use to anyone. */
function addRecords(folder: string, count: number): void {
  const [some = ''] = readdirSync(folder).filter((name) => statSync(join(folder, name)).isDirectory())
  const [record = ''] = readdirSync(join(folder, some))
  const text = readFileSync(join(folder, some, record), 'utf8')
  const shelves = readdirSync(folder)
  for (let at = 0; at < count; at++) {
    const shelf = shelves[at % shelves.length] ?? some
    const hex = `${shelf}${at.toString(16).padStart(62, '0')}`
    writeFileSync(join(folder, shelf, `${hex}.json`), text)
  }
}
