import type { Digest } from '@tsbuild/digest'
import { expand, findStage, type Instruction, parseTrigger, type Stage } from '@tsbuild/dockerfile'
import { didYouMean, type SourceRange, UserError, withSource } from '@tsbuild/errors'
import { createGraphBuilder, type GraphBuilder } from '@tsbuild/graph'
import { type Platform, parsePlatform } from '@tsbuild/oci'
import { addCopy } from './copy-instruction.ts'
import { completeHistory } from './history.ts'
import { applyMetadata, applyWorkdir } from './metadata-instructions.ts'
import { addRun } from './run-instruction.ts'
import { buildArgOf, createScope, platformArgs } from './scope.ts'
import { defaultPath, nextStepName, type StageState, withEnv } from './stage-state.ts'
import type { FrontendOptions, ResolvedImage } from './types.ts'

/** Builds stages on demand, each once. */
export interface StageBuilder {
  readonly graph: GraphBuilder
  readonly options: FrontendOptions
  build(stage: Stage): Promise<StageState>
  /** The file system that a `--from` names: an earlier stage by name or index, or an image. */
  fromName(name: string, reader: StageState, source: SourceRange): Promise<Digest | undefined>
  /** Names of the ARGs met so far, those of triggers included. */
  readonly declared: Set<string>
}

/** Starts with no stage built. */
export function createStageBuilder(options: FrontendOptions): StageBuilder {
  const built = new Map<Stage, Promise<StageState>>()
  const globals = globalScope(options)
  const builder: StageBuilder = {
    graph: createGraphBuilder(),
    options,
    declared: new Set(),
    build(stage) {
      const known = built.get(stage)
      if (known !== undefined) return known
      const state = buildStage(builder, globals, stage)
      built.set(stage, state)
      return state
    },
    fromName: (name, reader, source) => fromName(builder, name, reader, source),
  }
  return builder
}

/** Values of the ARGs before the first FROM, and of the platform arguments. */
function globalScope(options: FrontendOptions): ReadonlyMap<string, string> {
  const { dockerfile, buildArgs } = options
  const values = new Map(platformArgs(options.platform, options.buildPlatform))
  values.set('TARGETSTAGE', options.target ?? dockerfile.stages.at(-1)?.name ?? 'default')
  for (const name of values.keys()) {
    const given = buildArgOf(buildArgs, name)
    if (given !== undefined) values.set(name, given)
  }
  for (const { args, source } of dockerfile.globalArgs) {
    for (const { name, value } of args) {
      const given = buildArgOf(buildArgs, name)
      if (given !== undefined) values.set(name, given)
      else if (value !== null)
        values.set(
          name,
          expand(value, (key) => values.get(key), { escape: dockerfile.escape, source }),
        )
    }
  }
  return values
}

async function buildStage(
  builder: StageBuilder,
  globals: ReadonlyMap<string, string>,
  stage: Stage,
): Promise<StageState> {
  const base = await resolveBase(builder, globals, stage)
  const triggers = base.onBuild.map((expression) => parseTrigger(expression, stage.from.source))
  const instructions = [...triggers, ...stage.instructions]
  const state = startState(builder, stage, base, instructions)
  for (const instruction of instructions) await apply(builder, globals, state, instruction)
  return state
}

interface Base {
  readonly state: StageState | undefined
  readonly image: ResolvedImage | undefined
  readonly platform: Platform
  readonly onBuild: readonly string[]
}

async function resolveBase(
  builder: StageBuilder,
  globals: ReadonlyMap<string, string>,
  stage: Stage,
): Promise<Base> {
  const { from } = stage
  const { dockerfile } = builder.options
  const look = (word: string) =>
    expand(word, (name) => globals.get(name), { escape: dockerfile.escape, source: from.source })
  const name = look(from.image)
  if (name === '') throw emptyBase(stage)
  const own = from.platform === null ? undefined : platformOf(look(from.platform), from.source)
  const platform = own ?? builder.options.platform
  const earlier = findStage(dockerfile.stages.slice(0, stage.index), name)
  // FROM takes names only: a number is an image.
  if (earlier !== undefined && earlier.name === name.toLowerCase()) {
    const state = await builder.build(earlier)
    const { platform: inherited, config } = state
    return { state, image: undefined, platform: own ?? inherited, onBuild: config.onBuild ?? [] }
  }
  if (name.toLowerCase() === 'scratch') return { state: undefined, image: undefined, platform, onBuild: [] }
  const image = await resolveImage(builder, { name, platform }, { reader: stage, source: from.source })
  return { state: undefined, image, platform, onBuild: image.config.config.onBuild ?? [] }
}

