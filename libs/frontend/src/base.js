import { expand } from '@tsbuild/dockerfile';
import { didYouMean, isBuildError, UserError, withHints, withSource } from '@tsbuild/errors';
import { parsePlatform } from '@tsbuild/oci';
import { namedStage } from './stage-reference.js';
/**
 * Finds what FROM names: an earlier stage, a named context, nothing (`scratch`) or an image.
 *
 * @throws {UserError} `ERR_REFERENCE_INVALID` for a name that expands to nothing, `ERR_PLATFORM_INVALID`,
 *   `ERR_IMAGE_NOT_FOUND`
 * @see spec/dockerfile.md 1.2, 1.6, 1.7
 */
export async function resolveBase(builder, stage) {
    const { from } = stage;
    const { stages } = builder.options.dockerfile;
    const name = expandGlobally(builder, from.image, from.source);
    if (name === '')
        throw emptyBase(stage);
    // The files of a stage are for its own platform, whatever a FROM of it says.
    const platform = platformOf(builder, stage);
    const named = namedStage(stages, name, stage);
    if (named !== undefined && named.index < stage.index) {
        const state = await builder.build(named);
        return { kind: 'stage', state, platform: state.platform };
    }
    const found = builder.contexts.find(name, platform);
    if (found !== undefined)
        return await contextBase(builder, found, platform, from.source);
    if (name.toLowerCase() === 'scratch')
        return { kind: 'empty', platform };
    const image = await resolveImage(builder, { name, platform, reader: stage, source: from.source });
    return { kind: 'image', image, platform };
}
/** A stage of this name is not built: the context stands in its place, as it is. */
export async function replacedStage(builder, stage) {
    const platform = platformOf(builder, stage);
    const found = findReplacement(builder, stage, platform);
    return found && (await contextBase(builder, found, platform, stage.from.source));
}
/** The named context that stands in the place of a stage. */
export function findReplacement(builder, stage, platform = platformOf(builder, stage)) {
    return stage.name === null ? undefined : builder.contexts.find(stage.name, platform);
}
async function contextBase(builder, { name, context }, platform, source) {
    if (context.kind === 'files')
        return { kind: 'files', name, files: addLocal(builder, name), platform };
    if (context.reference === 'scratch')
        return { kind: 'empty', platform };
    return { kind: 'image', image: await resolveContextImage(builder, context, platform, source), platform };
}
async function resolveContextImage({ options }, { reference }, platform, source) {
    try {
        return await options.resolveImage(reference, platform);
    }
    catch (error) {
        throw source === undefined ? error : withSource(error, source);
    }
}
/** The file system of a named context as a source; undefined is empty. */
export async function addContext(builder, { name, context }, platform, source) {
    if (context.kind === 'files')
        return addLocal(builder, name);
    if (context.reference === 'scratch')
        return undefined;
    return addImage(builder, await resolveContextImage(builder, context, platform, source), source);
}
function addLocal({ graph }, name) {
    const title = name === 'context' ? '[internal] load build context' : `[context ${name}] load files`;
    return graph.add({ kind: 'local', name }, { inputs: [], name: title });
}
/** The build context, or what is given in its place; undefined is empty. */
export async function addMainContext(builder, source) {
    const { contexts, options } = builder;
    if (contexts.main === undefined)
        return addLocal(builder, 'context');
    return await addContext(builder, contexts.main, options.platform, source);
}
/**
 * The vertex of an image; undefined for one without layers, which is an empty file system.
 * @param title as shown to the user; FROM and the image, if not given
 */
export function addImage({ graph }, { reference, manifest, layers }, source, title = imageTitle({ reference, manifest })) {
    if (layers.length === 0)
        return undefined;
    return graph.add({ kind: 'image', reference, manifest, layers }, { inputs: [], name: title, source });
}
/** How the step of a base image is called. */
export function imageTitle({ reference, manifest }) {
    return `FROM ${reference}@${manifest}`;
}
/** Expands a word of FROM. @throws {UserError} `ERR_DOCKERFILE_EXPANSION` */
export function expandGlobally({ globals, options }, word, source) {
    return expand(word, (name) => globals.get(name), { escape: options.dockerfile.escape, source });
}
/** That of `FROM --platform`, else of the build. @throws {UserError} `ERR_PLATFORM_INVALID` */
export function platformOf(builder, { from }) {
    if (from.platform === null)
        return builder.options.platform;
    const text = expandGlobally(builder, from.platform, from.source);
    try {
        return parsePlatform(text);
    }
    catch (error) {
        throw withSource(error, from.source);
    }
}
function emptyBase({ from }) {
    const message = `Cannot use base image "${from.image}": it expands to nothing`;
    return new UserError('ERR_REFERENCE_INVALID', message, {
        source: from.source,
        hints: ['Give the ARG a default before the first FROM, or pass it with --build-arg.'],
    });
}
/**
 * Asks for an image; a stage that could have been meant is a hint.
 *
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`, `ERR_REFERENCE_INVALID`
 */
export async function resolveImage({ options }, wanted) {
    const { name, platform, reader, source } = wanted;
    try {
        return await options.resolveImage(name, platform);
    }
    catch (error) {
        const earlier = options.dockerfile.stages.slice(0, reader.index);
        const names = earlier.map((stage) => stage.name).filter((stage) => stage !== null);
        throw withSource(withGuess(error, name, names), source);
    }
}
/** What a registry says of a name that it does not have: many refuse it as if it were a secret. */
const missingCodes = new Set(['ERR_IMAGE_NOT_FOUND', 'ERR_REGISTRY_AUTH', 'ERR_REGISTRY_UNREACHABLE']);
/** An image that cannot be had is often a stage name mistyped, or the build context meant. */
function withGuess(error, name, stages) {
    if (!isBuildError(error) || !missingCodes.has(error.code))
        return error;
    const reserved = name.toLowerCase() === 'context' ? ['The build context is what COPY reads without `--from`.'] : [];
    return withHints(error, [...reserved, ...didYouMean(name, stages)]);
}
//# sourceMappingURL=base.js.map