import { UserError } from '@tsbuild/errors';
import { resolveInImage } from './paths.js';
import { nextStepName } from './stage-state.js';
/**
 * Sets the working directory and adds the step that makes it, 0755 and the current user's; `/` needs none.
 *
 * @see spec/dockerfile.md 1.2
 */
export function addWorkdir({ graph, sourceDate }, state, instruction) {
    const { source } = instruction;
    const path = resolveInImage(state.config.workingDir ?? '/', state.scope.expand(instruction.path, source));
    assertFits(path, source);
    state.config = { ...state.config, workingDir: path };
    const name = nextStepName(state, `WORKDIR ${path}`);
    if (path === '/') {
        state.history.push({ createdBy: 'WORKDIR /', emptyLayer: true });
        return;
    }
    const owner = state.config.user || undefined;
    const action = { kind: 'mkdir', path, mode: 0o755, owner, mtime: sourceDate.seconds };
    state.rootfs = graph.add({
        kind: 'file',
        rootfs: state.rootfs === undefined ? undefined : 0,
        owners: undefined,
        actions: [action],
    }, {
        inputs: state.rootfs === undefined ? [] : [state.rootfs],
        name,
        source,
        ignoreCache: state.ignoreCache,
    });
    state.history.push({ createdBy: `WORKDIR ${path}`, emptyLayer: false });
}
/** Without its end. @see https://man7.org/linux/man-pages/man7/path_resolution.7.html */
const longestPathBytes = 4095;
/** No process can be started in a longer path; and relative ones, each upon the last, would grow without an end. */
function assertFits(path, source) {
    const bytes = Buffer.byteLength(path);
    if (bytes <= longestPathBytes)
        return;
    throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot set the working directory: its path has ${bytes} bytes, and Linux takes no more than ${longestPathBytes}`, { source });
}
//# sourceMappingURL=workdir-instruction.js.map