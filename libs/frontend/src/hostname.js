import { UserError } from '@tsbuild/errors';
import { buildArgOf } from './build-args.js';
/** BuildKit's, so that what a build sees of its host is always the same. */
const defaultHostname = 'buildkitsandbox';
/** Linux has 64 bytes for it; it also stands in `/etc/hosts`. */
const form = /^(?=.{1,64}$)[a-z0-9](?:[a-z0-9_.-]*[a-z0-9])?$/i;
/**
 * The host name of every RUN: the build argument `BUILDKIT_SANDBOX_HOSTNAME`, else `buildkitsandbox`.
 *
 * @throws {UserError} `ERR_USAGE` for what cannot be a host name
 * @see spec/dockerfile.md 1.4, 2.2
 */
export function hostnameOf(buildArgs) {
    const given = buildArgOf(buildArgs, 'BUILDKIT_SANDBOX_HOSTNAME');
    if (given === undefined || given === '')
        return defaultHostname;
    if (form.test(given))
        return given;
    const rule = 'it has 1 to 64 letters, digits, ".", "_" and "-"';
    throw new UserError('ERR_USAGE', `Cannot use BUILDKIT_SANDBOX_HOSTNAME "${given}": ${rule}`);
}
//# sourceMappingURL=hostname.js.map