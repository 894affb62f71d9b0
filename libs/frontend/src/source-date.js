import { expand, } from '@tsbuild/dockerfile';
import { UserError } from '@tsbuild/errors';
import { globalScope } from './arg-instruction.js';
import { buildArgOf } from './build-args.js';
import { createNamedContexts } from './named-contexts.js';
import { remoteSource } from './remote-source.js';
const name = 'SOURCE_DATE_EPOCH';
/** The last second that RFC 3339 can write. */
const maxSeconds = 253_402_300_799;
/**
 * Finds what `SOURCE_DATE_EPOCH` says, given as a build argument or as a global ARG: a number, `context`, a named context
 * or a source-only stage. Stages see the number; where no date is known they see none.
 *
 * @throws {UserError} `ERR_SOURCE_DATE`
 * @see spec/dockerfile.md 1.4
 */
export async function withSourceDate(given) {
    const globals = globalScope(given);
    const argument = buildArgOf(given.buildArgs, name);
    const value = argument ?? globals.get(name) ?? '';
    const declared = given.dockerfile.globalArgs.find(({ args }) => args.some((arg) => arg.name === name));
    const source = argument === undefined ? declared?.source : undefined;
    const seconds = value === '' ? undefined : await secondsOf(given, globals, { value, source });
    const sourceDate = { seconds, ofContext: value === 'context' };
    const { [name]: _, ...others } = given.buildArgs;
    const isGlobal = globals.delete(name);
    if (seconds === undefined)
        return { options: { ...given, buildArgs: others }, globals, sourceDate };
    const text = String(seconds);
    if (isGlobal)
        globals.set(name, text);
    const buildArgs = argument === undefined ? others : { ...others, [name]: text };
    return { options: { ...given, buildArgs }, globals, sourceDate };
}
/** For looking at a file without asking anything for a date. */
export function withoutSourceDate(options) {
    return { options, globals: globalScope(options), sourceDate: { seconds: undefined, ofContext: false } };
}
async function secondsOf(options, globals, { value, source }) {
    if (/^[+-]?\d+$/.test(value))
        return checked(Number(value), { value, source });
    const contexts = createNamedContexts(options.namedContexts);
    const found = value === 'context' ? contexts.main : contexts.find(value, options.platform);
    // An image has been made at some time, but of no source that could tell it.
    if (found?.context.kind === 'image')
        return undefined;
    if (found !== undefined || value === 'context') {
        return checked(await options.context.sourceDate(found?.name ?? 'context'), { value, source });
    }
    const stage = options.dockerfile.stages.find((each) => each.name === value.toLowerCase());
    if (stage !== undefined) {
        const op = onlySourceOf(stage, options, globals);
        return checked(await options.context.remoteDate(op), { value, source });
    }
    throw new UserError('ERR_SOURCE_DATE', `Cannot use ${name} "${value}": invalid ${name}`, {
        source,
        hints: [
            'Give Unix seconds, `context`, a named context, or a stage that only adds one URL or repository.',
        ],
    });
}
function checked(seconds, { value, source }) {
    if (seconds === undefined || (seconds >= 0 && seconds <= maxSeconds))
        return seconds;
    const message = `Cannot use ${name} "${value}": expected a time between 1970 and 9999, in Unix seconds`;
    throw new UserError('ERR_SOURCE_DATE', message, { source });
}
/** What a stage fetches that is there to be dated: `FROM scratch`, one ADD of a URL or repository, and ARGs for it. */
function onlySourceOf(stage, options, globals) {
    const escapeToken = options.dockerfile.escape;
    const values = new Map(globals);
    values.delete(name);
    const look = (word, source) => expand(word, (key) => values.get(key), { escape: escapeToken, source });
    if (look(stage.from.image, stage.from.source) !== 'scratch') {
        throw notSourceOnly(stage, 'it must be FROM scratch', stage.from);
    }
    let only;
    for (const instruction of stage.instructions) {
        if (instruction.kind === 'arg')
            applyArgs(instruction, values, options, look);
        else if (instruction.kind !== 'add' || only !== undefined) {
            throw notSourceOnly(stage, 'it must contain exactly one remote ADD, and ARG, and nothing else', instruction);
        }
        else
            only = instruction;
    }
    if (only === undefined)
        throw notSourceOnly(stage, 'it must contain exactly one remote ADD', stage.from);
    return remoteOf(stage, only, look);
}
function applyArgs({ args, source }, values, { buildArgs }, look) {
    for (const arg of args) {
        const value = buildArgOf(buildArgs, arg.name) ?? (arg.value === null ? undefined : look(arg.value, source));
        if (value !== undefined)
            values.set(arg.name, value);
    }
}
function remoteOf(stage, add, look) {
    const [word, ...others] = add.sources;
    if (word === undefined || others.length > 0 || add.inlineFiles.length > 0) {
        throw notSourceOnly(stage, 'its ADD must have exactly one remote source', add);
    }
    const checksum = add.checksum === null ? undefined : look(add.checksum, add.source) || undefined;
    const { keepGitDir, source } = add;
    const op = remoteSource(look(word, source), { checksum, keepGitDir, commitTimes: false }, source);
    if (op === undefined)
        throw notSourceOnly(stage, 'its ADD must have an HTTP(S) or Git source', add);
    return op;
}
function notSourceOnly(stage, why, { source }) {
    const message = `Cannot use ${name} "${stage.name}": a stage that dates the image does nothing else, ${why}`;
    return new UserError('ERR_SOURCE_DATE', message, { source });
}
//# sourceMappingURL=source-date.js.map