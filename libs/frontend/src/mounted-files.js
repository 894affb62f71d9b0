import { redact, UserError } from '@tsbuild/errors';
import { literalPattern } from '@tsbuild/graph';
import { addMainContext } from './base.js';
import { fromMount } from './from-name.js';
import { resolveInImage } from './paths.js';
const nothing = { input: undefined, path: '/' };
/**
 * Adds the file system that a bind shows or that a cache is made of. Of a context, which the process must not see as it is, it
 * is a copy of what is mounted.
 *
 * @throws {UserError} `ERR_MOUNT_SOURCE_INVALID` for a source in nothing; see `fromMount`
 * @see spec/dockerfile.md 2.1, docs/adr/0014-run-mounts.md
 */
export async function mountedFiles(builder, state, mount, source) {
    if (mount.type !== 'bind' && mount.type !== 'cache')
        return nothing;
    const path = resolveInImage('/', mount.source);
    const input = await rootOf(builder, state, mount, source);
    if (input === undefined) {
        if (mount.type === 'bind' && path !== '/')
            throw sourceInNothing(mount, source);
        return { input, path };
    }
    if (builder.graph.get(input).op.kind !== 'local')
        return { input, path };
    return copyOf(builder, state, { input, path }, source);
}
async function rootOf(builder, { stage: reader }, { type, from: name }, source) {
    if (name !== null)
        return await fromMount(builder, { name, reader, source });
    return type === 'cache' ? undefined : await addMainContext(builder, source);
}
/** Where the copy of a part lies: a place of its own, so that a file, a directory and what a symlink leads to go there alike. */
const placeOfPart = '/source';
function copyOf({ graph }, { ignoreCache }, { input, path }, source) {
    const dest = path === '/' ? '/' : placeOfPart;
    const copy = {
        kind: 'copy',
        input: 0,
        sources: [path === '/' ? '/' : literalPattern(path.slice(1))],
        dest,
        exclude: [],
        parents: false,
        chown: undefined,
        chmod: undefined,
        unpack: false,
    };
    const [label] = graph.get(input).name.split('] ');
    const op = { kind: 'file', rootfs: undefined, owners: undefined, actions: [copy] };
    const name = `${label}] mount ${redact(path)}`;
    return { input: graph.add(op, { inputs: [input], name, source, ignoreCache }), path: dest };
}
function sourceInNothing({ from, source: path }, source) {
    const message = `Cannot mount "${path}": it is not in "${from ?? 'context'}", which is empty`;
    return new UserError('ERR_MOUNT_SOURCE_INVALID', message, { source });
}
//# sourceMappingURL=mounted-files.js.map