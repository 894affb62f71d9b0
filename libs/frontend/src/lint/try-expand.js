import { isBuildError } from '@tsbuild/errors';
/** Expands a word; undefined where it is malformed, which the instruction itself is going to say. */
export function tryExpand({ scope }, word, source) {
    try {
        return scope.expand(word, source);
    }
    catch (error) {
        if (isBuildError(error) && error.kind === 'user')
            return undefined;
        throw error;
    }
}
//# sourceMappingURL=try-expand.js.map