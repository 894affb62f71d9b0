import { type ArgInstruction } from '@tsbuild/dockerfile';
import type { StageBuilder } from './stage-builder.ts';
import type { StageState } from './stage-state.ts';
import type { FrontendOptions } from './types.ts';
/** Values of the ARGs before the first FROM, and of the platform arguments. A default that is overridden is not expanded. */
export declare function globalScope(options: Pick<FrontendOptions, 'dockerfile' | 'buildArgs' | 'platform' | 'buildPlatform' | 'target'>): Map<string, string>;
/** A build argument wins, then the default, then the global ARG of the same name. @see spec/dockerfile.md 1.2 */
export declare function applyArgs({ options, globals }: StageBuilder, state: StageState, { args, source }: ArgInstruction): void;
//# sourceMappingURL=arg-instruction.d.ts.map