import { didYouMean, UserError } from '@tsbuild/errors'
import type { ArgInstruction, Dockerfile, FromInstruction, Instruction, Stage } from './instruction.ts'

/** An instruction as it stands in a stage. */
type StageInstruction = Exclude<Instruction, FromInstruction>

/**
 * Sorts instructions into global `ARG`s and stages.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for another instruction than `ARG` before the first `FROM`
 */
export function groupStages(instructions: readonly Instruction[]): {
  readonly globalArgs: readonly ArgInstruction[]
  readonly stages: readonly Stage[]
} {
  const globalArgs: ArgInstruction[] = []
  const stages: (Stage & { readonly instructions: StageInstruction[] })[] = []
  for (const instruction of instructions) {
    const current = stages.at(-1)
    if (instruction.kind === 'from') {
      stages.push({ index: stages.length, name: instruction.stageName, from: instruction, instructions: [] })
    } else if (current !== undefined) {
      current.instructions.push(instruction)
    } else if (instruction.kind === 'arg') {
      globalArgs.push(instruction)
    } else {
      const word = instruction.keyword.toUpperCase()
      throw new UserError(
        'ERR_DOCKERFILE_SYNTAX',
        `Cannot place ${word}: no build stage in current context`,
        {
          source: instruction.source,
          hints: ['Begin with `FROM`; only `ARG` may stand before it.'],
        },
      )
    }
  }
  return { globalArgs, stages }
}

/** The stage of a name in any case (the last one of that name), or of an index in decimal; undefined when there is none. */
export function findStage(stages: readonly Stage[], nameOrIndex: string): Stage | undefined {
  const name = nameOrIndex.toLowerCase()
  const named = stages.findLast((stage) => stage.name === name)
  if (named !== undefined || !/^\d+$/.test(nameOrIndex)) return named
  return stages[Number(nameOrIndex)]
}

/**
 * The stage to build.
 *
 * @param target a stage's name in any case, or its index; null for the last stage
 * @throws {UserError} `ERR_DOCKERFILE_STAGE_NOT_FOUND` when there is no such stage
 * @see spec/dockerfile.md 1.6
 */
export function resolveStage(dockerfile: Dockerfile, target: string | null): Stage {
  const { file, stages } = dockerfile
  const stage = target === null ? stages.at(-1) : findStage(stages, target)
  if (stage !== undefined) return stage
  const names = stages.map(({ name }) => name).filter((name) => name !== null)
  const written = target ?? ''
  const guess = didYouMean(written.slice(0, 128), names)
  throw new UserError(
    'ERR_DOCKERFILE_STAGE_NOT_FOUND',
    `Cannot build target "${written}": ${file} has no stage of this name`,
    { hints: guess.length > 0 ? guess : [stagesHint(names)] },
  )
}

function stagesHint(names: readonly string[]): string {
  if (names.length === 0) return 'No stage has a name; give it one with `FROM image AS name`.'
  const all = [...new Set(names)]
  const shown = all.slice(0, 20).map((name) => `\`${name}\``)
  return `Its stages: ${shown.join(', ')}${all.length > shown.length ? ', …' : ''}.`
}
