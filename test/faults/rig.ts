import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { repository } from '../support/repository.ts'
import { check, cleanEnvironment, type Outcome, type Running, run, start } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, storesFolder, type Workspace, writeFiles } from '../support/workspace.ts'
import { type Corral, makeCorral } from './corral.ts'

/** The program of the command, without the shell that starts Node.js. */
const program = [process.execPath, join(repository, 'apps/tsbuild/bin/tsbuild.js')]

/** The helper that a wrapper stands in for. */
export const helper = join(repository, 'native/helper/bin/tsbuild-helper')

/** One try: a store of its own, a folder for what comes out, and cgroups in which everything runs. */
export interface Trial {
  readonly folder: string
  readonly store: string
  readonly corral: Corral
  /** Starts the command in the corral, below `words`; a pool of one thread, so that numbers of calls stay what they are. */
  readonly start: (words: readonly string[], args: readonly string[], env?: Record<string, string>) => Running
  readonly path: (...parts: readonly string[]) => string
}

/** How a trial's folder and store are made. */
export interface TrialOptions {
  /** A store to copy; undefined where one is there already. */
  readonly template: string | undefined
  /** Where the store is; below the trial's folder if not given. */
  readonly store?: string
}

let trials = 0

/** Runs `use` in a new trial, and leaves nothing of it behind. */
export async function inTrial<T>(
  { template, store: given }: TrialOptions,
  use: (trial: Trial) => Promise<T>,
): Promise<T> {
  trials += 1
  const folder = mkdtempSync(join(storesFolder, 'tsbuild-faults-trial-'))
  const corral = makeCorral(`tsbuild-faults-${process.pid}-${trials}`)
  const store = given ?? join(folder, 'store')
  const path = (...parts: readonly string[]) => join(folder, ...parts)
  try {
    if (template !== undefined) await check('cp', ['-a', '--reflink=auto', template, store])
    // What a trial begins with is on the disk, whatever happens to the disk.
    if (template !== undefined && given !== undefined) await check('sync', ['-f', store])
    return await use({
      folder,
      store,
      corral,
      path,
      start: (words, args, env) => {
        const [first = '', ...rest] = [...corral.words, ...words, ...program, ...args]
        return start(first, rest, {
          cwd: folder,
          env: { TSBUILD_ROOT: store, UV_THREADPOOL_SIZE: '1', ...env },
        })
      },
    })
  } finally {
    await corral.remove()
    // Its disk may be broken; then what led to that is to be reported.
    await run('rm', ['-rf', store])
    rmSync(folder, { recursive: true, force: true })
  }
}

/** What is left of a build that died, a second after that. */
export async function findLeft(
  trial: Trial,
  seconds = 1,
  mayStay: (what: string) => boolean = () => false,
): Promise<readonly string[]> {
  const look = () => [
    ...trial.corral.processes().map((pid) => `process ${describeProcess(pid)}`),
    ...trial.corral.cgroups().map((path) => `cgroup ${path}`),
    ...readFileSync('/proc/self/mountinfo', 'utf8')
      .split('\n')
      .filter((line) => line.includes(trial.folder)),
  ]
  for (let attempt = 0; attempt < seconds * 50 && !look().every(mayStay); attempt += 1)
    await new Promise((resolve) => setTimeout(resolve, 20))
  return look()
}

function describeProcess(pid: number): string {
  try {
    return `${pid} ${readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ')}`
  } catch {
    return `${pid}, which has just ended`
  }
}

/** Waits for a program, which is killed when it takes longer than any build of these tests. */
export async function endOf(running: Running, seconds = 60): Promise<Outcome & { readonly hung: boolean }> {
  let hung = false
  const timer = setTimeout(() => {
    hung = true
    running.child.kill('SIGKILL')
  }, seconds * 1000)
  try {
    return { ...(await running.outcome), hung }
  } finally {
    clearTimeout(timer)
  }
}

/** The folder and the templates of one test file. */
export interface Rig {
  readonly workspace: Workspace
  /** A store with `busybox:test`. */
  readonly busybox: string
  /** A folder of contexts, made by {@link writeFiles}. */
  readonly context: (name: string, files: Readonly<Record<string, string>>) => string
  readonly remove: () => Promise<void>
}

/** Makes a rig. */
export async function openRig(name: string): Promise<Rig> {
  const workspace = await openBusyboxWorkspace(`faults-${name}`)
  mkdirSync(workspace.path('contexts'))
  return {
    workspace,
    busybox: workspace.tsbuild.root,
    context: (contextName, files) => writeFiles(workspace.path('contexts', contextName), files),
    remove: () => workspace.remove(),
  }
}

/** Runs the command outside of a trial; gives how it ended. */
export function tsbuild(
  store: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Promise<Outcome> {
  const [node = '', ...rest] = program
  return run(node, [...rest, ...args], { env: { ...cleanEnvironment(), TSBUILD_ROOT: store, ...env } })
}

/**
 * A helper in the place of the helper: the `target`th that a trial starts runs under strace, still as a child of the builder;
 * the others run as they are. `target` 0 is all of them. The environment of helpers is empty, so all is in files.
 */
export function wrapHelper(trial: Trial, target: number, words: readonly string[]): string {
  const path = trial.path('helper')
  const quoted = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ')
  const script = [
    '#!/bin/sh',
    `folder='${trial.folder}'`,
    'number=1',
    'while ! /bin/mkdir "$folder/helper-$number" 2>/dev/null; do number=$((number + 1)); done',
    ...(target === 0 ? [] : [`[ $number = ${target} ] || exec '${helper}'`]),
    `exec ${quoted.replaceAll('@FOLDER@', `'"$folder/helper-$number"'`)} '${helper}'`,
  ]
  writeFileSync(path, `${script.join('\n')}\n`, { mode: 0o755 })
  return path
}
