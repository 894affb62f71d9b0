import { resolveStage, type Stage } from '@tsbuild/dockerfile'
import { proxyEnvironment } from './build-args.ts'
import { createImageQuestions } from './image-questions.ts'
import { lintAround } from './lint/create-lint.ts'
import type { StageObserver } from './lint/observer.ts'
import { prefetchImages } from './prefetch.ts'
import { withSourceDate } from './source-date.ts'
import { createStageBuilder } from './stage-builder.ts'
import type { StageState } from './stage-state.ts'
import type { FrontendOptions, FrontendResult, ImageDraft } from './types.ts'

/**
 * Turns the target stage of a Dockerfile, and what it needs, into a graph and an image config. Base images are resolved to
 * their manifests and configs; nothing else is read. Stages that the target does not need are not looked at. What lint finds
 * in the others becomes warnings.
 *
 * @throws {UserError} `ERR_DOCKERFILE_…`, `ERR_UNSUPPORTED`, `ERR_IMAGE_NOT_FOUND`, each with its place; `ERR_SOURCE_DATE`,
 *   `ERR_LINT`
 * @see spec/dockerfile.md 1
 */
export async function toGraph(given: FrontendOptions): Promise<FrontendResult> {
  const target = resolveStage(given.dockerfile, given.target ?? null)
  return await lintAround(given, async (observer) => {
    const questions = createImageQuestions(given.resolveImage)
    try {
      return await convert({ ...given, resolveImage: questions.resolve }, target, observer)
    } finally {
      await questions.stop()
    }
  })
}

async function convert(
  given: FrontendOptions,
  target: Stage,
  observer: StageObserver,
): Promise<FrontendResult> {
  const dated = await withSourceDate(given)
  const { options } = dated
  const stages = createStageBuilder(dated, observer)
  prefetchImages(stages, [target])
  const state = await stages.build(target)
  return {
    graph: stages.graph.build(state.rootfs),
    image: imageDraft(state, options),
    sourceDateEpoch: dated.sourceDate.seconds,
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
