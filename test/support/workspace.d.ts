import { type Tsbuild } from './tsbuild.ts';
/** Where stores live: a disk, since overlayfs refuses some of the file systems that temporary folders are on. */
export declare const storesFolder: string;
/** A folder and a store of one test file. */
export interface Workspace {
    readonly folder: string;
    readonly tsbuild: Tsbuild;
    /** Writes a build context: file name → text, with a Dockerfile among them. Gives its absolute path. */
    readonly context: (name: string, files: Readonly<Record<string, string>>) => string;
    /** A path in the folder. */
    readonly path: (...parts: readonly string[]) => string;
    readonly remove: () => Promise<void>;
}
/**
 * Makes a workspace with an empty store.
 *
 * @param name appears in the folder's name
 */
export declare function openWorkspace(name: string): Workspace;
/** Makes a workspace whose store has the image `debian:bookworm`. */
export declare function openDebianWorkspace(name: string): Promise<Workspace>;
/**
 * Makes a workspace whose store has the image `busybox:test`: a shell and the usual programs in 2 MB, made out of the
 * host's static busybox by a build `FROM scratch`.
 */
export declare function openBusyboxWorkspace(name: string): Promise<Workspace>;
/** Builds `busybox:test` into the store of a workspace. */
export declare function addBusybox(workspace: Workspace): Promise<void>;
/** Writes files below `folder`; gives `folder`. */
export declare function writeFiles(folder: string, files: Readonly<Record<string, string>>): string;
/** The text of a file, without its last newline. */
export declare function readLine(path: string): string;
/** A folder outside of every store that hostile input aims at; a test compares it before and after. */
export declare function makeCanary(): string;
//# sourceMappingURL=workspace.d.ts.map