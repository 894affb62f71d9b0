import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { endOf, inTrial, type Trial, wrapHelper } from './rig.ts'
import type { Scenario } from './scenarios.ts'
import { type LoggedCall, readLog, type SyscallPoint, straceWords } from './strace.ts'
import type { Verdict } from './tally.ts'
import { judge, lastWords } from './verdict.ts'

/** What a call is made to fail with: what a full, a broken and a read-only disk say. */
const errorsOf: Readonly<Record<string, readonly string[]>> = {
  write: ['ENOSPC', 'EIO'],
  pwrite64: ['ENOSPC', 'EIO'],
  copy_file_range: ['ENOSPC', 'EIO'],
  fsync: ['EIO', 'ENOSPC'],
  syncfs: ['EIO', 'ENOSPC'],
  openat: ['ENOSPC', 'EROFS'],
  mkdir: ['ENOSPC', 'EROFS'],
  mkdirat: ['ENOSPC', 'EROFS'],
  link: ['ENOSPC', 'EIO'],
  linkat: ['ENOSPC', 'EIO'],
  symlinkat: ['ENOSPC', 'EIO'],
  rename: ['ENOSPC', 'EIO', 'EROFS'],
  renameat: ['ENOSPC', 'EIO'],
  fchmod: ['EIO', 'EROFS'],
  ftruncate: ['ENOSPC', 'EIO'],
  fsetxattr: ['ENOSPC', 'EIO'],
  read: ['EIO'],
  pread64: ['EIO'],
  unlink: ['EIO', 'EROFS'],
}

/** A call that fails. */
export interface Injection extends SyscallPoint {
  readonly scenario: Scenario
  readonly victim: 'builder' | number
  readonly error: string
}

/** Every call on the store that could fail, with each error it could fail with. */
export async function countInjections(scenario: Scenario): Promise<readonly Injection[]> {
  const syscalls = Object.keys(errorsOf)
  const of = (victim: Injection['victim'], calls: readonly LoggedCall[], trial: Trial) =>
    pointsOn(trial.store, calls).flatMap((point) =>
      (errorsOf[point.syscall] ?? []).map((error): Injection => ({ ...point, scenario, victim, error })),
    )
  const builder = await inTrial(scenario, async (trial) => {
    scenario.prepare?.(trial)
    const log = trial.path('log')
    await endOf(trial.start(straceWords(log, syscalls, undefined, ['-b', 'execve']), scenario.args(trial)))
    return of('builder', readLog(log), trial)
  })
  const helpers = await inTrial(scenario, async (trial) => {
    scenario.prepare?.(trial)
    const wrapper = wrapHelper(trial, 0, straceWords('@FOLDER@/log', syscalls, undefined, ['-D']))
    await endOf(trial.start([], scenario.args(trial), { TSBUILD_HELPER: wrapper }))
    return readdirSync(trial.folder).flatMap((name) => {
      const number = Number(/^helper-(\d+)$/.exec(name)?.[1])
      const log = trial.path(name, 'log')
      return existsSync(log) ? of(number, readLog(log), trial) : []
    })
  })
  return [...builder, ...helpers]
}

/** Numbers at which some thread calls on the store, and no thread calls on anything else: a runtime's own call must not fail. */
function pointsOn(store: string, calls: readonly LoggedCall[]): readonly SyscallPoint[] {
  const isOurs = ({ syscall, text }: LoggedCall) =>
    text.includes(store) && (syscall !== 'openat' || text.includes('O_CREAT')) && !/\/v1\/cache\//.test(text)
  const key = ({ syscall, when }: SyscallPoint) => `${syscall} ${when}`
  const others = new Set(calls.filter((call) => !isOurs(call)).map(key))
  const ours = new Map(
    calls.filter(isOurs).map(({ syscall, when }) => [`${syscall} ${when}`, { syscall, when }]),
  )
  return [...ours].filter(([name]) => !others.has(name)).map(([, point]) => point)
}

/** Makes one call fail, and says what came of it. */
export function failAt(injection: Injection): Promise<Verdict> {
  return inTrial(injection.scenario, async (trial) => {
    const { scenario, victim, syscall, when, error } = injection
    scenario.prepare?.(trial)
    const name = `${scenario.name}, ${victim === 'builder' ? victim : `helper ${victim}`}, ${syscall} ${when} ${error}`
    const log = victim === 'builder' ? trial.path('log') : trial.path(`helper-${victim}`, 'log')
    const inject = `${syscall}:error=${error}:when=${when}`
    const words = (path: string, own: readonly string[]) => straceWords(path, [syscall], inject, own)
    const before = await endOf(
      victim === 'builder'
        ? trial.start(words(log, ['-b', 'execve']), scenario.args(trial))
        : trial.start([], scenario.args(trial), {
            TSBUILD_HELPER: wrapHelper(trial, victim, words('@FOLDER@/log', ['-D'])),
          }),
    )
    // The runtime may have made a call more than before, and it was one of its own that failed.
    const verdict = await judge(scenario, trial, name, before, () => {
      const calls = injectedCalls(log)
      return calls.length > 0 && calls.every((call) => call.includes(trial.store))
    })
    if (!verdict.reached) return { ...verdict, lost: [], corrupt: [], leaked: [] }
    return { ...verdict, corrupt: [...verdict.corrupt, ...faultsOfEnd(injectedCalls(log), before)] }
  })
}

/** The calls that were made to fail. One that another thread's overtook has two lines. */
function injectedCalls(log: string): readonly string[] {
  if (!existsSync(log)) return []
  const begun = new Map<string, string>()
  const injected: string[] = []
  for (const line of readFileSync(log, 'utf8').split('\n')) {
    const thread = line.split(/[< ]/)[0] ?? ''
    if (line.includes('<unfinished ...>')) begun.set(thread, line)
    if (line.includes('(INJECTED)'))
      injected.push(line.includes(' resumed>') ? (begun.get(thread) ?? '') : line)
  }
  return injected
}

/** It ends well or says what is wrong; never after a sync that failed may it say that all is done. */
function faultsOfEnd(calls: readonly string[], end: Awaited<ReturnType<typeof endOf>>): readonly string[] {
  const how = `the builder ${end.hung ? 'hung' : `ended with ${end.code ?? end.signal}`}: ${lastWords(end.stderr)}`
  if (end.hung || end.code === null || ![0, 1, 3].includes(end.code)) return [how]
  // The content of a cache mount is promised to nobody.
  const broken = calls.find((call) => /sync\(/.test(call) && !call.includes('/v1/mounts'))
  if (end.code === 0) return broken === undefined ? [] : [`though it failed, ${broken}, ${how}`]
  return /\[ERR_[A-Z_]+\]/.test(end.stderr) ? [] : [how]
}
