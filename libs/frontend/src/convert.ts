import { type ArgInstruction, resolveStage } from '@tsbuild/dockerfile'
import { didYouMean } from '@tsbuild/errors'
import { isPredefined, proxyEnvironment } from './build-args.ts'
import { withSourceDate } from './source-date.ts'
import { createStageBuilder } from './stage-builder.ts'
import type { StageState } from './stage-state.ts'
import type { FrontendOptions, FrontendResult, ImageDraft } from './types.ts'

/**
 * Turns the target stage of a Dockerfile, and what it needs, into a graph and an image config. Base images are resolved to
 * their manifests and configs; nothing else is read. Stages that the target does not need are not looked at.
 *
 * @throws {UserError} `ERR_DOCKERFILE_…`, `ERR_UNSUPPORTED`, `ERR_IMAGE_NOT_FOUND`, each with its place
 * @see spec/dockerfile.md 1
 */
export async function toGraph(given: FrontendOptions): Promise<FrontendResult> {
  const target = resolveStage(given.dockerfile, given.target ?? null)
  const { options, globals, sourceDate } = await withSourceDate(given)
  const stages = createStageBuilder(options, { globals, sourceDate })
  const state = await stages.build(target)
  warnUnused(options, new Set([...declaredArgs(options), ...stages.declared]))
  return {
    graph: stages.graph.build(state.rootfs),
    image: imageDraft(state, options),
    sourceDateEpoch: sourceDate.seconds,
    proxyEnv: proxyEnvironment(options.buildArgs),
  }
}

function imageDraft(state: StageState, options: FrontendOptions): ImageDraft {
  const labels = { ...state.config.labels, ...options.labels }
  return {
    platform: options.platform,
    author: state.author,
    config: {
      ...state.config,
      ...(Object.keys(labels).length === 0 ? {} : { labels }),
      workingDir: state.config.workingDir || '/',
    },
    baseHistory: state.baseHistory,
    baseCreated: state.baseCreated,
    history: state.history,
  }
}

/** What the file declares anywhere, reachable or not: an argument of another target is not mistyped. */
function declaredArgs({ dockerfile }: FrontendOptions): ReadonlySet<string> {
  const instructions = [...dockerfile.globalArgs, ...dockerfile.stages.flatMap((stage) => stage.instructions)]
  const args = instructions.filter((instruction): instruction is ArgInstruction => instruction.kind === 'arg')
  return new Set(args.flatMap((instruction) => instruction.args.map(({ name }) => name)))
}

/** BuildKit ignores them silently; a mistyped name is worth a word. @see spec/cache.md 8.1 */
function warnUnused(options: FrontendOptions, declared: ReadonlySet<string>): void {
  for (const name of Object.keys(options.buildArgs)) {
    if (declared.has(name) || isPredefined(name)) continue
    const hint = didYouMean(name, declared).join(' ')
    const message = `The build argument "${name}" is not declared by any ARG${hint === '' ? '' : `. ${hint}`}`
    options.warn({ rule: 'UnusedBuildArg', message, source: null })
  }
}
