/**
 * The words of a history entry, as Docker and BuildKit write them. @see spec/dockerfile.md 1.6
 */
export const history = {
    run: (args, command) => `RUN ${args.length === 0 ? '' : `|${args.length} ${args.join(' ')} `}${command.join(' ')} # buildkit`,
    list: (keyword, words) => `${keyword} [${words.join(' ')}]`,
    command: (keyword, command) => `${keyword} ${quoted(command)}`,
    /** As Go's `%+v` prints it. */
    healthcheck: (check) => {
        const times = [
            ['Interval', check.intervalNs],
            ['Timeout', check.timeoutNs],
            ['StartPeriod', check.startPeriodNs],
            ['StartInterval', check.startIntervalNs],
        ];
        const fields = times.map(([name, ns = 0]) => `${name}:${durationText(ns)}`);
        return `HEALTHCHECK {Test:[${(check.test ?? []).join(' ')}] ${fields.join(' ')} Retries:${check.retries ?? 0}}`;
    },
};
/** Nanoseconds as Go writes them: `0s`, `1.5ms`, `1m30s`, `1h0m0s`. */
function durationText(ns) {
    if (ns === 0)
        return '0s';
    for (const [unit, size] of [
        ['ns', 1e3],
        ['µs', 1e6],
        ['ms', 1e9],
    ]) {
        if (ns < size)
            return `${ns / (size / 1e3)}${unit}`;
    }
    const seconds = Math.floor(ns / 1e9);
    const text = `${(ns - Math.floor(seconds / 60) * 60e9) / 1e9}s`;
    const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
    return `${hours > 0 ? `${hours}h` : ''}${hours > 0 || minutes > 0 ? `${minutes}m` : ''}${text}`;
}
/** A list of strings as Go's `%q` prints it. */
function quoted(words) {
    return `[${words.map((word) => JSON.stringify(word)).join(' ')}]`;
}
/** The argv of a command in its stage's shell. */
export function argvOf(command, shell) {
    return command.form === 'exec' ? command.args : [...shell, command.text];
}
/**
 * The history of a base image with one entry for each of its layers: some images have none, or too few.
 */
export function completeHistory(history, layers) {
    const withLayer = history.filter((entry) => entry.emptyLayer !== true).length;
    if (withLayer === layers)
        return history;
    if (withLayer > layers)
        return Array.from({ length: layers }, () => ({ comment: 'imported' }));
    return [...history, ...Array.from({ length: layers - withLayer }, () => ({ comment: 'imported' }))];
}
//# sourceMappingURL=history.js.map