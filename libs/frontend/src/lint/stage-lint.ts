import {
  type AddInstruction,
  argumentRange,
  type CopyInstruction,
  type Dockerfile,
  type Instruction,
  type Linter,
  type Stage,
  type WorkdirInstruction,
} from '@tsbuild/dockerfile'
import { isRemoteSource } from '../remote-source.ts'
import type { StageState } from '../stage-state.ts'
import type { FrontendOptions, ResolvedImage } from '../types.ts'
import { imageFindings } from './image-rules.ts'
import type { StageObserver } from './observer.ts'
import { tryExpand } from './try-expand.ts'
import { undefinedVar } from './undefined-var.ts'

/** The rules that look on while stages are built. */
export interface StageLint extends StageObserver {
  /** The stages that were needed. */
  readonly stages: ReadonlySet<Stage>
  /** The arguments that triggers declared. */
  readonly triggerArgs: ReadonlySet<string>
  /** `SHELL` of the image that a stage is based on. */
  baseShell(stage: Stage): readonly string[] | undefined
  /** Asks the context about the sources of COPY and ADD, all at once. */
  askContext(): Promise<void>
}

/** See {@link createStageLint}. */
export interface StageLintOptions extends Pick<FrontendOptions, 'dockerfile' | 'namedContexts' | 'context'> {
  readonly linter: Linter
  /** Whether an image stands in for one that could not be resolved, of which nothing is known. */
  readonly isUnknown: (image: ResolvedImage) => boolean
}

/** A source of COPY or ADD in the build context, variables expanded. */
interface ContextSource {
  readonly instruction: CopyInstruction | AddInstruction
  readonly path: string
  /** Among the sources as written. */
  readonly index: number
}

/**
 * Creates the observer behind the rules that need what a stage knows: UndefinedVar, WorkdirRelativePath, CopyIgnoredFile,
 * InvalidBaseImagePlatform and FloatingBaseTag.
 *
 * @see spec/dockerfile.md 1.8
 */
export function createStageLint(options: StageLintOptions): StageLint {
  const { dockerfile, linter } = options
  const written = writtenInstructions(dockerfile)
  const stages = new Set<Stage>()
  const triggerArgs = new Set<string>()
  const images = new Map<Stage, ResolvedImage>()
  const sources: ContextSource[] = []
  /** Stages over an image of which nothing is known. */
  const unknown = new Set<Stage>()
  /** Stages that, or whose bases in the file, have a WORKDIR. */
  const withWorkdir = new Set<Stage>()

  const lookAt = (state: StageState, instruction: Instruction): void => {
    if (instruction.kind === 'workdir') {
      const path = tryExpand(state, instruction.path, instruction.source) ?? '/'
      const isFirst = !withWorkdir.has(state.stage)
      withWorkdir.add(state.stage)
      const mayBeAbsolute = unknown.has(state.stage) && instruction.path.includes('$')
      if (isFirst && !mayBeAbsolute && !path.startsWith('/')) reportRelative(options, instruction, path)
    } else if (instruction.kind === 'copy' || instruction.kind === 'add') {
      sources.push(...contextSources(options, state, instruction))
    }
  }
  return {
    stages,
    triggerArgs,
    reached: (stage) => void stages.add(stage),
    baseShell: (stage) => images.get(stage)?.config.config.shell,
    started(state, { parent, image }) {
      const { stage } = state
      if (parent !== undefined && unknown.has(parent)) unknown.add(stage)
      if (parent !== undefined && withWorkdir.has(parent)) withWorkdir.add(stage)
      if (image === undefined) return
      images.set(stage, image)
      if (options.isUnknown(image)) unknown.add(stage)
      else for (const [rule, finding] of imageFindings(options, state, image)) linter.report(rule, finding)
    },
    async apply(state, instruction, run) {
      // A trigger of the base has the place of the FROM, and is nothing that could be mended in this file.
      if (written.get(instruction.source.startLine)?.instruction === instruction) lookAt(state, instruction)
      else if (instruction.kind === 'arg') for (const { name } of instruction.args) triggerArgs.add(name)
      await run()
    },
    unknownName(use) {
      const place = written.get(use.source.startLine)
      if (place === undefined || place.instruction.kind === 'from' || unknown.has(place.stage)) return
      const finding = undefinedVar(dockerfile, place.instruction, use)
      if (finding !== undefined) linter.report('UndefinedVar', finding)
    },
    askContext: () => askContext(options, sources),
  }
}

/** The instructions of stages by their first line. */
function writtenInstructions({
  stages,
}: Dockerfile): ReadonlyMap<number, { readonly instruction: Instruction; readonly stage: Stage }> {
  return new Map(
    stages.flatMap((stage) =>
      [stage.from, ...stage.instructions].map((instruction: Instruction) => [
        instruction.source.startLine,
        { instruction, stage },
      ]),
    ),
  )
}

function reportRelative(
  { dockerfile, linter }: StageLintOptions,
  instruction: WorkdirInstruction,
  path: string,
): void {
  const message = `Relative workdir "${path}" can have unexpected results if the base image changes`
  linter.report('WorkdirRelativePath', {
    instruction,
    message,
    source: argumentRange(dockerfile, instruction, 0),
  })
}

/** URLs, repositories, and wildcards, which match only what is not hidden. */
function isElsewhere(path: string): boolean {
  return /[*?[]/.test(path) || isRemoteSource(path)
}

/** What is copied out of the build context; an image in the place of the context has no ignore file. */
function contextSources(
  { namedContexts }: StageLintOptions,
  state: StageState,
  instruction: CopyInstruction | AddInstruction,
): readonly ContextSource[] {
  if (instruction.kind === 'copy' && instruction.from !== null) return []
  if (namedContexts.get('context')?.kind === 'image') return []
  return instruction.sources.flatMap((word, index) => {
    const path = tryExpand(state, word, instruction.source)
    if (path === undefined || isElsewhere(path)) return []
    return [{ instruction, path, index }]
  })
}

async function askContext(
  { dockerfile, linter, context }: StageLintOptions,
  sources: readonly ContextSource[],
): Promise<void> {
  const answers = sources.map(async ({ instruction, path, index }) => {
    const rule = await context.hiddenBy(path)
    if (rule === undefined) return
    const word = instruction.keyword.toUpperCase()
    const message = `Attempting to ${word} file "${path}" that is excluded by .dockerignore (${rule})`
    // The words of heredocs stand among those of the paths.
    const isPlain = instruction.inlineFiles.length === 0
    const source = isPlain ? argumentRange(dockerfile, instruction, index) : undefined
    linter.report('CopyIgnoredFile', { instruction, message, source })
  })
  await Promise.all(answers)
}
