import { type Dockerfile, type Finding, type Instruction } from '@tsbuild/dockerfile';
import type { UnknownName } from './observer.ts';
/**
 * The finding for a variable that is not set. Undefined where its author counts on that: every use says what stands for it
 * (`${X:-y}`, `${X+y}`), or it is a proxy, which may be set or not.
 */
export declare function undefinedVar(dockerfile: Dockerfile, instruction: Instruction, { name, known }: UnknownName): Finding | undefined;
//# sourceMappingURL=undefined-var.d.ts.map