import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
/** The absolute path of this repository. */
export const repository = fileURLToPath(new URL('../..', import.meta.url)).replace(/\/$/, '');
/** Every file of the repository that git tracks or would track; paths relative to the repository. */
export function listFiles() {
    return execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
        cwd: repository,
        encoding: 'utf8',
    })
        .split('\0')
        .filter((path) => path !== '' && existsSync(join(repository, path)));
}
/** The text of a file given relative to the repository. */
export function readText(path) {
    return readFileSync(join(repository, path), 'utf8');
}
//# sourceMappingURL=repository.js.map