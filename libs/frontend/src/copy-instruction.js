import { redact, UserError } from '@tsbuild/errors';
import { addSources } from './copy-sources.js';
import { checkMode } from './mode.js';
import { copyDestination, isFileName } from './paths.js';
import { nextStepName } from './stage-state.js';
/**
 * Adds the step of a COPY or ADD. With `--link` it is a layer on nothing and a merge.
 *
 * @throws {UserError} `ERR_MODE_INVALID`, `ERR_PATH_INVALID`, see `addSources`
 * @see spec/dockerfile.md 3, docs/adr/0010-link-is-a-merge.md
 */
export async function addCopy(builder, state, instruction) {
    const { source } = instruction;
    const words = expandWords(state, instruction);
    if (words.chmod !== undefined)
        checkMode(words.chmod, source);
    const ground = groundOf(state, instruction, words);
    const copied = await copyActions(builder, state, instruction, {
        words,
        firstInput: ground.inputs.length,
    });
    const inlined = inlineActions(builder, state, instruction, words);
    const name = nextStepName(state, instruction.original);
    const copy = builder.graph.add({ kind: 'file', rootfs: ground.rootfs, owners: ground.owners, actions: [...copied.actions, ...inlined] }, { inputs: [...ground.inputs, ...copied.inputs], name, source, ignoreCache: state.ignoreCache });
    state.rootfs =
        instruction.link && state.rootfs !== undefined
            ? builder.graph.add({ kind: 'merge' }, { inputs: [state.rootfs, copy], name: linkName(name), source })
            : copy;
    state.history.push({ createdBy: createdBy(instruction, words), emptyLayer: false });
}
function expandWords(state, instruction) {
    const word = (text) => state.scope.expand(text, instruction.source);
    const flag = (text) => (text === null ? undefined : word(text) || undefined);
    return {
        sources: instruction.sources.map(word),
        destination: word(instruction.destination),
        chown: flag(instruction.chown),
        chmod: flag(instruction.chmod),
        checksum: instruction.kind === 'add' ? flag(instruction.checksum) : undefined,
    };
}
/** Of `--link` the layer must be the same upon every base: the stage is an input only where names need one. */
function groundOf({ rootfs }, { link }, { chown }) {
    if (rootfs === undefined)
        return { rootfs: undefined, owners: undefined, inputs: [] };
    if (!link)
        return { rootfs: 0, owners: undefined, inputs: [rootfs] };
    const byName = chown !== undefined && !/^\d+(?::\d+)?$/.test(chown);
    return { rootfs: undefined, owners: byName ? 0 : undefined, inputs: byName ? [rootfs] : [] };
}
async function copyActions(builder, state, instruction, { words, firstInput }) {
    const { sources, checksum, chown, chmod } = words;
    const groups = await addSources(builder, state, instruction, { words: sources, checksum });
    const dest = destinationOf(state, words);
    const { exclude } = instruction;
    const parents = instruction.kind === 'copy' && instruction.parents;
    const actions = groups.map((group, index) => {
        const common = { kind: 'copy', dest, exclude, parents, chown, chmod };
        return { ...common, input: firstInput + index, sources: group.sources, unpack: group.unpack };
    });
    return { inputs: groups.map(({ input }) => input), actions };
}
/** Heredocs come after the paths, as in BuildKit. */
function inlineActions({ sourceDate }, state, { inlineFiles, source }, words) {
    return inlineFiles.map(({ name, content, expand }) => {
        if (!isFileName(name)) {
            const message = `Cannot make file "${name}": the word of a heredoc must be a file's name`;
            throw new UserError('ERR_PATH_INVALID', message, { source });
        }
        return {
            kind: 'mkfile',
            name,
            dest: destinationOf(state, words),
            content: expand ? state.scope.expandHeredoc(content, source) : content,
            owner: words.chown,
            chmod: words.chmod,
            mtime: sourceDate.seconds,
        };
    });
}
function destinationOf(state, { destination }) {
    return copyDestination(state.config.workingDir ?? '/', destination);
}
/** `[2/3] LINK COPY …` */
const linkName = (name) => name.replace(/^(\[[^\]]*\] )/, '$1LINK ');
/**
 * With words as written, variables expanded, and without the credentials of URLs: images are published. Of the flags those that BuildKit writes.
 *
 * @see spec/dockerfile.md 1.6
 */
function createdBy(instruction, words) {
    const text = [instruction.kind.toUpperCase()];
    if (instruction.kind === 'copy' && instruction.parents)
        text.push('--parents');
    if (words.chown !== undefined)
        text.push(`--chown=${words.chown}`);
    if (words.chmod !== undefined)
        text.push(`--chmod=${words.chmod}`);
    const inline = instruction.inlineFiles.map(({ name }) => `<<${name}`);
    return [...text, ...words.sources.map(redact), ...inline, words.destination, '# buildkit'].join(' ');
}
//# sourceMappingURL=copy-instruction.js.map