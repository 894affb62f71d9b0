import { expand, resolveStage } from '@tsbuild/dockerfile'
import { isBuildError, type SourceRange } from '@tsbuild/errors'
import { globalScope } from '../arg-instruction.ts'
import type { FrontendOptions } from '../types.ts'

/** A stage that can be built. */
export interface Target {
  /** Its number, which is a target too. */
  readonly index: number
  readonly name: string | undefined
  /** Image or stage, variables expanded where they can be. */
  readonly base: string
  /** Of `FROM --platform`, likewise. */
  readonly platform: string | undefined
  readonly description: string | undefined
  /** Built where no target is given, or the one that is given. */
  readonly default: boolean
  readonly source: SourceRange
}

/**
 * Lists the stages in file order. Nothing but the file and the build arguments is read.
 *
 * @throws {UserError} `ERR_DOCKERFILE_STAGE_NOT_FOUND` if the options name a target that does not exist
 * @see spec/dockerfile.md 1.9
 */
export function targetsOf(
  options: Pick<FrontendOptions, 'dockerfile' | 'buildArgs' | 'platform' | 'buildPlatform' | 'target'>,
): readonly Target[] {
  const { dockerfile } = options
  const chosen = resolveStage(dockerfile, options.target ?? null)
  const globals = globalScope(options)
  const look = (word: string): string => {
    try {
      return expand(word, (name) => globals.get(name), { escape: dockerfile.escape })
    } catch (error) {
      if (isBuildError(error) && error.kind === 'user') return word
      throw error
    }
  }
  return dockerfile.stages.map((stage) => ({
    index: stage.index,
    name: stage.name ?? undefined,
    base: look(stage.from.image) || stage.from.image,
    platform: stage.from.platform === null ? undefined : look(stage.from.platform) || stage.from.platform,
    description: stage.from.description ?? undefined,
    default: stage === chosen,
    source: stage.from.source,
  }))
}
