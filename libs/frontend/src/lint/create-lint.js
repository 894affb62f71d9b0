import { createLinter } from '@tsbuild/dockerfile';
import { isBuildError, UserError } from '@tsbuild/errors';
import { buildArgOf } from '../build-args.js';
import { invalidDefaultArgs } from './default-args.js';
import { createStageLint } from './stage-lint.js';
import { unusedBuildArgs, vainBuildArgs } from './unused-build-arg.js';
/**
 * Starts the rules over a Dockerfile that is about to be built.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for malformed check options
 * @see spec/dockerfile.md 1.8
 */
export function createLint(options, isUnknown = () => false) {
    const { dockerfile, buildArgs } = options;
    const linter = createLinter(dockerfile, buildArgOf(buildArgs, 'BUILDKIT_DOCKERFILE_CHECK'));
    const observer = createStageLint({ ...options, linter, isUnknown });
    return {
        observer,
        failsBuild: linter.failsBuild,
        notices: [
            ...linter.unknownRules.map((notice) => ({ rule: 'UnknownLintRule', ...notice })),
            ...vainBuildArgs(options),
        ],
        async finish({ stages, askContext }) {
            linter.runTextRules({ buildArgs, baseShell: observer.baseShell });
            for (const finding of unusedBuildArgs(options, observer.triggerArgs))
                linter.report('UnusedBuildArg', finding);
            for (const finding of invalidDefaultArgs(options))
                linter.report('InvalidDefaultArgInFrom', finding);
            if (askContext)
                await observer.askContext();
            return linter.warnings(stages);
        },
    };
}
/**
 * Runs the rules around the work that turns a target into a graph; their findings become warnings, also when the work fails,
 * since they may say why.
 *
 * @throws {UserError} `ERR_LINT` for findings where the check options say `error=true`; what `build` throws
 */
export async function lintAround(options, build) {
    const lint = createLint(options);
    for (const notice of lint.notices)
        options.warn(notice);
    const tell = async () => {
        // A hidden source ends its step with the same words, so a question about it is only worth its time before that.
        const askContext = lint.failsBuild;
        const found = await lint.finish({ stages: lint.observer.stages, askContext });
        for (const warning of found)
            options.warn(warning);
        return found;
    };
    let result;
    try {
        result = await build(lint.observer);
    }
    catch (error) {
        if (isBuildError(error) && error.kind === 'user' && error.code !== 'ERR_CANCELLED')
            await tell();
        throw error;
    }
    const found = await tell();
    if (lint.failsBuild && found.length > 0)
        throw violation(options, found);
    return result;
}
function violation({ dockerfile }, found) {
    const rules = [...new Set(found.map(({ rule }) => rule))];
    const message = `Cannot build "${dockerfile.file}": lint violation found for rules: ${rules.join(', ')}`;
    return new UserError('ERR_LINT', message, {
        source: found.find(({ source }) => source !== null)?.source ?? undefined,
        hints: ['`error=true` of `# check=` makes findings errors; `--check` lists them.'],
    });
}
//# sourceMappingURL=create-lint.js.map