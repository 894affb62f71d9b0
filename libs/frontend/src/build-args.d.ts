import { type Platform } from '@tsbuild/oci';
/** The platform arguments of the global scope. @see spec/dockerfile.md 1.4 */
export declare function platformArgs(target: Platform, build: Platform): ReadonlyMap<string, string>;
/** A build argument as given; undefined when it is not, whatever its name is (`constructor`). */
export declare function buildArgOf(buildArgs: Readonly<Record<string, string>>, name: string): string | undefined;
/** The proxy variables among build arguments, in both cases. A step that declares one gets its own value in that place. */
export declare function proxyEnvironment(buildArgs: Readonly<Record<string, string>>): readonly string[];
//# sourceMappingURL=build-args.d.ts.map