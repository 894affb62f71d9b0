import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Surveyed } from '../conformance/layers/survey.ts'
import { findProgram } from './capabilities.ts'
import type { FidelityCase } from './fidelity-cases.ts'
import { check } from './tsbuild.ts'

/** Layers that the scripts of the cases make. */
const layers = 3

/** The directory of a case in the image. */
export const folderOf = (at: number): string => `f/${at}`

/**
 * Makes a context whose image has busybox, the files of `tree.py` by COPY and by ADD, and what the steps of the cases leave,
 * step by step in a layer each. Every builder reads its Dockerfile.
 */
export async function writeFidelityContext(context: string, cases: readonly FidelityCase[]): Promise<void> {
  mkdirSync(join(context, 'steps'), { recursive: true })
  copyFileSync(findProgram('busybox') ?? '/bin/busybox', join(context, 'busybox'))
  for (let layer = 0; layer < layers; layer += 1) {
    writeFileSync(join(context, `steps/${layer}`), stepScript(cases.map(({ steps }) => steps[layer] ?? '')))
  }
  await check('python3', ['-c', makeTree, context])
  await check('chmod', ['-R', 'u=rwX,go=rX', join(context, 'steps'), join(context, 'busybox')])
  await check('chmod', ['755', join(context, 'busybox')])
  writeFileSync(
    join(context, 'Dockerfile'),
    [
      'FROM scratch',
      'COPY busybox /bin/busybox',
      'RUN ["/bin/busybox", "--install", "-s", "/bin"]',
      'COPY steps /steps',
      'COPY tree /copy',
      'ADD tree.tar /add',
      ...Array.from({ length: layers }, (_, layer) => `RUN /bin/sh /steps/${layer}`),
    ].join('\n'),
  )
}

/** Runs each text in its own directory; a failure of one fails the step. */
function stepScript(texts: readonly string[]): string {
  const parts = texts.flatMap((text, at) =>
    text === '' ? [] : [`(mkdir -p /${folderOf(at)} && cd /${folderOf(at)} && umask 022\n${text}\n)`],
  )
  return ['set -eu', 'export PATH=/bin', ...parts].join('\n')
}

/** Runs the same scripts in a plain directory, which they have as their root; overlayfs has no part in it. */
export async function runPlainly(root: string, cases: readonly FidelityCase[]): Promise<void> {
  mkdirSync(join(root, 'bin'), { recursive: true })
  copyFileSync(findProgram('busybox') ?? '/bin/busybox', join(root, 'bin/busybox'))
  await check('chroot', [root, '/bin/busybox', '--install', '-s', '/bin'])
  for (let layer = 0; layer < layers; layer += 1) {
    writeFileSync(
      join(root, 'step'),
      stepScript(cases.map(({ steps, plain }) => (plain ?? steps)[layer] ?? '')),
    )
    await check('chroot', [root, '/bin/sh', '/step'])
  }
}

/** Files with attributes, as `tree` and as `tree.tar`. Times are whole seconds, as layers have them. */
const makeTree = `
import os, struct, subprocess, sys
os.umask(0o022); os.chdir(sys.argv[1]); os.mkdir('tree'); os.chdir('tree')
no = 0xffffffff
acl = lambda *e: struct.pack('<I', 2) + b''.join(struct.pack('<HHI', *x) for x in e)
full = acl((1, 7, no), (2, 5, 1000), (4, 5, no), (16, 5, no), (32, 5, no))
def make(name, attribute=None, value=b''):
    open(name, 'w').write(name)
    if attribute: os.setxattr(name, attribute, value)
make('user', 'user.bytes', bytes(range(256)))
make('large', 'user.large', b'x' * 3000)
if os.geteuid() == 0:
    make('cap2', 'security.capability', struct.pack('<IIIII', 0x02000001, 1 << 10, 0, 0, 0))
    make('cap3', 'security.capability', struct.pack('<IIIIII', 0x03000001, 1 << 10, 0, 0, 0, 1000))
    make('trusted', 'trusted.secret', b'x')
make('acl', 'system.posix_acl_access', full)
os.mkdir('d'); os.setxattr('d', 'user.dir', b'1'); make('d/in')
os.mkdir('e'); os.setxattr('e', 'system.posix_acl_default', full)
os.symlink('user', 'l'); os.link('user', 'twin')
for base, dirs, files in os.walk('.', topdown=False):
    for n in dirs + files: os.utime(os.path.join(base, n), (10**9, 10**9), follow_symlinks=False)
os.utime('.', (10**9, 10**9))
os.chdir('..')
subprocess.run(['tar', '--format=pax', '--xattrs', '--xattrs-include=*', '-C', 'tree', '-cf', 'tree.tar', '.'], check=True)
`

/** Unpacks the image `tag` of a layout as the image specification says, with skopeo and GNU tar. */
export async function unpackWithTar(layout: string, tag: string, folder: string): Promise<string> {
  const [copy, root] = [join(folder, 'copy'), join(folder, 'rootfs')]
  mkdirSync(root, { recursive: true })
  await check('skopeo', ['--insecure-policy', 'copy', '-q', `oci:${layout}:${tag}`, `dir:${copy}`])
  const manifest = JSON.parse(readFileSync(join(copy, 'manifest.json'), 'utf8'))
  for (const { digest } of manifest.layers as readonly { digest: string }[]) {
    await check('python3', ['-c', applyWithTar, join(copy, digest.slice('sha256:'.length)), root])
  }
  return root
}

/** Whiteouts, and what becomes a directory or was one, by hand; everything else by GNU tar. */
const applyWithTar = `
import os, shutil, subprocess, sys, tarfile
archive, root = os.fsencode(sys.argv[1]), os.fsencode(sys.argv[2])
def remove(path):
    if os.path.isdir(path) and not os.path.islink(path): shutil.rmtree(path)
    elif os.path.lexists(path): os.unlink(path)
for m in tarfile.open(archive, encoding='utf-8', errors='surrogateescape'):
    folder, name = os.path.split(os.fsencode(m.name)); folder = os.path.join(root, folder)
    if name == b'.wh..wh..opq':
        for known in os.listdir(folder) if os.path.isdir(folder) else []: remove(os.path.join(folder, known))
    elif name.startswith(b'.wh.'): remove(os.path.join(folder, name[4:]))
    else:
        known = os.path.join(folder, name)
        if os.path.lexists(known) and m.isdir() != (os.path.isdir(known) and not os.path.islink(known)): remove(known)
subprocess.run(['tar', '--xattrs', '--xattrs-include=*', '--numeric-owner', '-xpf', archive, '-C', root, '--exclude=.wh.*'], check=True)
`

/** Unpacks with umoci. */
export async function unpackWithUmoci(layout: string, tag: string, folder: string): Promise<string> {
  const root = join(folder, 'rootfs')
  mkdirSync(folder, { recursive: true })
  await check('umoci', ['raw', 'unpack', '--image', `${layout}:${tag}`, root])
  return root
}

/** The files below a directory of a tree, as if it were the root. */
export function below(files: readonly Surveyed[], folder: string): readonly Surveyed[] {
  const inside = (path: string) => path.slice(folder.length + 1)
  return files
    .filter(({ path }) => path.startsWith(`${folder}/`))
    .map((file) => ({
      ...file,
      path: inside(file.path),
      ...(file.same === undefined ? {} : { same: inside(file.same) }),
    }))
}

/** Removes what may have paths that are too long for one call. */
export async function removeTree(folder: string): Promise<void> {
  if (existsSync(folder)) await check('rm', ['-rf', folder])
}
