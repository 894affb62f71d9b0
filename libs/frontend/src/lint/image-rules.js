import { argumentRange } from '@tsbuild/dockerfile';
import { isBuildError } from '@tsbuild/errors';
import { formatPlatform, formatReference, parseReference, withDefaultTag } from '@tsbuild/oci';
/** The findings about the image that a stage is based on: InvalidBaseImagePlatform and FloatingBaseTag. */
export function imageFindings({ dockerfile, namedContexts }, { stage, platform }, image) {
    const { from } = stage;
    const found = [];
    const add = (rule, message) => found.push([
        rule,
        {
            instruction: from,
            message,
            // FloatingBaseTag is seldom asked for, and found in most files.
            get source() {
                return argumentRange(dockerfile, from, 0);
            },
        },
    ]);
    const pulled = image.config.platform;
    if (differs(pulled, platform)) {
        const wanted = `"${formatPlatform(pulled)}", expected "${formatPlatform(platform)}" for current build`;
        add('InvalidBaseImagePlatform', `Base image ${from.image} was pulled with platform ${wanted}`);
    }
    // What a named context puts in the place of an image is its giver's choice.
    const isChosen = namedContexts.size > 0 && !isNamedBy(from.image, image.reference);
    const name = from.image.includes('$') ? image.reference : from.image;
    if (isFloating(name) && !isChosen) {
        add('FloatingBaseTag', `Base image "${from.image}" means another image after its next release. Name a version or a digest`);
    }
    return found;
}
/** Many images do not say their variant. */
function differs(pulled, wanted) {
    if (pulled.os === '' || pulled.architecture === '')
        return false;
    if (pulled.os !== wanted.os || pulled.architecture !== wanted.architecture)
        return true;
    return (pulled.variant ?? '') !== '' && (wanted.variant ?? '') !== '' && pulled.variant !== wanted.variant;
}
function isFloating(reference) {
    const parsed = tryParse(reference);
    return parsed !== undefined && parsed.digest === undefined && (parsed.tag ?? 'latest') === 'latest';
}
/** Whether FROM itself names the image, and not a named context that stands in its place. */
function isNamedBy(written, reference) {
    if (written.includes('$'))
        return true;
    const parsed = tryParse(written);
    return parsed !== undefined && formatReference(withDefaultTag(parsed)) === reference;
}
function tryParse(reference) {
    try {
        return parseReference(reference);
    }
    catch (error) {
        // `oci-layout://…`
        if (isBuildError(error) && error.code === 'ERR_REFERENCE_INVALID')
            return undefined;
        throw error;
    }
}
//# sourceMappingURL=image-rules.js.map