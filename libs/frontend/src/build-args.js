import { formatPlatform } from '@tsbuild/oci';
/** Names that need no ARG. Both cases are given to RUN. @see spec/dockerfile.md 1.4 */
const proxyNames = ['HTTP_PROXY', 'HTTPS_PROXY', 'FTP_PROXY', 'NO_PROXY', 'ALL_PROXY'];
/** The platform arguments of the global scope. @see spec/dockerfile.md 1.4 */
export function platformArgs(target, build) {
    const args = new Map();
    for (const [prefix, platform] of [
        ['TARGET', target],
        ['BUILD', build],
    ]) {
        args.set(`${prefix}PLATFORM`, formatPlatform(platform));
        args.set(`${prefix}OS`, platform.os);
        args.set(`${prefix}ARCH`, platform.architecture);
        args.set(`${prefix}VARIANT`, platform.variant ?? '');
        args.set(`${prefix}OSVERSION`, platform.osVersion ?? '');
    }
    return args;
}
/** A build argument as given; undefined when it is not, whatever its name is (`constructor`). */
export function buildArgOf(buildArgs, name) {
    return Object.hasOwn(buildArgs, name) ? buildArgs[name] : undefined;
}
/** The proxy variables among build arguments, in both cases. A step that declares one gets its own value in that place. */
export function proxyEnvironment(buildArgs) {
    const result = [];
    for (const name of proxyNames) {
        const value = buildArgOf(buildArgs, name) ?? buildArgOf(buildArgs, name.toLowerCase());
        if (value === undefined)
            continue;
        result.push(`${name}=${value}`, `${name.toLowerCase()}=${value}`);
    }
    return result;
}
//# sourceMappingURL=build-args.js.map