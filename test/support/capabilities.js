import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { repository } from './repository.js';
const found = new Map();
/** Skips the running test, with the reason, unless the machine has everything named. */
export function needs(context, ...capabilities) {
    const missing = capabilities.filter((capability) => !has(capability));
    context.skip(missing.length > 0, `this machine lacks ${missing.join(', ')}; scripts/setup.sh test installs what it can`);
}
function has(capability) {
    const known = found.get(capability);
    if (known !== undefined)
        return known;
    const answer = look(capability);
    found.set(capability, answer);
    return answer;
}
function look(capability) {
    if (capability === 'root')
        return process.getuid?.() === 0;
    if (capability === 'loop devices')
        return spawnSync('losetup', ['--find']).status === 0;
    if (capability === 'the user tsbuild-test')
        return spawnSync('id', ['-u', 'tsbuild-test']).status === 0;
    return findProgram(capability.slice('program '.length)) !== undefined;
}
/** Where scripts/setup.sh puts programs whose packages would change the machine. */
const unpacked = join(repository, '.tsbuild-dev', 'programs');
/** The path of a program in `PATH`; Debian keeps some in the folders of the administrator. */
export function findProgram(name) {
    return [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', unpacked]
        .map((folder) => join(folder, name))
        .find((path) => {
        try {
            accessSync(path, constants.X_OK);
            return true;
        }
        catch {
            return false;
        }
    });
}
//# sourceMappingURL=capabilities.js.map