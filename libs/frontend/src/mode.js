import { UserError } from '@tsbuild/errors';
const octal = /^[0-7]+$/;
const clause = /^[ugoa]*(?:[-+=](?:[ugo]|[rwxXst]*))+$/;
/**
 * Refuses a `--chmod` that cannot be applied, before anything is built for it. An octal one may have leading zeros.
 *
 * @throws {UserError} `ERR_MODE_INVALID`
 * @see spec/dockerfile.md 3.3
 */
export function checkMode(text, source) {
    const valid = /^\d/.test(text)
        ? octal.test(text) && Number.parseInt(text, 8) <= 0o7777
        : text.split(',').every((part) => clause.test(part));
    if (valid)
        return;
    const rule = 'it should be octal string and between 0 and 07777';
    throw new UserError('ERR_MODE_INVALID', `Cannot change modes: invalid chmod parameter: '${text}'. ${rule}`, {
        source,
        hints: ['A symbolic mode such as `u=rwX,go-w` will do as well.'],
    });
}
//# sourceMappingURL=mode.js.map