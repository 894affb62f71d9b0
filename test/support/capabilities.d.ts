import type { TestContext } from 'vitest';
/** A program of the machine, or something it can do. */
export type Capability = 'root' | 'loop devices' | 'the user tsbuild-test' | `program ${string}`;
/** Skips the running test, with the reason, unless the machine has everything named. */
export declare function needs(context: TestContext, ...capabilities: readonly Capability[]): void;
/** The path of a program in `PATH`; Debian keeps some in the folders of the administrator. */
export declare function findProgram(name: string): string | undefined;
//# sourceMappingURL=capabilities.d.ts.map