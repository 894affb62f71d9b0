import { UserError } from '@tsbuild/errors';
import { addContext, addImage, findReplacement, resolveImage } from './base.js';
import { namedStage, refuseLater, stageOf } from './stage-reference.js';
/**
 * The file system that `COPY --from` names: a stage by name or number, a named context or an image; undefined is empty. A named
 * context of files is the vertex that loads them.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for a variable, `ERR_DOCKERFILE_STAGE_NOT_FOUND`, `ERR_DOCKERFILE_CYCLE`,
 *   `ERR_IMAGE_NOT_FOUND`, `ERR_REFERENCE_INVALID`
 */
export async function fromName(builder, reference) {
    if (reference.name.includes('$'))
        throw expandedFrom(reference.name, reference.source);
    return await filesOf(builder, reference, stageOf(builder.options.dockerfile.stages, reference));
}
/**
 * The same for `from` of a mount, where a number is no stage but an image.
 *
 * @throws {UserError} as {@link fromName}
 */
export async function fromMount(builder, reference) {
    const { name, reader } = reference;
    return await filesOf(builder, reference, namedStage(builder.options.dockerfile.stages, name, reader));
}
async function filesOf(builder, { name, reader, source }, stage) {
    const { platform, dockerfile } = builder.options;
    if (stage !== undefined) {
        const replacement = findReplacement(builder, stage);
        // Read as they are, without the layer that a FROM of them needs.
        if (replacement?.context.kind === 'files') {
            return await addContext(builder, replacement, platform, source);
        }
        if (replacement === undefined)
            refuseLater(dockerfile.stages, stage, { reader, source });
        return (await builder.build(stage)).rootfs;
    }
    const found = builder.contexts.find(name, platform);
    if (found !== undefined)
        return await addContext(builder, found, platform, source);
    if (name.toLowerCase() === 'scratch')
        return undefined;
    return addImage(builder, await resolveImage(builder, { name, platform, reader, source }), source);
}
/** No stage and no image has such a name. @see spec/dockerfile.md 1.3 */
function expandedFrom(name, source) {
    const message = `Cannot use --from=${name}: variable expansion is not supported for --from, define a new stage with FROM using ARG from global scope as a workaround`;
    return new UserError('ERR_DOCKERFILE_SYNTAX', message, { source });
}
//# sourceMappingURL=from-name.js.map