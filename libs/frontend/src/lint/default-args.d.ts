import { type Finding } from '@tsbuild/dockerfile';
import type { FrontendOptions } from '../types.ts';
/** See {@link invalidDefaultArgs}. */
export type DefaultArgsOptions = Pick<FrontendOptions, 'dockerfile' | 'platform' | 'buildPlatform' | 'target'>;
/**
 * The findings of InvalidDefaultArgInFrom: bases whose name is nothing, or none, when no build argument is given. A variable
 * that is not declared at all is UndefinedArgInFrom's.
 */
export declare function invalidDefaultArgs(options: DefaultArgsOptions): readonly Finding[];
//# sourceMappingURL=default-args.d.ts.map