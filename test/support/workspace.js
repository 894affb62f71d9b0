import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { findProgram } from './capabilities.js';
import { seedFolder } from './seed-store.js';
import { check, tsbuildWith } from './tsbuild.js';
/** Where stores live: a disk, since overlayfs refuses some of the file systems that temporary folders are on. */
export const storesFolder = process.env.TMPDIR ?? '/var/tmp';
/**
 * Makes a workspace with an empty store.
 *
 * @param name appears in the folder's name
 */
export function openWorkspace(name) {
    const folder = mkdtempSync(join(storesFolder, `tsbuild-e2e-${name}-`));
    chmodSync(folder, 0o755);
    const path = (...parts) => join(folder, ...parts);
    return {
        folder,
        path,
        tsbuild: tsbuildWith(path('store')),
        context: (contextName, files) => writeFiles(path(contextName), files),
        // The store holds files that only the helper may delete when it ran rootless; as root plain deletion does.
        remove: async () => rmSync(folder, { recursive: true, force: true }),
    };
}
/** Makes a workspace whose store has the image `debian:bookworm`. */
export async function openDebianWorkspace(name) {
    const workspace = openWorkspace(name);
    await check('cp', ['-a', '--reflink=auto', join(seedFolder(), 'store'), workspace.path('store')]);
    return workspace;
}
/**
 * Makes a workspace whose store has the image `busybox:test`: a shell and the usual programs in 2 MB, made out of the
 * host's static busybox by a build `FROM scratch`.
 */
export async function openBusyboxWorkspace(name) {
    const workspace = openWorkspace(name);
    await addBusybox(workspace);
    return workspace;
}
/** Builds `busybox:test` into the store of a workspace. */
export async function addBusybox(workspace) {
    const busybox = findProgram('busybox');
    if (busybox === undefined)
        throw new Error('busybox is not installed: scripts/setup.sh test installs busybox-static');
    const context = workspace.context('busybox', {
        Dockerfile: [
            'FROM scratch',
            'COPY --chmod=755 busybox /bin/busybox',
            'RUN ["/bin/busybox", "--install", "-s", "/bin"]',
            'COPY passwd group /etc/',
            'RUN mkdir -p -m 1777 /tmp && mkdir -p /root',
        ].join('\n'),
        passwd: 'root:x:0:0:root:/root:/bin/sh\nweb:x:1000:1000:web:/:/bin/sh\n',
        group: 'root:x:0:\nweb:x:1000:\n',
    });
    copyFileSync(busybox, join(context, 'busybox'));
    await workspace.tsbuild.check(['-q', '-t', 'busybox:test', context]);
}
/** Writes files below `folder`; gives `folder`. */
export function writeFiles(folder, files) {
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of Object.entries(files)) {
        mkdirSync(dirname(join(folder, name)), { recursive: true });
        writeFileSync(join(folder, name), text);
    }
    return folder;
}
/** The text of a file, without its last newline. */
export function readLine(path) {
    return readFileSync(path, 'utf8').replace(/\n$/, '');
}
/** A folder outside of every store that hostile input aims at; a test compares it before and after. */
export function makeCanary() {
    const folder = mkdtempSync(join(tmpdir(), 'tsbuild-canary-'));
    writeFileSync(join(folder, 'kept'), 'kept\n', { mode: 0o600 });
    return folder;
}
//# sourceMappingURL=workspace.js.map