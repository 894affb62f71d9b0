import { resolveStage } from '@tsbuild/dockerfile';
import { proxyEnvironment } from './build-args.js';
import { createImageQuestions } from './image-questions.js';
import { lintAround } from './lint/create-lint.js';
import { prefetchImages } from './prefetch.js';
import { withSourceDate } from './source-date.js';
import { createStageBuilder } from './stage-builder.js';
/**
 * Turns the target stage of a Dockerfile, and what it needs, into a graph and an image config. Base images are resolved to
 * their manifests and configs; nothing else is read. Stages that the target does not need are not looked at. What lint finds
 * in the others becomes warnings.
 *
 * @throws {UserError} `ERR_DOCKERFILE_…`, `ERR_UNSUPPORTED`, `ERR_IMAGE_NOT_FOUND`, each with its place; `ERR_SOURCE_DATE`,
 *   `ERR_LINT`
 * @see spec/dockerfile.md 1
 */
export async function toGraph(given) {
    const target = resolveStage(given.dockerfile, given.target ?? null);
    return await lintAround(given, async (observer) => {
        const questions = createImageQuestions(given.resolveImage);
        try {
            return await convert({ ...given, resolveImage: questions.resolve }, target, observer);
        }
        finally {
            await questions.stop();
        }
    });
}
async function convert(given, target, observer) {
    const dated = await withSourceDate(given);
    const { options } = dated;
    const stages = createStageBuilder(dated, observer);
    prefetchImages(stages, [target]);
    const state = await stages.build(target);
    return {
        graph: stages.graph.build(state.rootfs),
        image: imageDraft(state, options),
        sourceDateEpoch: dated.sourceDate.seconds,
        proxyEnv: proxyEnvironment(options.buildArgs),
    };
}
function imageDraft(state, options) {
    const labels = { ...state.config.labels, ...options.labels };
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
    };
}
//# sourceMappingURL=convert.js.map