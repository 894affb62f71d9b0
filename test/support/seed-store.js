import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { repository } from './repository.js';
import { check, command } from './tsbuild.js';
/** Where the store with `debian:bookworm` is, which tests copy. */
export function seedFolder() {
    return join(repository, '.tsbuild-dev', 'e2e-seed');
}
/**
 * Makes the seed store once for each build of the helper and the command: to make it takes most of a minute, and it tests
 * nothing that its copy does not.
 */
export default async function makeSeed() {
    const stamp = join(seedFolder(), 'made-by');
    const builtBy = digestOf([join(repository, 'native/helper/bin/tsbuild-helper'), command]);
    if (existsSync(stamp) && readFileSync(stamp, 'utf8') === builtBy)
        return;
    const draft = `${seedFolder()}.new`;
    for (const folder of [draft, seedFolder()])
        rmSync(folder, { recursive: true, force: true });
    mkdirSync(draft, { recursive: true });
    await check(command, ['bootstrap', 'debian:bookworm'], { env: { TSBUILD_ROOT: join(draft, 'store') } });
    writeFileSync(join(draft, 'made-by'), builtBy);
    renameSync(draft, seedFolder());
}
function digestOf(paths) {
    const hash = createHash('sha256');
    for (const path of paths)
        hash.update(readFileSync(path));
    return hash.digest('hex');
}
//# sourceMappingURL=seed-store.js.map