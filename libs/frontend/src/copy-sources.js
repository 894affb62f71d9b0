import { UserError } from '@tsbuild/errors';
import { literalPattern } from '@tsbuild/graph';
import { addMainContext } from './base.js';
import { fromName } from './from-name.js';
import { refuseRemote, remoteSource } from './remote-source.js';
/**
 * Adds the vertices that a COPY or ADD reads and says what it takes from each, in the order of its words.
 *
 * @param words the sources, variables expanded
 * @param checksum that of ADD, expanded
 * @throws {UserError} see `remoteSource`; `ERR_DOCKERFILE_SYNTAX`, `ERR_COPY_SOURCE_NOT_FOUND`
 */
export async function addSources(builder, state, instruction, { words, checksum }) {
    const remotes = words.map((word) => remoteOf(builder, instruction, word, checksum));
    refuseChecksum(instruction, remotes, checksum);
    warnOfKeepGitDir(builder, instruction, remotes);
    const groups = [];
    let open = false;
    for (const [index, word] of words.entries()) {
        const remote = remotes[index];
        const last = groups.at(-1);
        if (remote !== undefined)
            groups.push(addRemote(builder, instruction, remote));
        else if (open && last !== undefined)
            last.sources.push(word);
        else
            groups.push(await addLocal(builder, state, instruction, [word]));
        open = remote === undefined;
    }
    return groups;
}
function remoteOf({ sourceDate }, instruction, word, checksum) {
    const { source } = instruction;
    if (instruction.kind === 'copy') {
        refuseRemote(word, source);
        return undefined;
    }
    const { keepGitDir } = instruction;
    return remoteSource(word, { checksum, keepGitDir, commitTimes: sourceDate.ofContext }, source);
}
function refuseChecksum({ source }, remotes, checksum) {
    if (checksum === undefined)
        return;
    const refuse = (why) => {
        throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot use --checksum=${checksum}: ${why}`, { source });
    };
    if (remotes.length !== 1)
        refuse("checksum can't be specified for multiple sources");
    if (remotes[0] === undefined)
        refuse('checksum requires HTTP(S) or Git sources');
}
/** BuildKit says nothing. */
function warnOfKeepGitDir({ options }, instruction, remotes) {
    if (instruction.kind !== 'add' || instruction.keepGitDir === null)
        return;
    if (remotes.some((remote) => remote?.kind === 'git'))
        return;
    const message = 'ADD --keep-git-dir has no effect: no source is a git repository';
    options.warn({ rule: 'FlagWithoutEffect', message, source: instruction.source });
}
function addRemote({ graph }, instruction, op) {
    const shown = op.kind === 'http' ? op.url : `${op.remote}${op.ref === '' ? '' : `#${op.ref}`}`;
    const name = `[internal] fetch ${withoutSecrets(shown)}`;
    const input = graph.add(op, { inputs: [], name, source: instruction.source });
    if (op.kind === 'git')
        return { input, sources: ['/'], unpack: false };
    const unpack = instruction.kind === 'add' && instruction.unpack === true;
    return { input, sources: [literalPattern(op.filename)], unpack };
}
/** Neither a password nor a signed query is shown. */
const withoutSecrets = (url) => url.replace(/^(\w+:\/\/)[^/@]*@/, '$1').replace(/\?.*$/s, '');
async function addLocal(builder, state, instruction, sources) {
    const { source } = instruction;
    const from = instruction.kind === 'copy' ? instruction.from : null;
    const input = from
        ? await fromName(builder, { name: from, reader: state.stage, source })
        : await addMainContext(builder, source);
    const unpack = instruction.kind === 'add' && instruction.unpack !== false;
    return { input: input ?? addNothing(builder), sources, unpack };
}
/** What `COPY --from=scratch / /` reads. */
function addNothing({ graph }) {
    return graph.add({ kind: 'file', rootfs: undefined, owners: undefined, actions: [] }, { inputs: [], name: '[internal] no files' });
}
//# sourceMappingURL=copy-sources.js.map