function emptyBase({ from }: Stage): UserError {
  const message = `Cannot use base image "${from.image}": it expands to nothing`
  return new UserError('ERR_REFERENCE_INVALID', message, {
    source: from.source,
    hints: ['Give the ARG a default before the first FROM, or pass it with --build-arg.'],
  })
}

function platformOf(text: string, source: SourceRange): Platform {
  try {
    return parsePlatform(text)
  } catch (error) {
    throw withSource(error, source)
  }
}

/** Asks for an image; a stage that could have been meant is a hint. */
async function resolveImage(
  { options }: StageBuilder,
  wanted: { readonly name: string; readonly platform: Platform },
  { reader, source }: { readonly reader: Stage; readonly source: SourceRange },
): Promise<ResolvedImage> {
  try {
    return await options.resolveImage(wanted.name, wanted.platform)
  } catch (error) {
    const earlier = options.dockerfile.stages.slice(0, reader.index)
    const names = earlier.map(({ name }) => name).filter((name) => name !== null)
    throw withSource(withStageHint(error, wanted.name, names), source)
  }
}

/** An image that is not found is often a stage name mistyped. */
function withStageHint(error: unknown, name: string, stages: readonly string[]): unknown {
  if (!(error instanceof UserError) || error.code !== 'ERR_IMAGE_NOT_FOUND') return error
  const { source, cause, details } = error
  const hints = [...didYouMean(name, stages), ...error.hints]
  return new UserError(error.code, error.message, { source, cause, details, hints })
}

function startState(
  builder: StageBuilder,
  stage: Stage,
  base: Base,
  instructions: readonly Instruction[],
): StageState {
  const { options } = builder
  const steps = instructions.filter(
    ({ kind }) => kind === 'run' || kind === 'copy' || kind === 'add' || kind === 'workdir',
  )
  const onlyOne = options.dockerfile.stages.length === 1
  const inherited = base.state?.config ?? base.image?.config.config ?? {}
  const env = withDefaultPath(inherited.env ?? [])
  const state: StageState = {
    stage,
    scope: createScope(base.state?.scope ?? imageScope(env), options.dockerfile.escape),
    label: stage.name ?? (onlyOne ? '' : `stage-${stage.index}`),
    ignoreCache: ignoresCache(options, stage),
    platform: base.platform,
    total: steps.length + (base.image === undefined ? 0 : 1),
    number: 0,
    rootfs: base.state?.rootfs,
    config: { ...inherited, env, onBuild: undefined },
    author: base.state?.author ?? base.image?.config.author,
    baseHistory:
      base.state?.baseHistory ??
      completeHistory(base.image?.config.history ?? [], base.image?.layers.length ?? 0),
    baseCreated: base.state?.baseCreated ?? base.image?.config.created,
    history: [...(base.state?.history ?? [])],
    hasOwnCmd: false,
  }
  if (base.image !== undefined) state.rootfs = addImage(builder.graph, base.image, state, stage.from.source)
  return state
}

/** So that `ENV PATH=/opt/bin:$PATH` works over an image that sets none, as it does over scratch with BuildKit. */
function withDefaultPath(env: readonly string[]): readonly string[] {
  return env.some((entry) => entry.startsWith('PATH=')) ? env : withEnv(env, 'PATH', defaultPath)
}

function imageScope(env: readonly string[]) {
  return { environment: () => env, args: () => [] }
}

function ignoresCache({ noCache }: FrontendOptions, stage: Stage): boolean {
  if (typeof noCache === 'boolean') return noCache
  return noCache.some((name) => name.toLowerCase() === stage.name || name === String(stage.index))
}

function addImage(
  graph: GraphBuilder,
  image: ResolvedImage,
  state: StageState | undefined,
  source: SourceRange,
): Digest {
  const { reference, manifest, layers } = image
  const text = `FROM ${reference}@${manifest}`
  const name = state === undefined ? text : nextStepName(state, text)
  return graph.add({ kind: 'image', reference, manifest, layers }, { inputs: [], name, source })
}

