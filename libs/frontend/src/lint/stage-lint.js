import { argumentRange, } from '@tsbuild/dockerfile';
import { isRemoteSource } from '../remote-source.js';
import { imageFindings } from './image-rules.js';
import { tryExpand } from './try-expand.js';
import { undefinedVar } from './undefined-var.js';
/**
 * Creates the observer behind the rules that need what a stage knows: UndefinedVar, WorkdirRelativePath, CopyIgnoredFile,
 * InvalidBaseImagePlatform and FloatingBaseTag.
 *
 * @see spec/dockerfile.md 1.8
 */
export function createStageLint(options) {
    const { dockerfile, linter } = options;
    const written = writtenInstructions(dockerfile);
    const stages = new Set();
    const triggerArgs = new Set();
    const images = new Map();
    const sources = [];
    /** Stages over an image of which nothing is known. */
    const unknown = new Set();
    /** Stages that, or whose bases in the file, have a WORKDIR. */
    const withWorkdir = new Set();
    const lookAt = (state, instruction) => {
        if (instruction.kind === 'workdir') {
            const path = tryExpand(state, instruction.path, instruction.source) ?? '/';
            const isFirst = !withWorkdir.has(state.stage);
            withWorkdir.add(state.stage);
            const mayBeAbsolute = unknown.has(state.stage) && instruction.path.includes('$');
            if (isFirst && !mayBeAbsolute && !path.startsWith('/'))
                reportRelative(options, instruction, path);
        }
        else if (instruction.kind === 'copy' || instruction.kind === 'add') {
            sources.push(...contextSources(options, state, instruction));
        }
    };
    return {
        stages,
        triggerArgs,
        reached: (stage) => void stages.add(stage),
        baseShell: (stage) => images.get(stage)?.config.config.shell,
        started(state, { parent, image }) {
            const { stage } = state;
            if (parent !== undefined && unknown.has(parent))
                unknown.add(stage);
            if (parent !== undefined && withWorkdir.has(parent))
                withWorkdir.add(stage);
            if (image === undefined)
                return;
            images.set(stage, image);
            if (options.isUnknown(image))
                unknown.add(stage);
            else
                for (const [rule, finding] of imageFindings(options, state, image))
                    linter.report(rule, finding);
        },
        async apply(state, instruction, run) {
            // A trigger of the base has the place of the FROM, and is nothing that could be mended in this file.
            if (written.get(instruction.source.startLine)?.instruction === instruction)
                lookAt(state, instruction);
            else if (instruction.kind === 'arg')
                for (const { name } of instruction.args)
                    triggerArgs.add(name);
            await run();
        },
        unknownName(use) {
            const place = written.get(use.source.startLine);
            if (place === undefined || place.instruction.kind === 'from' || unknown.has(place.stage))
                return;
            const finding = undefinedVar(dockerfile, place.instruction, use);
            if (finding !== undefined)
                linter.report('UndefinedVar', finding);
        },
        askContext: () => askContext(options, sources),
    };
}
/** The instructions of stages by their first line. */
function writtenInstructions({ stages, }) {
    return new Map(stages.flatMap((stage) => [stage.from, ...stage.instructions].map((instruction) => [
        instruction.source.startLine,
        { instruction, stage },
    ])));
}
function reportRelative({ dockerfile, linter }, instruction, path) {
    const message = `Relative workdir "${path}" can have unexpected results if the base image changes`;
    linter.report('WorkdirRelativePath', {
        instruction,
        message,
        source: argumentRange(dockerfile, instruction, 0),
    });
}
/** URLs, repositories, and wildcards, which match only what is not hidden. */
function isElsewhere(path) {
    return /[*?[]/.test(path) || isRemoteSource(path);
}
/** What is copied out of the build context; an image in the place of the context has no ignore file. */
function contextSources({ namedContexts }, state, instruction) {
    if (instruction.kind === 'copy' && instruction.from !== null)
        return [];
    if (namedContexts.get('context')?.kind === 'image')
        return [];
    return instruction.sources.flatMap((word, index) => {
        const path = tryExpand(state, word, instruction.source);
        if (path === undefined || isElsewhere(path))
            return [];
        return [{ instruction, path, index }];
    });
}
async function askContext({ dockerfile, linter, context }, sources) {
    const answers = sources.map(async ({ instruction, path, index }) => {
        const rule = await context.hiddenBy(path);
        if (rule === undefined)
            return;
        const word = instruction.keyword.toUpperCase();
        const message = `Attempting to ${word} file "${path}" that is excluded by .dockerignore (${rule})`;
        // The words of heredocs stand among those of the paths.
        const isPlain = instruction.inlineFiles.length === 0;
        const source = isPlain ? argumentRange(dockerfile, instruction, index) : undefined;
        linter.report('CopyIgnoredFile', { instruction, message, source });
    });
    await Promise.all(answers);
}
//# sourceMappingURL=stage-lint.js.map