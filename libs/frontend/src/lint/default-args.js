import { argumentRange, expand } from '@tsbuild/dockerfile';
import { isBuildError } from '@tsbuild/errors';
import { parseReference } from '@tsbuild/oci';
import { globalScope } from '../arg-instruction.js';
/**
 * The findings of InvalidDefaultArgInFrom: bases whose name is nothing, or none, when no build argument is given. A variable
 * that is not declared at all is UndefinedArgInFrom's.
 */
export function invalidDefaultArgs(options) {
    const { dockerfile } = options;
    const defaults = tryUser(() => globalScope({ ...options, buildArgs: {} }));
    if (defaults === undefined)
        return [];
    const declared = new Set([
        ...defaults.keys(),
        ...dockerfile.globalArgs.flatMap(({ args }) => args.map(({ name }) => name)),
    ]);
    return dockerfile.stages.flatMap((stage) => {
        const { from } = stage;
        const names = new Set();
        const base = tryUser(() => expand(from.image, (name) => defaults.get(name), {
            escape: dockerfile.escape,
            onName: (name) => names.add(name),
        }));
        // A failing `${X?}` demands the argument.
        if (base === undefined || names.size === 0 || [...names].some((name) => !declared.has(name)))
            return [];
        if (isBaseName(base, dockerfile.stages.slice(0, stage.index)))
            return [];
        const message = `Default value for ARG ${from.image} results in empty or invalid base image name`;
        return [{ instruction: from, message, source: argumentRange(dockerfile, from, 0) }];
    });
}
function isBaseName(name, earlier) {
    const lower = name.toLowerCase();
    if (lower === 'scratch' || earlier.some((stage) => stage.name === lower))
        return true;
    return tryUser(() => parseReference(name)) !== undefined;
}
function tryUser(make) {
    try {
        return make();
    }
    catch (error) {
        if (isBuildError(error) && error.kind === 'user')
            return undefined;
        throw error;
    }
}
//# sourceMappingURL=default-args.js.map