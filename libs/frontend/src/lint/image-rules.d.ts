import { type Finding, type LintRuleName } from '@tsbuild/dockerfile';
import type { StageState } from '../stage-state.ts';
import type { FrontendOptions, ResolvedImage } from '../types.ts';
/** The findings about the image that a stage is based on: InvalidBaseImagePlatform and FloatingBaseTag. */
export declare function imageFindings({ dockerfile, namedContexts }: Pick<FrontendOptions, 'dockerfile' | 'namedContexts'>, { stage, platform }: StageState, image: ResolvedImage): readonly (readonly [LintRuleName, Finding])[];
//# sourceMappingURL=image-rules.d.ts.map