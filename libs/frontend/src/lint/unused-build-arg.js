import { isPredefinedArg, vainArgReason } from '@tsbuild/dockerfile';
import { didYouMean } from '@tsbuild/errors';
/** Far longer than the name of an argument. */
const longestName = 128;
/**
 * The findings of UnusedBuildArg. BuildKit ignores such arguments silently; a mistyped name is worth a word. What the file
 * declares anywhere counts, reachable or not: an argument of another target is not mistyped.
 *
 * @param triggerArgs what triggers of base images declare
 * @see spec/cache.md 8.1
 */
export function unusedBuildArgs({ dockerfile, buildArgs }, triggerArgs) {
    const args = dockerfile.instructions.filter((found) => found.kind === 'arg');
    const declared = new Set([...args.flatMap((arg) => arg.args.map(({ name }) => name)), ...triggerArgs]);
    return Object.keys(buildArgs)
        .filter((name) => !declared.has(name) && !isPredefinedArg(name))
        .map((name) => {
        const hint = didYouMean(name.slice(0, longestName), declared).join(' ');
        const message = `The build argument "${name}" is not declared by any ARG${hint === '' ? '' : `. ${hint}`}`;
        return { instruction: null, message };
    });
}
/** Notices about build arguments that ask the builder for what it does not do yet. @see docs/reference/build-args.md */
export function vainBuildArgs({ buildArgs }) {
    return Object.entries(buildArgs).flatMap(([name, value]) => {
        const reason = vainArgReason(name, value);
        if (reason === undefined)
            return [];
        const message = `The build argument "${name}" has no effect yet: ${reason}`;
        return [{ rule: 'BuildArgWithoutEffect', message, source: null }];
    });
}
//# sourceMappingURL=unused-build-arg.js.map