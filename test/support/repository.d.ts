/** The absolute path of this repository. */
export declare const repository: string;
/** Every file of the repository that git tracks or would track; paths relative to the repository. */
export declare function listFiles(): readonly string[];
/** The text of a file given relative to the repository. */
export declare function readText(path: string): string;
//# sourceMappingURL=repository.d.ts.map