import { isBuildError } from '@tsbuild/errors';
import { expandGlobally, findReplacement, platformOf } from './base.js';
import { mountedNames, namedStage, stageOf } from './stage-reference.js';
/**
 * Asks at once for the images of targets and of the stages that it needs, as far as their names can be told without a
 * build: not for those of triggers. What cannot be had is an error where it is needed, not here.
 */
export function prefetchImages(builder, targets) {
    const seen = new Set();
    const pending = [...targets];
    for (let stage = pending.pop(); stage !== undefined; stage = pending.pop()) {
        if (seen.has(stage))
            continue;
        seen.add(stage);
        for (const need of needsOf(builder, stage)) {
            if ('stage' in need)
                pending.push(need.stage);
            else
                builder.options.resolveImage(need.image, need.platform).catch(() => { });
        }
    }
}
function needsOf(builder, stage) {
    return unlessRefused(() => {
        const platform = platformOf(builder, stage);
        const replacement = findReplacement(builder, stage, platform);
        if (replacement !== undefined)
            return imageOf(replacement, platform);
        const read = stage.instructions.flatMap((instruction) => unlessRefused(() => needsOfStep(builder, stage, instruction)));
        return [...needOfBase(builder, stage, platform), ...read];
    });
}
/** A mistake of the file is said by the build. */
function unlessRefused(find) {
    try {
        return find();
    }
    catch (error) {
        if (isBuildError(error) && error.kind === 'user')
            return [];
        throw error;
    }
}
function needOfBase(builder, stage, platform) {
    const name = expandGlobally(builder, stage.from.image, stage.from.source);
    const named = namedStage(builder.options.dockerfile.stages, name, stage);
    if (named !== undefined && named.index < stage.index)
        return [{ stage: named }];
    return needOfName(builder, name, platform);
}
function needsOfStep(builder, reader, instruction) {
    const { dockerfile, platform } = builder.options;
    const { stages } = dockerfile;
    const needOf = (name, named) => named === undefined ? needOfName(builder, name, platform) : [{ stage: named }];
    if (instruction.kind === 'copy' && instruction.from) {
        const { from: name, source } = instruction;
        return needOf(name, stageOf(stages, { name, reader, source }));
    }
    if (instruction.kind !== 'run')
        return [];
    return mountedNames(instruction).flatMap((name) => needOf(name, namedStage(stages, name, reader)));
}
function needOfName({ contexts }, name, platform) {
    const found = contexts.find(name, platform);
    if (found !== undefined)
        return imageOf(found, platform);
    return name === '' || name.includes('$') || name.toLowerCase() === 'scratch'
        ? []
        : [{ image: name, platform }];
}
function imageOf({ context }, platform) {
    return context.kind === 'files' || context.reference === 'scratch'
        ? []
        : [{ image: context.reference, platform }];
}
//# sourceMappingURL=prefetch.js.map