async function apply(
  builder: StageBuilder,
  globals: ReadonlyMap<string, string>,
  state: StageState,
  instruction: Instruction,
): Promise<void> {
  switch (instruction.kind) {
    case 'from':
      return
    case 'arg':
      return applyArgs(builder, globals, state, instruction)
    case 'run':
      return addRun(builder, state, instruction)
    case 'copy':
    case 'add':
      return await addCopy(builder, state, instruction)
    case 'workdir':
      return addWorkdir(builder.graph, state, instruction)
    default:
      return applyMetadata(state, instruction)
  }
}

/** A build argument wins, then the default, then the global ARG of the same name. @see spec/dockerfile.md 1.2 */
function applyArgs(
  { options, declared }: StageBuilder,
  globals: ReadonlyMap<string, string>,
  state: StageState,
  { args, source }: Extract<Instruction, { kind: 'arg' }>,
): void {
  const words: string[] = []
  for (const { name, value } of args) {
    const fallback = value === null ? globals.get(name) : undefined
    declared.add(name)
    const given = buildArgOf(options.buildArgs, name)
    const effective = given ?? (value === null ? fallback : state.scope.expand(value, source))
    state.scope.setArg(name, effective)
    words.push(effective === undefined ? name : `${name}=${effective}`)
  }
  state.history.push({ createdBy: `ARG ${words.join(' ')}`, emptyLayer: true })
}

function addWorkdir(
  graph: GraphBuilder,
  state: StageState,
  instruction: Extract<Instruction, { kind: 'workdir' }>,
): void {
  const { source } = instruction
  const path = applyWorkdir(state, state.scope.expand(instruction.path, source))
  const name = nextStepName(state, `WORKDIR ${path}`)
  if (path === '/') {
    state.history.push({ createdBy: 'WORKDIR /', emptyLayer: true })
    return
  }
  const inputs = state.rootfs === undefined ? [] : [state.rootfs]
  const owner = state.config.user || undefined
  const action = { kind: 'mkdir', path, mode: 0o755, owner, mtime: undefined } as const
  state.rootfs = graph.add(
    { kind: 'file', rootfs: state.rootfs === undefined ? undefined : 0, owners: undefined, actions: [action] },
    { inputs, name, source, ignoreCache: state.ignoreCache },
  )
  state.history.push({ createdBy: `WORKDIR ${path}`, emptyLayer: false })
}

async function fromName(
  builder: StageBuilder,
  name: string,
  reader: StageState,
  source: SourceRange,
): Promise<Digest | undefined> {
  const { stages } = builder.options.dockerfile
  const { stage, platform } = reader
  if (name.includes('$')) throw expandedFrom(name, source)
  const earlier = findStage(stages.slice(0, stage.index), name)
  if (earlier !== undefined) return (await builder.build(earlier)).rootfs
  const later = findStage(stages, name)
  if (later !== undefined) throw notEarlier(stages, later, stage, source)
  if (name.toLowerCase() === 'scratch') return undefined
  const image = await resolveImage(builder, { name, platform }, { reader: stage, source })
  return addImage(builder.graph, image, undefined, source)
}

/** No stage and no image has such a name. @see spec/dockerfile.md 1.3 */
function expandedFrom(name: string, source: SourceRange): UserError {
  const message = `Cannot use --from=${name}: variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround`
  return new UserError('ERR_DOCKERFILE_SYNTAX', message, { source })
}

function notEarlier(stages: readonly Stage[], named: Stage, reader: Stage, source: SourceRange): UserError {
  const label = (stage: Stage) => stage.name ?? String(stage.index)
  if (dependsOn(stages, named, reader, new Set())) {
    const message = `Cannot copy from stage "${label(named)}": circular dependency detected on stage "${label(reader)}"`
    return new UserError('ERR_DOCKERFILE_CYCLE', message, { source })
  }
  const message = `Cannot copy from stage "${label(named)}": it needs to be defined before current stage "${label(reader)}"`
  return new UserError('ERR_DOCKERFILE_STAGE_NOT_FOUND', message, { source })
}

/** Whether a stage is, or is based on or copies from, another one. */
function dependsOn(stages: readonly Stage[], stage: Stage, other: Stage, seen: Set<Stage>): boolean {
  if (stage === other) return true
  if (seen.has(stage)) return false
  seen.add(stage)
  const base = stages.slice(0, stage.index).findLast(({ name }) => name === stage.from.image.toLowerCase())
  const copied = stage.instructions.flatMap((instruction) =>
    instruction.kind === 'copy' && instruction.from !== null ? [findStage(stages, instruction.from)] : [],
  )
  return [base, ...copied].some((found) => found !== undefined && dependsOn(stages, found, other, seen))
}
