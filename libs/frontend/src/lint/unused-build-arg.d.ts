import { type Finding } from '@tsbuild/dockerfile';
import type { FrontendOptions, FrontendWarning } from '../types.ts';
/**
 * The findings of UnusedBuildArg. BuildKit ignores such arguments silently; a mistyped name is worth a word. What the file
 * declares anywhere counts, reachable or not: an argument of another target is not mistyped.
 *
 * @param triggerArgs what triggers of base images declare
 * @see spec/cache.md 8.1
 */
export declare function unusedBuildArgs({ dockerfile, buildArgs }: Pick<FrontendOptions, 'dockerfile' | 'buildArgs'>, triggerArgs: ReadonlySet<string>): readonly Finding[];
/** Notices about build arguments that ask the builder for what it does not do yet. @see docs/reference/build-args.md */
export declare function vainBuildArgs({ buildArgs }: Pick<FrontendOptions, 'buildArgs'>): readonly FrontendWarning[];
//# sourceMappingURL=unused-build-arg.d.ts.map