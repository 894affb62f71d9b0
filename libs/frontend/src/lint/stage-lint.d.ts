import { type Linter, type Stage } from '@tsbuild/dockerfile';
import type { FrontendOptions, ResolvedImage } from '../types.ts';
import type { StageObserver } from './observer.ts';
/** The rules that look on while stages are built. */
export interface StageLint extends StageObserver {
    /** The stages that were needed. */
    readonly stages: ReadonlySet<Stage>;
    /** The arguments that triggers declared. */
    readonly triggerArgs: ReadonlySet<string>;
    /** `SHELL` of the image that a stage is based on. */
    baseShell(stage: Stage): readonly string[] | undefined;
    /** Asks the context about the sources of COPY and ADD, all at once. */
    askContext(): Promise<void>;
}
/** See {@link createStageLint}. */
export interface StageLintOptions extends Pick<FrontendOptions, 'dockerfile' | 'namedContexts' | 'context'> {
    readonly linter: Linter;
    /** Whether an image stands in for one that could not be resolved, of which nothing is known. */
    readonly isUnknown: (image: ResolvedImage) => boolean;
}
/**
 * Creates the observer behind the rules that need what a stage knows: UndefinedVar, WorkdirRelativePath, CopyIgnoredFile,
 * InvalidBaseImagePlatform and FloatingBaseTag.
 *
 * @see spec/dockerfile.md 1.8
 */
export declare function createStageLint(options: StageLintOptions): StageLint;
//# sourceMappingURL=stage-lint.d.ts.map