import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs'
import { basename } from 'node:path'
import type { ErrorCode } from '../../libs/errors/src/codes.ts'
import type { User } from './builder-user.ts'
import { type Canaries, plantCanaries } from './canaries.ts'
import { findCgroups } from './cgroups.ts'
import { type LeakSearch, leaksIn, searchLeaks } from './leaks.ts'
import { findNewOrphans, listProcesses } from './orphans.ts'
import { findMounts, untilNone } from './processes.ts'
import { type Outcome, readEvents, start } from './tsbuild.ts'
import { addBusybox, openWorkspace, storesFolder, type Workspace } from './workspace.ts'

/** One hostile input. */
export interface Hostile {
  readonly dockerfile?: readonly string[]
  /** Further files of the context. */
  readonly files?: Readonly<Record<string, string>>
  /** Makes in the context what is no text: links, pipes, archives. */
  readonly prepare?: (context: string) => void
  readonly flags?: readonly string[]
  /** A command line that is no build, such as that of `tsbuild run`; nothing is added to it. */
  readonly command?: readonly string[]
  readonly environment?: Readonly<Record<string, string>>
  /** A script of `sh` that starts the command as `"$@"`: how the tests of the oracle do harm for sure. */
  readonly wrapper?: string
  /** `anything` where it is chance whether the input is refused. */
  readonly wants: Refusal | Harmless | 'anything'
}

/** The input must be refused. */
export interface Refusal {
  readonly code: ErrorCode
  /** The line of the Dockerfile; absent where no line is at fault. */
  readonly line?: number
}

/** The input must do no harm. */
export interface Harmless {
  /** What its steps write to standard output, or what that matches. */
  readonly output: readonly string[] | RegExp
}

/** Runs hostile inputs on one store, and says what harm they did. @see spec/security.md section 2 */
export interface Oracle {
  readonly user: User
  readonly canaries: Canaries
  readonly workspace: Workspace
  /**
   * Runs one input through the real command, once with events and once with plain progress.
   *
   * @returns what is wrong, a line each, beginning with the letter of the specification: `(b) the canary tree changed`.
   */
  readonly judge: (hostile: Hostile) => Promise<readonly string[]>
  /** Builds on the store without judging, for what comes before; must succeed. */
  readonly build: (dockerfile: readonly string[], flags?: readonly string[]) => Promise<void>
  readonly close: () => Promise<void>
}

/** How long a hostile input may take. */
const limitMs = 60_000

/**
 * Plants canaries and makes a store with `busybox:test`.
 *
 * @param name appears in the names of folders
 * @param patience how many seconds what a build leaves may take to go
 */
export async function openOracle(user: User, name: string, patience = 10): Promise<Oracle> {
  const workspace = openWorkspace(`oracle-${name}`)
  const canaries = await plantCanaries(user)
  mkdirSync(workspace.path('tmp'))
  mkdirSync(workspace.path('out'))
  await user.giveTo(workspace.folder)
  const oracle = new LeakOracle(user, workspace, canaries, patience)
  await addBusybox({ ...workspace, tsbuild: { ...workspace.tsbuild, check: oracle.check } })
  await oracle.begin()
  return oracle
}

class LeakOracle implements Oracle {
  readonly user: User
  readonly workspace: Workspace
  readonly canaries: Canaries
  readonly #search: LeakSearch
  readonly #patience: number
  #benignDigest = ''
  #contexts = 0

  constructor(user: User, workspace: Workspace, canaries: Canaries, patience: number) {
    this.#patience = patience
    this.user = user
    this.workspace = workspace
    this.canaries = canaries
    this.#search = searchLeaks(canaries.token)
  }

  async begin(): Promise<void> {
    this.#benignDigest = await this.#buildBenign()
  }

  readonly check = async (args: readonly string[]): Promise<string> => {
    const outcome = await this.#run(['--network', 'none', ...args])
    if (outcome.code !== 0) throw new Error(`tsbuild ${args.join(' ')}: ${outcome.code}\n${outcome.stderr}`)
    return outcome.stdout
  }

