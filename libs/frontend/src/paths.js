/** Joins and cleans a path inside of an image; the result is absolute and has no trailing slash. */
export function resolveInImage(cwd, path) {
    const parts = [];
    for (const part of `${path.startsWith('/') ? '' : cwd}/${path}`.split('/')) {
        if (part === '' || part === '.')
            continue;
        if (part === '..')
            parts.pop();
        else
            parts.push(part);
    }
    return `/${parts.join('/')}`;
}
/**
 * The destination of a COPY: absolute, cleaned, with a trailing slash where the text says that it is a directory.
 *
 * @see spec/dockerfile.md 3.1
 */
export function copyDestination(cwd, dest) {
    const isDirectory = dest === '' || dest === '.' || dest.endsWith('/') || dest.endsWith('/.');
    const path = resolveInImage(cwd, dest);
    return isDirectory && path !== '/' ? `${path}/` : path;
}
/** What the kernel takes for one name. */
const maxNameBytes = 255;
/** Whether a text can name a file in a directory. */
export function isFileName(text) {
    if (Buffer.byteLength(text) > maxNameBytes)
        return false;
    return !['', '.', '..'].includes(text) && !/[/\0]/.test(text);
}
//# sourceMappingURL=paths.js.map