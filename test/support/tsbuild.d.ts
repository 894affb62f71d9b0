import { type ChildProcess } from 'node:child_process';
import type { BuildEvent } from '@tsbuild/events';
/** The built command. */
export declare const command: string;
/** How a run of a program ended. */
export interface Outcome {
    /** Null when a signal ended it. */
    readonly code: number | null;
    readonly signal: NodeJS.Signals | null;
    readonly stdout: string;
    readonly stderr: string;
}
/** Where and how to run. */
export interface RunOptions {
    readonly cwd?: string;
    readonly env?: Readonly<Record<string, string | undefined>>;
    readonly input?: string | Uint8Array;
}
/** A program that is running. */
export interface Running {
    readonly child: ChildProcess;
    readonly outcome: Promise<Outcome>;
    /** Resolves when standard error matches; rejects with the output when the program ends before. */
    readonly saw: (pattern: RegExp) => Promise<void>;
}
/**
 * The environment of every run: what programs need to work, and nothing of the developer's own settings. `HOME` is empty
 * so that no registry credentials are found by accident.
 */
export declare function cleanEnvironment(own?: RunOptions['env']): Record<string, string | undefined>;
/** Starts a program with its output collected. */
export declare function start(program: string, args: readonly string[], options?: RunOptions): Running;
/** Runs a program to its end. */
export declare function run(program: string, args: readonly string[], options?: RunOptions): Promise<Outcome>;
/** Runs a program that must succeed; gives its standard output. */
export declare function check(program: string, args: readonly string[], options?: RunOptions): Promise<string>;
/** The command on one store. */
export interface Tsbuild {
    readonly root: string;
    /** Starts the command. */
    readonly start: (args: readonly string[], options?: RunOptions) => Running;
    /** Runs the command to its end. */
    readonly run: (args: readonly string[], options?: RunOptions) => Promise<Outcome>;
    /** Runs the command, which must succeed; gives its standard output. */
    readonly check: (args: readonly string[], options?: RunOptions) => Promise<string>;
    /** Builds with `--progress json`; must succeed. */
    readonly build: (args: readonly string[], options?: RunOptions) => Promise<Steps>;
}
/** The command with `root` as its store. */
export declare function tsbuildWith(root: string): Tsbuild;
/** What happened to the vertices of a build, by name. */
export interface Steps {
    readonly events: readonly BuildEvent[];
    readonly executed: readonly string[];
    readonly cached: readonly string[];
    readonly failed: readonly string[];
}
/** The vertices whose work is a step of the Dockerfile: RUN, COPY, ADD, WORKDIR. */
export declare const isStep: (name: string) => boolean;
/** Reads the lines of `--progress json`. Only steps of the Dockerfile are listed in the result's lists. */
export declare function readSteps(text: string): Steps;
/** The lines that are events; other lines, such as an error's text, are left out. */
export declare function readEvents(text: string): readonly BuildEvent[];
//# sourceMappingURL=tsbuild.d.ts.map