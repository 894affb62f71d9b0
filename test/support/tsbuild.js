import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { repository } from './repository.js';
/** The built command. */
export const command = join(repository, 'node_modules', '.bin', 'tsbuild');
/**
 * The environment of every run: what programs need to work, and nothing of the developer's own settings. `HOME` is empty
 * so that no registry credentials are found by accident.
 */
export function cleanEnvironment(own = {}) {
    const kept = ['PATH', 'TMPDIR', 'LANG', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS'];
    const proxies = Object.keys(process.env).filter((name) => /^(https?|no|all|ftp)_proxy$/i.test(name));
    const passed = Object.fromEntries([...kept, ...proxies].map((name) => [name, process.env[name]]));
    return { ...passed, HOME: '/nonexistent', ...own };
}
/** Starts a program with its output collected. */
export function start(program, args, options = {}) {
    const child = spawn(program, args, {
        cwd: options.cwd,
        env: cleanEnvironment(options.env),
        stdio: ['pipe', 'pipe', 'pipe'],
    });
    child.stdin?.on('error', () => { });
    child.stdin?.end(options.input ?? '');
    let stdout = '';
    let stderr = '';
    const listeners = new Set();
    child.stdout?.setEncoding('utf8').on('data', (text) => {
        stdout += text;
    });
    child.stderr?.setEncoding('utf8').on('data', (text) => {
        stderr += text;
        for (const listener of listeners)
            listener();
    });
    const outcome = new Promise((resolve, reject) => {
        child.on('error', reject);
        child.on('close', (code, signal) => resolve({ code, signal, stdout, stderr }));
    });
    const saw = (pattern) => new Promise((resolve, reject) => {
        const look = () => {
            if (!pattern.test(stderr))
                return;
            listeners.delete(look);
            resolve();
        };
        listeners.add(look);
        look();
        outcome.then(() => reject(new Error(`${program} ended before ${pattern} was seen:\n${stderr}`)), reject);
    });
    return { child, outcome, saw };
}
/** Runs a program to its end. */
export function run(program, args, options = {}) {
    return start(program, args, options).outcome;
}
/** Runs a program that must succeed; gives its standard output. */
export async function check(program, args, options = {}) {
    const outcome = await run(program, args, options);
    if (outcome.code !== 0) {
        const { stdout, stderr } = outcome;
        throw new Error(`${program} ${args.join(' ')}: exit code ${outcome.code ?? outcome.signal}\n${stdout}\n${stderr}`);
    }
    return outcome.stdout;
}
/** The command with `root` as its store. */
export function tsbuildWith(root) {
    const withRoot = (options = {}) => ({
        ...options,
        env: { TSBUILD_ROOT: root, ...options.env },
    });
    return {
        root,
        start: (args, options) => start(command, args, withRoot(options)),
        run: (args, options) => run(command, args, withRoot(options)),
        check: (args, options) => check(command, args, withRoot(options)),
        build: async (args, options) => {
            const outcome = await run(command, ['--progress', 'json', ...args], withRoot(options));
            if (outcome.code !== 0)
                throw new Error(`tsbuild ${args.join(' ')}: exit code ${outcome.code}\n${outcome.stderr}`);
            return readSteps(outcome.stderr);
        },
    };
}
/** The vertices whose work is a step of the Dockerfile: RUN, COPY, ADD, WORKDIR. */
export const isStep = (name) => /\b(RUN|COPY|ADD|WORKDIR) /.test(name);
/** Reads the lines of `--progress json`. Only steps of the Dockerfile are listed in the result's lists. */
export function readSteps(text) {
    const events = readEvents(text);
    const names = new Map(events.flatMap((event) => (event.type === 'vertex.planned' ? [[event.vertex, event.name]] : [])));
    const named = (type) => events.flatMap((event) => {
        if (event.type !== type || !('vertex' in event))
            return [];
        const name = names.get(event.vertex) ?? event.vertex;
        return isStep(name) ? [name] : [];
    });
    return {
        events,
        executed: named('vertex.completed'),
        cached: named('vertex.cached'),
        failed: named('vertex.failed'),
    };
}
/** The lines that are events; other lines, such as an error's text, are left out. */
export function readEvents(text) {
    return text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
}
//# sourceMappingURL=tsbuild.js.map