import { type Mount, parseMount, type RunInstruction } from '@tsbuild/dockerfile'
import { type SourceRange, UserError } from '@tsbuild/errors'
import { resolveInImage } from './paths.ts'
import type { StageBuilder } from './stage-builder.ts'
import { namedStage, refuseLater } from './stage-reference.ts'
import type { StageState } from './stage-state.ts'

/**
 * Reads the mounts of a RUN by their own rules, so that a mistake in one is said first.
 *
 * @throws {UserError} `ERR_DOCKERFILE_MOUNT_OPTION`, `ERR_DOCKERFILE_EXPANSION`, `ERR_DOCKERFILE_CYCLE`,
 *   `ERR_DOCKERFILE_STAGE_NOT_FOUND`
 * @see spec/dockerfile.md 2.1
 */
export function checkMounts(
  { options, contexts }: StageBuilder,
  state: StageState,
  { mounts, source }: RunInstruction,
): void {
  const { stages } = options.dockerfile
  for (const flag of mounts) {
    const mount = parseMount(flag, { expand: (value) => state.scope.expand(value, source), source })
    refuseRoot(mount, state, { text: flag.text, source })
    const name = 'from' in mount ? mount.from : null
    const stage = name === null ? undefined : namedStage(stages, name, state.stage)
    if (stage === undefined || contexts.find(stage.name ?? '', options.platform) !== undefined) continue
    refuseLater(stages, stage, { reader: state.stage, source })
  }
}

function refuseRoot(
  mount: Mount,
  { config }: StageState,
  { text, source }: { readonly text: string; readonly source: SourceRange },
): void {
  // A secret and an agent have a place of their own.
  if (mount.target === null) return
  if (resolveInImage(config.workingDir ?? '/', mount.target) !== '/') return
  const message = `Cannot parse mount "${text}": invalid mount target "/"`
  throw new UserError('ERR_DOCKERFILE_MOUNT_OPTION', message, { source })
}
