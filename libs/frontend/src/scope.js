import { expand, expandHeredoc, expandWords } from '@tsbuild/dockerfile';
/** Switches of the builder: an ARG of them says something to it and nothing to RUN. @see spec/dockerfile.md 1.4 */
const notInEnvironment = new Set(['BUILDKIT_SBOM_SCAN_CONTEXT', 'BUILDKIT_SBOM_SCAN_STAGE']);
/**
 * Starts the scope of a stage from that of its base: an image's environment, or all that an earlier stage knows. What is in the
 * config of the base is set once more, as BuildKit does it: variables of a stage come after its arguments.
 */
export function createScope(base, configured, escapeToken, onUnknown = () => { }) {
    const values = new Map(base.environment().map(splitAssignment));
    const args = new Map(base.args().map(splitAssignment));
    const order = new Set(base.lastSet());
    const setLast = (name) => {
        order.delete(name);
        order.add(name);
    };
    for (const entry of configured)
        setLast(splitAssignment(entry)[0]);
    const lookUp = (name) => values.get(name);
    const how = (source) => ({
        escape: escapeToken,
        source,
        onName(name, found) {
            if (!found && !args.has(name))
                onUnknown({ name, source, known: () => [...values.keys(), ...args.keys()] });
        },
    });
    return {
        environment: () => [...values].map(([name, value]) => `${name}=${value}`),
        args: () => [...args].map(([name, value]) => `${name}=${values.get(name) ?? value}`),
        lastSet: () => [...order],
        setEnv(name, value) {
            values.set(name, value);
            setLast(name);
        },
        setArg(name, value) {
            args.set(name, value ?? '');
            if (value === undefined || notInEnvironment.has(name))
                return;
            values.set(name, value);
            setLast(name);
        },
        expand: (word, source) => expand(word, lookUp, how(source)),
        expandWords: (word, source) => expandWords(word, lookUp, how(source)),
        expandHeredoc: (body, source) => expandHeredoc(body, lookUp, how(source)),
    };
}
/** Splits `NAME=value`; a text without `=` is a name with an empty value. */
export function splitAssignment(text) {
    const at = text.indexOf('=');
    return at < 0 ? [text, ''] : [text.slice(0, at), text.slice(at + 1)];
}
//# sourceMappingURL=scope.js.map