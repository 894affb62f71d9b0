import { posix } from 'node:path';
import { parseMount, } from '@tsbuild/dockerfile';
import { UserError } from '@tsbuild/errors';
import { buildArgOf } from './build-args.js';
import { mountedFiles } from './mounted-files.js';
import { resolveInImage } from './paths.js';
/**
 * Reads the mounts of a RUN and adds the vertices whose files they show. All mounts are read by their own rules first, so that a
 * mistake in one is said before anything is asked for.
 *
 * @param firstInput the index that the first of the inputs will have
 * @throws {UserError} `ERR_DOCKERFILE_MOUNT_OPTION`, `ERR_DOCKERFILE_EXPANSION`; see `mountedFiles`
 * @see spec/dockerfile.md 2.1
 */
export async function addMounts(builder, state, instruction, firstInput) {
    const { source } = instruction;
    const inputs = [];
    const mounts = [];
    for (const mount of inOrder(readMounts(state, instruction))) {
        const files = await mountedFiles(builder, state, mount, source);
        const input = files.input === undefined ? undefined : firstInput + inputs.push(files.input) - 1;
        mounts.push(execMount(builder, mount, { input, source: files.path }));
    }
    return { mounts, inputs };
}
function readMounts(state, { mounts, source }) {
    let agents = 0;
    return mounts.map((flag) => {
        const mount = parseMount(flag, { expand: (value) => state.scope.expand(value, source), source });
        const place = (target) => {
            const at = resolveInImage(state.config.workingDir ?? '/', target);
            if (at === '/')
                throw rootAsTarget(flag.text, target, source);
            return at;
        };
        switch (mount.type) {
            case 'secret': {
                const ofId = mount.env === null ? `/run/secrets/${posix.basename(mount.id)}` : undefined;
                const target = mount.target ?? ofId;
                return { ...mount, at: target === undefined ? undefined : place(target) };
            }
            case 'ssh': {
                const target = mount.target ?? `/run/buildkit/ssh_agent.${agents}`;
                agents++;
                return { ...mount, at: place(target) };
            }
            default:
                return { ...mount, at: place(mount.target) };
        }
    });
}
function rootAsTarget(text, target, source) {
    const message = `Cannot parse mount "${text}": invalid mount target "/"`;
    const hints = target.startsWith('/')
        ? []
        : ['WORKDIR is `/` here, and a mount without an absolute `target` is there or below: give it one.'];
    return new UserError('ERR_DOCKERFILE_MOUNT_OPTION', message, { source, hints });
}
/** The last mount of a target wins. A secret that loses its file keeps its variable. */
function inOrder(mounts) {
    const last = new Map(mounts.map((mount, index) => [mount.at, index]));
    const kept = mounts.flatMap((mount, index) => {
        if (mount.at === undefined || last.get(mount.at) === index)
            return [mount];
        return mount.type === 'secret' && mount.env !== null ? [{ ...mount, at: undefined }] : [];
    });
    return parentsFirst(kept);
}
/** Otherwise as written: the first agent is that of `SSH_AUTH_SOCK`. */
function parentsFirst(mounts) {
    const ordered = [];
    for (const mount of mounts) {
        const child = ordered.findIndex(({ at }) => mount.at !== undefined && at?.startsWith(`${mount.at}/`));
        ordered.splice(child < 0 ? ordered.length : child, 0, mount);
    }
    return ordered;
}
function execMount(builder, mount, { input, source }) {
    switch (mount.type) {
        case 'bind':
            return { kind: 'bind', input, source, target: mount.at, readOnly: mount.readOnly };
        case 'cache':
            return {
                kind: 'cache',
                id: cacheId(builder, mount),
                target: mount.at,
                input,
                source,
                readOnly: mount.readOnly,
                sharing: mount.sharing,
                mode: mount.mode ?? undefined,
                uid: mount.uid ?? undefined,
                gid: mount.gid ?? undefined,
            };
        case 'tmpfs':
            // As in BuildKit, and in the kernel, a size of 0 is no limit.
            return {
                kind: 'tmpfs',
                target: mount.at,
                sizeBytes: mount.sizeBytes || undefined,
                readOnly: mount.readOnly,
            };
        case 'secret': {
            const { id, at: target, required, env } = mount;
            const counts = mount.cache === 'content' ? { countsContent: true } : {};
            const asked = { id, target, env: env ?? undefined, required, ...counts };
            return { kind: 'secret', ...asked, ...ownership(mount, 0o400) };
        }
        case 'ssh': {
            const { id, at: target, required } = mount;
            return { kind: 'ssh', id, target, required, ...ownership(mount, 0o600) };
        }
    }
}
function ownership({ mode, uid, gid }, defaultMode) {
    return { mode: mode ?? defaultMode, uid: uid ?? 0, gid: gid ?? 0 };
}
/** Without an id the target is it, as written: a relative one is not joined to WORKDIR. @see spec/dockerfile.md 1.4, 2.1 */
function cacheId({ options }, { id, target }) {
    const namespace = buildArgOf(options.buildArgs, 'BUILDKIT_CACHE_MOUNT_NS') ?? '';
    const own = id ?? posix.normalize(target).replace(/(?<=.)\/$/, '');
    return namespace === '' ? own : `${namespace}/${own}`;
}
//# sourceMappingURL=mounts.js.map