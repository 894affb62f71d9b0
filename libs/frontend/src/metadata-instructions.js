import { parseExposePort, parseSignal } from '@tsbuild/dockerfile';
import { UserError } from '@tsbuild/errors';
import { argvOf, history } from './history.js';
const defaultShell = ['/bin/sh', '-c'];
/** The shell of a stage. */
export function shellOf(state) {
    return state.config.shell ?? defaultShell;
}
/** Applies one instruction to the config of its stage and notes it in the history. @see spec/dockerfile.md 1.2 */
export function applyMetadata(state, instruction) {
    state.history.push({ createdBy: change(state, instruction), emptyLayer: true });
}
function change(state, instruction) {
    const { source } = instruction;
    switch (instruction.kind) {
        case 'env':
            return applyEnv(state, instruction);
        case 'label':
            return applyLabel(state, instruction);
        case 'cmd': {
            const cmd = argvOf(instruction.command, shellOf(state));
            state.config = { ...state.config, cmd };
            state.hasOwnCmd = true;
            return history.command('CMD', cmd);
        }
        case 'entrypoint': {
            const entrypoint = argvOf(instruction.command, shellOf(state));
            // A CMD of the base belongs to the base's ENTRYPOINT.
            const cmd = state.hasOwnCmd ? state.config.cmd : undefined;
            state.config = { ...state.config, entrypoint, cmd };
            return history.command('ENTRYPOINT', entrypoint);
        }
        case 'expose':
            return applyExpose(state, instruction);
        case 'volume': {
            const paths = instruction.paths.map((path) => state.scope.expand(path, source));
            if (paths.includes(''))
                throw emptyVolume(source);
            state.growing.addVolumes(paths);
            return history.list('VOLUME', paths);
        }
        case 'user': {
            const user = state.scope.expand(instruction.user, source);
            state.config = { ...state.config, user };
            return `USER ${user}`;
        }
        case 'shell':
            state.config = { ...state.config, shell: instruction.shell };
            return history.list('SHELL', instruction.shell);
        case 'stopsignal': {
            const stopSignal = state.scope.expand(instruction.signal, source);
            parseSignal(stopSignal, source);
            state.config = { ...state.config, stopSignal };
            return `STOPSIGNAL ${stopSignal}`;
        }
        case 'healthcheck':
            return applyHealthcheck(state, instruction);
        case 'onbuild':
            state.growing.addTrigger(instruction.expression);
            return `ONBUILD ${instruction.expression}`;
        case 'maintainer':
            state.author = instruction.name;
            return `MAINTAINER ${instruction.name}`;
    }
}
/** Every value sees the variables as they were before the instruction: `ENV a=1 b=$a` uses the old `a`. */
function applyEnv(state, { pairs, source }) {
    const expanded = pairs.map(({ key, value }) => [state.scope.expand(key, source), state.scope.expand(value, source)]);
    for (const [name, value] of expanded) {
        state.scope.setEnv(name, value);
        state.growing.setEnv(name, value);
    }
    return `ENV ${expanded.map(([name, value]) => `${name}=${value}`).join(' ')}`;
}
function applyLabel(state, { pairs, source }) {
    const expanded = pairs.map(({ key, value }) => [state.scope.expand(key, source), state.scope.expand(value, source)]);
    for (const [name, value] of expanded)
        state.growing.setLabel(name, value);
    return `LABEL ${expanded.map(([name, value]) => `${name}=${value}`).join(' ')}`;
}
function applyExpose(state, { ports, source }) {
    const words = ports.flatMap((port) => state.scope.expandWords(port, source));
    const exposed = words
        .flatMap((word) => parseExposePort(word, source))
        .map(({ port, protocol }) => `${port}/${protocol}`);
    exposed.sort();
    state.growing.addPorts(exposed);
    return history.list('EXPOSE', exposed);
}
function applyHealthcheck(state, { command, options }) {
    if (command === null) {
        state.config = { ...state.config, healthcheck: { test: ['NONE'] } };
        return history.healthcheck({ test: ['NONE'] });
    }
    const test = command.form === 'exec' ? ['CMD', ...command.args] : ['CMD-SHELL', command.text];
    const healthcheck = {
        test,
        intervalNs: options.intervalNs || undefined,
        timeoutNs: options.timeoutNs || undefined,
        startPeriodNs: options.startPeriodNs || undefined,
        startIntervalNs: options.startIntervalNs || undefined,
        retries: options.retries || undefined,
    };
    state.config = { ...state.config, healthcheck };
    return history.healthcheck(healthcheck);
}
function emptyVolume(source) {
    return new UserError('ERR_DOCKERFILE_SYNTAX', 'Cannot declare a volume: its path expands to nothing', {
        source,
    });
}
//# sourceMappingURL=metadata-instructions.js.map