import { type LintMessage, resolveStage } from '@tsbuild/dockerfile'
import type { BuildError } from '@tsbuild/errors'
import { createLint } from '../lint/create-lint.ts'
import type { FrontendOptions } from '../types.ts'
import { createTolerance, type UnresolvedImage } from './tolerant.ts'

/** What is wrong with a Dockerfile. */
export interface Check {
  /** In file order. */
  readonly warnings: readonly LintMessage[]
  /** What would end the build: the first such place of the file. */
  readonly error: BuildError | undefined
  /** Bases that could not be asked for; the rules that need them did not run. */
  readonly unresolved: readonly UnresolvedImage[]
}

/**
 * Runs every rule over the target and what it needs, or over all stages where no target is given. Base images are resolved as
 * for a build; one whose registry cannot be asked is no error. Nothing is built.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for malformed check options, `ERR_DOCKERFILE_STAGE_NOT_FOUND`
 * @see spec/dockerfile.md 1.8, 1.9
 */
export async function checkDockerfile(given: FrontendOptions): Promise<Check> {
  const { dockerfile, target } = given
  const wanted = target === undefined ? dockerfile.stages : [resolveStage(dockerfile, target)]
  const tolerance = createTolerance(given)
  const options = { ...given, resolveImage: tolerance.resolveImage }
  const lint = createLint(options, tolerance.isUnknown)
  for (const notice of lint.notices) given.warn(notice)
  await tolerance.visit(options, wanted, lint.observer)
  const scope = target === undefined ? undefined : lint.observer.stages
  const warnings = await lint.finish({ stages: scope, askContext: true })
  return { warnings, error: firstOf(tolerance.errors), unresolved: tolerance.unresolved }
}

function firstOf(errors: readonly BuildError[]): BuildError | undefined {
  const line = ({ source }: BuildError) => source?.startLine ?? Number.POSITIVE_INFINITY
  return errors.toSorted((a, b) => (line(a) === line(b) ? 0 : line(a) - line(b)))[0]
}
