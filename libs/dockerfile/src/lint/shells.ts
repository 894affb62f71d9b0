import type { Instruction, Stage } from '../instruction.ts'
import { findStage } from '../stages.ts'
import type { LintInput } from './finding.ts'

/**
 * The `SHELL` that is set where an instruction stands: of the stage, of the stages of the file below it, or of their base image.
 * Undefined for the default shell. A base that is named by a variable counts as an image.
 */
export function shellsOf({
  dockerfile,
  baseShell,
}: LintInput): ReadonlyMap<Instruction, readonly string[] | undefined> {
  const { stages } = dockerfile
  const at = new Map<Instruction, readonly string[] | undefined>()
  const last = new Map<Stage, readonly string[] | undefined>()
  for (const stage of stages) {
    const base = findStage(stages.slice(0, stage.index), stage.from.image)
    let shell = base?.name === stage.from.image.toLowerCase() ? last.get(base) : baseShell(stage)
    for (const instruction of stage.instructions) {
      if (instruction.kind === 'shell') shell = instruction.shell
      at.set(instruction, shell)
    }
    last.set(stage, shell)
  }
  return at
}
