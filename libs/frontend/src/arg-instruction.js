import { expand } from '@tsbuild/dockerfile';
import { buildArgOf, platformArgs } from './build-args.js';
/** Values of the ARGs before the first FROM, and of the platform arguments. A default that is overridden is not expanded. */
export function globalScope(options) {
    const { dockerfile, buildArgs } = options;
    const values = new Map(platformArgs(options.platform, options.buildPlatform));
    values.set('TARGETSTAGE', options.target ?? dockerfile.stages.at(-1)?.name ?? 'default');
    for (const name of values.keys()) {
        const given = buildArgOf(buildArgs, name);
        if (given !== undefined)
            values.set(name, given);
    }
    const look = (name) => values.get(name);
    for (const { args, source } of dockerfile.globalArgs) {
        for (const { name, value } of args) {
            const given = buildArgOf(buildArgs, name);
            if (given !== undefined)
                values.set(name, given);
            else if (value !== null)
                values.set(name, expand(value, look, { escape: dockerfile.escape, source }));
        }
    }
    return values;
}
/** A build argument wins, then the default, then the global ARG of the same name. @see spec/dockerfile.md 1.2 */
export function applyArgs({ options, globals }, state, { args, source }) {
    const words = [];
    for (const { name, value } of args) {
        const given = buildArgOf(options.buildArgs, name);
        const fallback = () => (value === null ? globals.get(name) : state.scope.expand(value, source));
        const effective = given ?? fallback();
        state.scope.setArg(name, effective);
        words.push(effective === undefined ? name : `${name}=${effective}`);
    }
    state.history.push({ createdBy: `ARG ${words.join(' ')}`, emptyLayer: true });
}
//# sourceMappingURL=arg-instruction.js.map