/** Where the store with `debian:bookworm` is, which tests copy. */
export declare function seedFolder(): string;
/**
 * Makes the seed store once for each build of the helper and the command: to make it takes most of a minute, and it tests
 * nothing that its copy does not.
 */
export default function makeSeed(): Promise<void>;
//# sourceMappingURL=seed-store.d.ts.map