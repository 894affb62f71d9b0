import type { Instruction, Stage } from '@tsbuild/dockerfile'
import { isBuildError } from '@tsbuild/errors'
import type { Platform } from '@tsbuild/oci'
import { expandGlobally, findReplacement, platformOf } from './base.ts'
import type { FoundContext } from './named-contexts.ts'
import type { StageBuilder } from './stage-builder.ts'
import { mountedNames, namedStage, stageOf } from './stage-reference.ts'

/**
 * Asks at once for the images of targets and of the stages that it needs, as far as their names can be told without a
 * build: not for those of triggers. What cannot be had is an error where it is needed, not here.
 */
export function prefetchImages(builder: StageBuilder, targets: readonly Stage[]): void {
  const seen = new Set<Stage>()
  const pending = [...targets]
  for (let stage = pending.pop(); stage !== undefined; stage = pending.pop()) {
    if (seen.has(stage)) continue
    seen.add(stage)
    for (const need of needsOf(builder, stage)) {
      if ('stage' in need) pending.push(need.stage)
      else builder.options.resolveImage(need.image, need.platform).catch(() => {})
    }
  }
}

type Need = { readonly stage: Stage } | { readonly image: string; readonly platform: Platform }

function needsOf(builder: StageBuilder, stage: Stage): readonly Need[] {
  return unlessRefused(() => {
    const platform = platformOf(builder, stage)
    const replacement = findReplacement(builder, stage, platform)
    if (replacement !== undefined) return imageOf(replacement, platform)
    const read = stage.instructions.flatMap((instruction) =>
      unlessRefused(() => needsOfStep(builder, stage, instruction)),
    )
    return [...needOfBase(builder, stage, platform), ...read]
  })
}

/** A mistake of the file is said by the build. */
function unlessRefused(find: () => readonly Need[]): readonly Need[] {
  try {
    return find()
  } catch (error) {
    if (isBuildError(error) && error.kind === 'user') return []
    throw error
  }
}

function needOfBase(builder: StageBuilder, stage: Stage, platform: Platform): readonly Need[] {
  const name = expandGlobally(builder, stage.from.image, stage.from.source)
  const named = namedStage(builder.options.dockerfile.stages, name, stage)
  if (named !== undefined && named.index < stage.index) return [{ stage: named }]
  return needOfName(builder, name, platform)
}

function needsOfStep(builder: StageBuilder, reader: Stage, instruction: Instruction): readonly Need[] {
  const { dockerfile, platform } = builder.options
  const { stages } = dockerfile
  const needOf = (name: string, named: Stage | undefined): readonly Need[] =>
    named === undefined ? needOfName(builder, name, platform) : [{ stage: named }]
  if (instruction.kind === 'copy' && instruction.from) {
    const { from: name, source } = instruction
    return needOf(name, stageOf(stages, { name, reader, source }))
  }
  if (instruction.kind !== 'run') return []
  return mountedNames(instruction).flatMap((name) => needOf(name, namedStage(stages, name, reader)))
}

function needOfName({ contexts }: StageBuilder, name: string, platform: Platform): readonly Need[] {
  const found = contexts.find(name, platform)
  if (found !== undefined) return imageOf(found, platform)
  return name === '' || name.includes('$') || name.toLowerCase() === 'scratch'
    ? []
    : [{ image: name, platform }]
}

function imageOf({ context }: FoundContext, platform: Platform): readonly Need[] {
  return context.kind === 'files' || context.reference === 'scratch'
    ? []
    : [{ image: context.reference, platform }]
}
