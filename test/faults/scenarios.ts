import { randomBytes } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { findProgram } from '../support/capabilities.ts'
import { startRegistry } from '../support/registry-process.ts'
import { describeTree } from '../support/tree.ts'
import { check } from '../support/tsbuild.ts'
import { type Rig, type Trial, tsbuild } from './rig.ts'
import { tarProblems } from './tar-problems.ts'

/** What the scenarios are called. */
export const scenarioNames = [
  'first',
  'build',
  'stages',
  'failing',
  'pull',
  'push',
  'export',
  'prune',
] as const
type ScenarioName = (typeof scenarioNames)[number]

/** Something that the command does and may die in. */
export interface Scenario {
  readonly name: ScenarioName
  /** The store before it. */
  readonly template: string
  /** What it is started with. */
  readonly args: (trial: Trial) => readonly string[]
  /** Its exit code when nothing happens to it. */
  readonly code: 0 | 1
  /** What is there before it, besides the store. */
  readonly prepare?: (trial: Trial) => void
  /** What is wrong with what it wrote outside of the store, whenever it died. */
  readonly outside?: (trial: Trial) => Promise<readonly string[]>
  /** What a build of the same gives, as {@link describeTree} says it. */
  readonly tree: readonly string[]
  /** What builds the same into `tree` of the trial's folder. */
  readonly rebuild: (trial: Trial) => readonly string[]
  /** What runs a step, whatever is cached. */
  readonly anew: (trial: Trial) => readonly string[]
}

/** The scenarios, and what they stand on. */
export interface Scenarios {
  readonly all: readonly Scenario[]
  readonly stop: () => Promise<void>
}

const sixSteps = [
  'FROM busybox:test',
  'COPY one two /src/',
  'RUN --mount=type=cache,target=/cache echo cached >> /cache/file && cp /src/one /copied',
  'RUN <<EOF',
  'echo from a heredoc > /heredoc',
  'ln -s heredoc /link',
  'EOF',
  'COPY <<EOF /etc/written',
  'written by the Dockerfile',
  'EOF',
  'WORKDIR /work',
  'RUN rm /src/two && echo end > end',
]

/** Makes the scenarios of a rig. */
export async function makeScenarios(rig: Rig): Promise<Scenarios> {
  const registry = await startRegistry(rig.workspace.path('registry'))
  const context = rig.context('six-steps', { Dockerfile: sixSteps.join('\n'), one: 'one\n' })
  writeFileSync(join(context, 'two'), randomBytes(300_000))
  const pulling = rig.context('pulling', {
    Dockerfile: `FROM ${registry.host}/app:1\nRUN cat /copied /work/end > /both\n`,
  })
  const built = await copyStore(rig, rig.busybox, 'built')
  await must(built, ['-t', `${registry.host}/app:1`, '--push', context])
  const first = rig.context('first', firstImage)
  copyFileSync(findProgram('busybox') ?? '', join(first, 'busybox'))
  const failing = rig.context('failing', {
    Dockerfile: [...sixSteps, 'RUN echo kept > /kept; false'].join('\n'),
    one: 'one\n',
  })
  copyFileSync(join(context, 'two'), join(failing, 'two'))
  mkdirSync(rig.workspace.path('empty'))
  const of = (name: ScenarioName, template: string, from: string) => scenario(rig, template, name, from)
  const six = await of('build', rig.busybox, context)
  const all: readonly Scenario[] = [
    await of('first', rig.workspace.path('empty'), first),
    six,
    await of('stages', rig.busybox, await stagesContext(rig)),
    { ...six, name: 'failing', code: 1, args: () => ['--progress', 'json', failing] },
    await of('pull', rig.busybox, pulling),
    {
      ...six,
      name: 'push',
      template: built,
      args: (trial) => ['--progress', 'json', '-t', `${registry.host}/${nameOf(trial)}`, '--push', context],
      rebuild: (trial) => [
        ...['--progress', 'json', '-t', `${registry.host}/${nameOf(trial)}`, '--push'],
        ...['-o', trial.path('tree'), context],
      ],
    },
    await exporting(rig, built, context),
    {
      ...six,
      name: 'prune',
      template: await withOldBuilds(rig, built),
      args: () => ['prune', '--all', '--force'],
    },
  ]
  return { all, stop: () => registry.stop() }
}

/** A repository that nobody has pushed to. */
const nameOf = (trial: Trial) => basename(trial.folder).toLowerCase()

