import { isProxyArg, matchRange, variableUse, } from '@tsbuild/dockerfile';
import { nearest } from '@tsbuild/errors';
/** Far longer than the name of a variable. */
const longestName = 128;
/**
 * The finding for a variable that is not set. Undefined where its author counts on that: every use says what stands for it
 * (`${X:-y}`, `${X+y}`), or it is a proxy, which may be set or not.
 */
export function undefinedVar(dockerfile, instruction, { name, known }) {
    if (isProxyArg(name))
        return undefined;
    const use = variableUse(name);
    const source = matchRange(dockerfile, instruction, use);
    // A name that is broken by a continuation is on no line as a whole.
    if (source === undefined && !use.test(instruction.original))
        return undefined;
    const meant = nearest(name.slice(0, longestName), known());
    const guess = meant === undefined ? '' : ` (did you mean $${meant}?)`;
    return { instruction, message: `Usage of undefined variable '$${name}'${guess}`, source };
}
//# sourceMappingURL=undefined-var.js.map