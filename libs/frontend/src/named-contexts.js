import { isBuildError } from '@tsbuild/errors';
import { familiarName, normalizePlatform, parsePlatform, parseReference } from '@tsbuild/oci';
/**
 * Sorts named contexts by name: `alpine`, `alpine:latest` and `docker.io/library/alpine` are one.
 *
 * @throws {UserError} `ERR_PLATFORM_INVALID` for a name with a malformed `::platform`
 * @see spec/dockerfile.md 1.7
 */
export function createNamedContexts(given) {
    const known = new Map();
    for (const [name, context] of given) {
        const [plain = '', platform] = name.split('::', 2);
        const key = platform === undefined ? keyOf(plain) : keyOf(plain, parsePlatform(platform));
        known.set(key, { name, context });
    }
    const main = given.get('context');
    return {
        find(name, platform) {
            if (known.size === 0)
                return undefined;
            const lower = name.toLowerCase();
            if (lower === 'scratch' || lower === 'context')
                return undefined;
            return known.get(keyOf(name, platform)) ?? known.get(keyOf(name));
        },
        main: main && { name: 'context', context: main },
    };
}
function keyOf(name, platform) {
    const plain = plainName(name);
    if (platform === undefined)
        return plain;
    const { os, architecture, variant = '', osVersion = '' } = normalizePlatform(platform);
    return [plain, os, architecture, variant, osVersion].join('::');
}
/** A stage's name need not be that of an image: then it is what it is. */
function plainName(name) {
    try {
        return familiarName(parseReference(name)).replace(/:latest$/, '');
    }
    catch (error) {
        if (isBuildError(error) && error.code === 'ERR_REFERENCE_INVALID')
            return name;
        throw error;
    }
}
//# sourceMappingURL=named-contexts.js.map