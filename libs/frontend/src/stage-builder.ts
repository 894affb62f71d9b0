import { type Instruction, parseTrigger, type Stage } from '@tsbuild/dockerfile'
import { createGraphBuilder, type GraphBuilder } from '@tsbuild/graph'
import { applyArgs } from './arg-instruction.ts'
import { type Base, replacedStage, resolveBase } from './base.ts'
import { addCopy } from './copy-instruction.ts'
import { hostnameOf } from './hostname.ts'
import type { StageObserver, StageStart } from './lint/observer.ts'
import { applyMetadata } from './metadata-instructions.ts'
import { createNamedContexts, type NamedContexts } from './named-contexts.ts'
import { addRun } from './run-instruction.ts'
import type { DatedOptions, SourceDate } from './source-date.ts'
import { type StageState, startState } from './stage-state.ts'
import type { FrontendOptions } from './types.ts'
import { addWorkdir } from './workdir-instruction.ts'

/** Builds stages on demand, each once. */
export interface StageBuilder {
  readonly graph: GraphBuilder
  readonly options: FrontendOptions
  /** Variables of FROM, and of an ARG without a value. */
  readonly globals: ReadonlyMap<string, string>
  readonly contexts: NamedContexts
  readonly sourceDate: SourceDate
  /** Of every RUN. */
  readonly hostname: string
  /** Looks on, for lint and for `--call`. */
  readonly observer: StageObserver
  build(stage: Stage): Promise<StageState>
}

/** Starts with no stage built. @throws {UserError} `ERR_PLATFORM_INVALID` in the name of a named context, `ERR_USAGE` */
export function createStageBuilder(
  { options, globals, sourceDate }: DatedOptions,
  observer: StageObserver,
): StageBuilder {
  const built = new Map<Stage, Promise<StageState>>()
  const builder: StageBuilder = {
    graph: createGraphBuilder(),
    options,
    globals,
    contexts: createNamedContexts(options.namedContexts),
    sourceDate,
    hostname: hostnameOf(options.buildArgs),
    observer,
    build(stage) {
      const known = built.get(stage)
      if (known !== undefined) return known
      const state = buildStage(builder, stage)
      built.set(stage, state)
      return state
    },
  }
  return builder
}

async function buildStage(builder: StageBuilder, stage: Stage): Promise<StageState> {
  const { observer } = builder
  const replacement = await replacedStage(builder, stage)
  if (replacement !== undefined) {
    const state = startState(builder, stage, replacement, [])
    observer.started(state, startOf(replacement))
    // The triggers of the image that stands here are for the stages upon it.
    state.config = { ...state.config, onBuild: triggersOf(replacement) }
    return state
  }
  observer.reached(stage)
  const base = await resolveBase(builder, stage)
  const triggers = triggersOf(base) ?? []
  const instructions = [
    ...triggers.map((expression) => parseTrigger(expression, stage.from.source)),
    ...stage.instructions,
  ]
  const state = startState(builder, stage, base, instructions)
  observer.started(state, startOf(base))
  for (const instruction of instructions) {
    await observer.apply(state, instruction, () => apply(builder, state, instruction))
  }
  state.config = state.growing.into(state.config)
  return state
}

function startOf(base: Base): StageStart {
  return {
    parent: base.kind === 'stage' ? base.state.stage : undefined,
    image: base.kind === 'image' ? base.image : undefined,
  }
}

function triggersOf(base: Base): readonly string[] | undefined {
  if (base.kind === 'image') return base.image.config.config.onBuild
  return base.kind === 'stage' ? base.state.config.onBuild : undefined
}

async function apply(builder: StageBuilder, state: StageState, instruction: Instruction): Promise<void> {
  switch (instruction.kind) {
    case 'from':
      return
    case 'arg':
      return applyArgs(builder, state, instruction)
    case 'run':
      return await addRun(builder, state, instruction)
    case 'copy':
    case 'add':
      return await addCopy(builder, state, instruction)
    case 'workdir':
      return addWorkdir(builder, state, instruction)
    default:
      return applyMetadata(state, instruction)
  }
}
