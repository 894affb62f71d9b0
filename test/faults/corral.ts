import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A cgroup of its own in every hierarchy of the machine. Whatever is started in it stays in it or below, so what is left of a
 * build (processes of any name, cgroups of sessions) is found exactly, however many builds run beside it.
 */
export interface Corral {
  /** Words before a command: it and all its children run in the corral. */
  readonly words: readonly string[]
  /** Processes that are in it. */
  readonly processes: () => readonly number[]
  /** Cgroups that were made in it. */
  readonly cgroups: () => readonly string[]
  /** The file of a controller of version 1, for a limit; undefined where the controller is not mounted so. */
  readonly file: (controller: string, name: string) => string | undefined
  /** Kills everything in it and waits until it is empty; cgroups in it stay. */
  readonly kill: () => Promise<void>
  readonly remove: () => Promise<void>
}

/** What is in it, and enters, by way of a shell: the process is in every cgroup before the program begins. */
const enter = 'for file in $1; do echo $$ > "$file"; done; shift; exec "$@"'

/** Makes a corral; `name` must be unused. */
export function makeCorral(name: string): Corral {
  const folders = hierarchies().map((own) => join(own, name))
  for (const folder of folders) makeCgroup(folder)
  const files = folders.map((folder) => join(folder, 'cgroup.procs'))
  const all = () => folders.flatMap((folder) => [folder, ...below(folder)])
  const processes = () => [...new Set(all().flatMap(readProcesses))]
  const kill = async () => {
    for (let attempt = 0; attempt < 500 && processes().length > 0; attempt += 1) {
      for (const pid of processes()) if (pid > 0) killIfThere(pid)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  return {
    words: ['/bin/sh', '-c', enter, 'sh', files.join(' ')],
    processes,
    cgroups: () => folders.flatMap(below),
    file: (controller, file) =>
      folders
        .map((folder) => join(folder, file))
        .find((path) => path.includes(`/${controller}/`) && existsSync(path)),
    kill,
    remove: async () => {
      await kill()
      for (const folder of folders) for (const path of [...below(folder), folder]) rmdirIfEmpty(path)
    },
  }
}

/** The cgroup of this process in each hierarchy. */
function hierarchies(): readonly string[] {
  const memberships = readFileSync('/proc/self/cgroup', 'utf8').split('\n')
  const own = (controllers: string) =>
    memberships.map((line) => line.split(':')).find((fields) => fields[1] === controllers)?.[2] ?? '/'
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [, , , root = '', point = ''] = line.split(' ')
      const [, kind, options] = / - (cgroup2?) \S+ (\S+)$/.exec(line) ?? []
      if (kind === undefined || options === undefined || root !== '/') return []
      const controllers = options
        .split(',')
        .filter((option) => option !== 'rw')
        .join(',')
      return [join(point, own(kind === 'cgroup2' ? '' : controllers))]
    })
}

/** A cpuset of version 1 takes nobody before it has processors and memory. */
function makeCgroup(folder: string): void {
  mkdirSync(folder)
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    if (existsSync(join(folder, file)))
      writeFileSync(join(folder, file), readFileSync(join(folder, '..', file), 'utf8'))
  }
}

/** All cgroups below one, the innermost first. */
function below(folder: string): readonly string[] {
  try {
    return readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .flatMap(({ name }) => [...below(join(folder, name)), join(folder, name)])
  } catch {
    // It went meanwhile.
    return []
  }
}

function readProcesses(folder: string): readonly number[] {
  try {
    return readFileSync(join(folder, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean).map(Number)
  } catch {
    return []
  }
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // It ended meanwhile.
  }
}

function rmdirIfEmpty(folder: string): void {
  try {
    rmdirSync(folder)
  } catch {
    // What is left in it is found by who looks.
  }
}
