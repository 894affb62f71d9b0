import { findStage } from '@tsbuild/dockerfile';
import { UserError } from '@tsbuild/errors';
/**
 * The stage of this number or name; undefined for a name that no stage has.
 *
 * @throws {UserError} `ERR_DOCKERFILE_STAGE_NOT_FOUND` for a number that no stage has
 * @see spec/dockerfile.md 1.6
 */
export function stageOf(stages, { name, reader, source }) {
    if (/^-?\d+$/.test(name)) {
        const stage = stages[Number(name)];
        if (stage !== undefined)
            return stage;
        const count = stages.length === 1 ? 'one stage, 0' : `${stages.length} stages, 0 to ${stages.length - 1}`;
        const message = `Cannot copy from stage "${name}": invalid stage index, the file has ${count}`;
        throw new UserError('ERR_DOCKERFILE_STAGE_NOT_FOUND', message, { source });
    }
    return namedStage(stages, name, reader);
}
/** The last stage of this name before the reader; else the last one of all, which comes too late. */
export function namedStage(stages, name, reader) {
    const named = namesOf(stages).get(name.toLowerCase()) ?? [];
    return named.findLast((stage) => stage.index < reader.index) ?? named.at(-1);
}
const known = new WeakMap();
/** Each name's stages in their order. A file may have thousands, which all name others. */
function namesOf(stages) {
    const found = known.get(stages);
    if (found !== undefined)
        return found;
    const names = new Map();
    for (const stage of stages) {
        if (stage.name === null)
            continue;
        const same = names.get(stage.name) ?? [];
        names.set(stage.name, same);
        same.push(stage);
    }
    known.set(stages, names);
    return names;
}
/** @throws {UserError} `ERR_DOCKERFILE_CYCLE`, `ERR_DOCKERFILE_STAGE_NOT_FOUND` for a stage that is not before its reader */
export function refuseLater(stages, named, { reader, source }) {
    if (named.index < reader.index)
        return;
    const label = (stage) => stage.name ?? String(stage.index);
    if (dependsOn(stages, named, reader, new Set())) {
        const message = `Cannot copy from stage "${label(named)}": circular dependency detected on stage "${label(reader)}"`;
        throw new UserError('ERR_DOCKERFILE_CYCLE', message, { source });
    }
    const message = `Cannot copy from stage "${label(named)}": it needs to be defined before current stage "${label(reader)}"`;
    throw new UserError('ERR_DOCKERFILE_STAGE_NOT_FOUND', message, { source });
}
/** Whether a stage is, or is based on, copies from or mounts another one. */
function dependsOn(stages, stage, other, seen) {
    if (stage === other)
        return true;
    if (seen.has(stage))
        return false;
    seen.add(stage);
    const base = stages.slice(0, stage.index).findLast(({ name }) => name === stage.from.image.toLowerCase());
    const read = stage.instructions.flatMap((instruction) => namesIn(instruction).map((name) => findStage(stages, name)));
    return [base, ...read].some((found) => found !== undefined && dependsOn(stages, found, other, seen));
}
function namesIn(instruction) {
    if (instruction.kind === 'copy')
        return instruction.from === null ? [] : [instruction.from];
    // A mount takes names only: a number is an image.
    return instruction.kind === 'run' ? mountedNames(instruction).filter((name) => !/^\d+$/.test(name)) : [];
}
/** What the mounts of a RUN say after `from=`. */
export function mountedNames({ mounts }) {
    const fields = mounts.flatMap((mount) => mount.fields);
    return fields.flatMap(({ key, value }) => (key === 'from' && value ? [value] : []));
}
//# sourceMappingURL=stage-reference.js.map