  async build(dockerfile: readonly string[], flags: readonly string[] = []): Promise<void> {
    await this.check([...flags, this.#context({ dockerfile })])
  }

  readonly judge = async (hostile: Hostile): Promise<readonly string[]> => {
    const { canaries, workspace } = this
    const cgroups = `tsbuild-oracle-${process.pid}-${this.#contexts}`
    const before = {
      tree: canaries.describe(),
      tmp: listTemporary(),
      mounts: readMounts(),
      processes: listProcesses(),
    }
    canaries.countConnections()
    const outcomes: Outcome[] = []
    for (const args of this.#commandLines(hostile, cgroups)) outcomes.push(await this.#run(args, hostile))
    const said = outcomes.map(({ stdout, stderr }) => `${stdout}\n${stderr}\n${logsOf(stderr)}`).join('\n')
    const newPaths = listTemporary().filter((path) => !before.tmp.includes(path) && !this.#isOurs(path))
    const leaks = this.#search.find([workspace.folder, ...newPaths])
    const connections = canaries.countConnections()
    const findNewMounts = () => [
      ...findMounts(workspace.folder),
      ...readMounts().filter((line) => !before.mounts.includes(line)),
    ]
    const mounts = await untilNone(findNewMounts, this.#patience)
    const orphans = await findNewOrphans(workspace.folder, before.processes, this.#patience)
    const leftCgroups = await untilNone(() => findCgroups(cgroups), this.#patience)
    const benign = await this.#buildBenign().catch((error: Error) => error.message)
    return [
      ...outcomes.flatMap((outcome) => judgeOutcome(outcome, hostile)),
      ...compare('(b) the canary tree changed', before.tree, canaries.describe()),
      ...(leaksIn(said, canaries.token) ? ['(c) the token was printed'] : []),
      ...leaks.map((path) => `(c) the token is in ${path}`),
      ...(connections > 0 ? [`(d) the server of the machine was asked ${connections} times`] : []),
      ...mounts.map((line) => `(e) a mount is left: ${line}`),
      ...orphans.map((line) => `(e) a process is left: ${line}`),
      ...leftCgroups.map((path) => `(e) a cgroup is left: ${path}`),
      ...this.#leftFiles().map((path) => `(e) a temporary file is left: ${path}`),
      ...(benign === this.#benignDigest ? [] : [`(f) the benign build gave ${benign}`]),
    ]
  }

  async close(): Promise<void> {
    await this.canaries.remove()
    await this.workspace.remove()
  }

  #isOurs(path: string): boolean {
    return path === this.workspace.folder || path === this.canaries.folder
  }

  #leftFiles(): readonly string[] {
    return ['tmp', 'store/v1/ingest'].flatMap((place) => {
      const path = this.workspace.path(place)
      return existsSync(path) ? readdirSync(path).map((name) => `${path}/${name}`) : []
    })
  }

  /** The two runs: with events and an archive as output, and as people see it, with the files as output. */
  #commandLines(hostile: Hostile, cgroups: string): readonly (readonly string[])[] {
    if (hostile.command !== undefined) return [hostile.command]
    const context = this.#context(hostile)
    const out = this.workspace.path('out', basename(context))
    // Cgroups are root's on most machines.
    const parent = this.user.name === 'root' ? ['--cgroup-parent', cgroups] : []
    const flags = hostile.flags ?? []
    const network = flags.includes('--network') ? [] : ['--network', 'none']
    const common = [...network, '--no-cache', ...parent, ...flags, context]
    return [
      ['--progress', 'json', '-o', `type=oci,dest=${out}.tar`, ...common],
      ['--progress', 'plain', '-o', `type=local,dest=${out}`, ...common],
    ]
  }

  #context(hostile: Pick<Hostile, 'dockerfile' | 'files' | 'prepare'>): string {
    this.#contexts += 1
    const text = { Dockerfile: `${(hostile.dockerfile ?? []).join('\n')}\n` }
    const context = this.workspace.context(`context-${this.#contexts}`, { ...text, ...hostile.files })
    hostile.prepare?.(context)
    return context
  }

  async #run(args: readonly string[], { wrapper, environment }: Partial<Hostile> = {}): Promise<Outcome> {
    const [program, ...rest] = this.user.commandLine(args)
    const env = {
      TSBUILD_ROOT: this.workspace.path('store'),
      TMPDIR: this.workspace.path('tmp'),
      HOME: this.canaries.home,
      ...this.canaries.environment,
      ...environment,
    }
    const options = { cwd: this.workspace.folder, env }
    const running =
      wrapper === undefined
        ? start(program, rest, options)
        : start('sh', ['-c', wrapper, 'sh', program, ...rest], options)
    const timer = setTimeout(() => running.child.kill('SIGKILL'), limitMs)
    try {
      return await running.outcome
    } finally {
      clearTimeout(timer)
    }
  }

  /**
   * A build of which one stage is cached and one runs each time. Both write the same bytes each time, and what is copied
   * out of them is known by its content, so that the digest is the same unless the store or a step was tampered with.
   */
  async #buildBenign(): Promise<string> {
    const context = this.workspace.context('benign', {
      Dockerfile: [
        'FROM busybox:test AS kept',
        'RUN echo kept > /kept && touch -d @0 /kept',
        'FROM busybox:test AS fresh',
        'RUN --mount=source=given,target=/given cat /given > /fresh && touch -d @0 /fresh',
        'FROM scratch',
        'COPY --from=kept /kept /',
        'COPY --from=fresh /fresh /bin/busybox /',
      ].join('\n'),
      given: 'given\n',
    })
    return (await this.check(['-q', '--no-cache-filter', 'fresh', context])).trim()
  }
}

function judgeOutcome({ code, signal, stdout, stderr }: Outcome, { wants }: Hostile): readonly string[] {
  const faults = [
    ...(signal === null ? [] : [`(a) ended by ${signal}, after ${limitMs / 1000} s at most`]),
    ...(/^\s+at .+[:(].+:\d+:\d+\)?$/m.test(stderr) ? ['(a) a stack trace'] : []),
  ]
  if (wants === 'anything') return faults
  if ('output' in wants) {
    const output = stderr.startsWith('{') ? logsOf(stderr) : undefined
    const lines = output?.split('\n').slice(0, -1) ?? []
    const asWanted = Array.isArray(wants.output)
      ? JSON.stringify(lines) === JSON.stringify(wants.output)
      : (wants.output as RegExp).test(output ?? '')
    return [
      ...faults,
      ...(code === 0 ? [] : [`(a) exit code ${code}: ${stderr}`]),
      ...(output === undefined || asWanted ? [] : [`(a) the output is ${JSON.stringify(lines)}`]),
    ]
  }
  const said = `${stdout}\n${stderr}`
  return [
    ...faults,
    ...(code === 0 || code === null ? [`(a) exit code ${code}`] : []),
    ...(said.includes(`[${wants.code}]`) ? [] : [`(a) no [${wants.code}]: ${stderr}`]),
    ...(wants.line === undefined || said.includes(`Dockerfile:${wants.line}\n`)
      ? []
      : [`(a) no Dockerfile:${wants.line}: ${stderr}`]),
  ]
}

/** What the steps wrote to standard output, out of `--progress json`. */
function logsOf(stderr: string): string {
  const pieces = readEvents(stderr).flatMap((event) =>
    event.type === 'vertex.log' && event.stream === 'stdout'
      ? [Buffer.from(String(event.data), 'base64')]
      : [],
  )
  return Buffer.concat(pieces).toString()
}

function compare(what: string, before: readonly string[], after: readonly string[]): readonly string[] {
  const gone = before.filter((line) => !after.includes(line)).map((line) => `-${line}`)
  const come = after.filter((line) => !before.includes(line)).map((line) => `+${line}`)
  return gone.length + come.length === 0 ? [] : [[what, ...gone, ...come].join('\n')]
}

function readMounts(): readonly string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8').split('\n')
}

/** What lies in the folders where programs leave temporary files and dumps. */
function listTemporary(): readonly string[] {
  const folders = [...new Set(['/tmp', '/var/tmp', '/dev/shm', storesFolder])]
  return folders.flatMap((folder) =>
    existsSync(folder) ? readdirSync(folder).map((name) => `${folder}/${name}`) : [],
  )
}
