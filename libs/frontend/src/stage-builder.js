import { parseTrigger } from '@tsbuild/dockerfile';
import { createGraphBuilder } from '@tsbuild/graph';
import { applyArgs } from './arg-instruction.js';
import { replacedStage, resolveBase } from './base.js';
import { addCopy } from './copy-instruction.js';
import { hostnameOf } from './hostname.js';
import { applyMetadata } from './metadata-instructions.js';
import { createNamedContexts } from './named-contexts.js';
import { addRun } from './run-instruction.js';
import { startState } from './stage-state.js';
import { addWorkdir } from './workdir-instruction.js';
/** Starts with no stage built. @throws {UserError} `ERR_PLATFORM_INVALID` in the name of a named context, `ERR_USAGE` */
export function createStageBuilder({ options, globals, sourceDate }, observer) {
    const built = new Map();
    const builder = {
        graph: createGraphBuilder(),
        options,
        globals,
        contexts: createNamedContexts(options.namedContexts),
        sourceDate,
        hostname: hostnameOf(options.buildArgs),
        observer,
        build(stage) {
            const known = built.get(stage);
            if (known !== undefined)
                return known;
            const state = buildStage(builder, stage);
            built.set(stage, state);
            return state;
        },
    };
    return builder;
}
async function buildStage(builder, stage) {
    const { observer } = builder;
    const replacement = await replacedStage(builder, stage);
    if (replacement !== undefined) {
        const state = startState(builder, stage, replacement, []);
        observer.started(state, startOf(replacement));
        // The triggers of the image that stands here are for the stages upon it.
        state.config = { ...state.config, onBuild: triggersOf(replacement) };
        return state;
    }
    observer.reached(stage);
    const base = await resolveBase(builder, stage);
    const triggers = triggersOf(base) ?? [];
    const instructions = [
        ...triggers.map((expression) => parseTrigger(expression, stage.from.source)),
        ...stage.instructions,
    ];
    const state = startState(builder, stage, base, instructions);
    observer.started(state, startOf(base));
    for (const instruction of instructions) {
        await observer.apply(state, instruction, () => apply(builder, state, instruction));
    }
    state.config = state.growing.into(state.config);
    return state;
}
function startOf(base) {
    return {
        parent: base.kind === 'stage' ? base.state.stage : undefined,
        image: base.kind === 'image' ? base.image : undefined,
    };
}
function triggersOf(base) {
    if (base.kind === 'image')
        return base.image.config.config.onBuild;
    return base.kind === 'stage' ? base.state.config.onBuild : undefined;
}
async function apply(builder, state, instruction) {
    switch (instruction.kind) {
        case 'from':
            return;
        case 'arg':
            return applyArgs(builder, state, instruction);
        case 'run':
            return await addRun(builder, state, instruction);
        case 'copy':
        case 'add':
            return await addCopy(builder, state, instruction);
        case 'workdir':
            return addWorkdir(builder, state, instruction);
        default:
            return applyMetadata(state, instruction);
    }
}
//# sourceMappingURL=stage-builder.js.map