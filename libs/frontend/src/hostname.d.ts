/**
 * The host name of every RUN: the build argument `BUILDKIT_SANDBOX_HOSTNAME`, else `buildkitsandbox`.
 *
 * @throws {UserError} `ERR_USAGE` for what cannot be a host name
 * @see spec/dockerfile.md 1.4, 2.2
 */
export declare function hostnameOf(buildArgs: Readonly<Record<string, string>>): string;
//# sourceMappingURL=hostname.d.ts.map