import { type LintMessage, type Stage } from '@tsbuild/dockerfile';
import type { FrontendOptions, FrontendWarning, ResolvedImage } from '../types.ts';
import { type StageLint } from './stage-lint.ts';
/** All rules over one Dockerfile. */
export interface Lint {
    /** To be told of the stages while they are built. */
    readonly observer: StageLint;
    /**
     * Runs the remaining rules.
     *
     * @param stages those that count; undefined for all
     * @returns what was found, in file order
     */
    finish(options: LintScope): Promise<readonly LintMessage[]>;
    /** `error=true` of the check options. */
    readonly failsBuild: boolean;
    /** Notices about the check options and build arguments themselves, which are no findings. */
    readonly notices: readonly FrontendWarning[];
}
/** See {@link Lint.finish}. */
export interface LintScope {
    readonly stages: ReadonlySet<Stage> | undefined;
    /** Asks the context which sources it hides. */
    readonly askContext: boolean;
}
/** What {@link createLint} needs of a build. */
export type LintOptions = Pick<FrontendOptions, 'dockerfile' | 'buildArgs' | 'platform' | 'buildPlatform' | 'target' | 'namedContexts' | 'context'>;
/**
 * Starts the rules over a Dockerfile that is about to be built.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for malformed check options
 * @see spec/dockerfile.md 1.8
 */
export declare function createLint(options: LintOptions, isUnknown?: (image: ResolvedImage) => boolean): Lint;
/**
 * Runs the rules around the work that turns a target into a graph; their findings become warnings, also when the work fails,
 * since they may say why.
 *
 * @throws {UserError} `ERR_LINT` for findings where the check options say `error=true`; what `build` throws
 */
export declare function lintAround<T>(options: LintOptions & Pick<FrontendOptions, 'warn'>, build: (observer: StageLint) => Promise<T>): Promise<T>;
//# sourceMappingURL=create-lint.d.ts.map