/** Something of every kind that a prune takes: steps of an image and of none, a failure, and what is not used any more. */
async function withOldBuilds(rig: Rig, from: string): Promise<string> {
  const store = await copyStore(rig, from, 'old-builds')
  const context = rig.context('old-builds', {
    Dockerfile:
      'FROM busybox:test\nCOPY file /\nRUN --mount=type=cache,target=/c echo x > /c/x; cat /file > /other\n',
    file: 'old\n',
  })
  await must(store, [context])
  const failing = rig.context('old-failure', { Dockerfile: 'FROM busybox:test\nRUN echo x > /x; false\n' })
  const { code } = await tsbuild(store, [failing])
  if (code !== 1) throw new Error(`a step that fails: exit code ${code}`)
  return store
}

const firstImage = {
  Dockerfile:
    'FROM scratch\nCOPY busybox /bin/\nRUN ["/bin/busybox", "touch", "-d", "2020-01-01", "/bin/busybox"]\n',
}

async function stagesContext(rig: Rig): Promise<string> {
  const context = rig.context('stages', {
    Dockerfile: [
      'FROM busybox:test AS left',
      'RUN echo left > /left',
      'FROM busybox:test AS right',
      'RUN --mount=type=bind,target=/context cat /context/packed/inside > /right',
      'FROM busybox:test',
      'ADD packed.tar.gz /unpacked/',
      'COPY --link --from=left /left /from/',
      'COPY --from=right --chown=7:8 --chmod=640 /right /from/',
      'RUN --mount=type=tmpfs,target=/mnt cat /from/* > /mnt/both && cp /mnt/both /both',
    ].join('\n'),
    'packed/inside': 'inside\n',
  })
  await check('tar', ['-C', context, '-czf', join(context, 'packed.tar.gz'), 'packed'])
  return context
}

async function scenario(
  rig: Rig,
  template: string,
  name: Scenario['name'],
  context: string,
): Promise<Scenario> {
  return {
    name,
    template,
    code: 0,
    args: () => ['--progress', 'json', '-t', `${name}:1`, context],
    rebuild: (trial) => ['--progress', 'json', ...both(`${name}:1`, trial), context],
    anew: () => ['--no-cache', context],
    tree: await treeOf(rig, template, context),
  }
}

/** To the list and into a folder. */
const both = (name: string, trial: Trial) => ['-t', name, '-o', 'type=image', '-o', trial.path('tree')]

const oldArchive = 'what was there before\n'

async function exporting(rig: Rig, template: string, context: string): Promise<Scenario> {
  return {
    name: 'export',
    template,
    code: 0,
    prepare: (trial) => writeFileSync(trial.path('out.tar'), oldArchive),
    args: (trial) => [
      ...['--progress', 'json', '-o', `type=oci,dest=${trial.path('out.tar')},compression=zstd`],
      ...['-o', `type=tar,dest=${trial.path('files.tar')}`, '-o', trial.path('files'), context],
    ],
    outside: async (trial) => [
      ...(readFileSync(trial.path('out.tar'), 'latin1') === oldArchive
        ? []
        : await tarProblems(trial.path('out.tar'))),
      ...(existsSync(trial.path('files.tar')) ? await tarProblems(trial.path('files.tar')) : []),
    ],
    rebuild: (trial) => ['--progress', 'json', ...both('export:1', trial), context],
    anew: () => ['--no-cache', context],
    tree: await treeOf(rig, template, context),
  }
}

let copies = 0

/** A copy of a store in the rig's folder. */
export async function copyStore(rig: Rig, from: string, name: string): Promise<string> {
  copies += 1
  const path = rig.workspace.path(`${name}-${copies}`)
  await check('cp', ['-a', '--reflink=auto', from, path])
  return path
}

/** What a build that nothing happens to gives. */
async function treeOf(rig: Rig, template: string, context: string): Promise<readonly string[]> {
  const store = await copyStore(rig, template, 'expected')
  await must(store, ['-o', `${store}-tree`, context])
  return describeTree(`${store}-tree`)
}

/** Runs the command, which must succeed. */
export async function must(store: string, args: readonly string[]): Promise<void> {
  const { code, stderr } = await tsbuild(store, args)
  if (code !== 0) throw new Error(`tsbuild ${args.join(' ')}: exit code ${code}\n${stderr}`)
}
