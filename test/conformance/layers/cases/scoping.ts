import { dir, fifo, file, hardlink, symlink } from '../archive.ts'
import type { Host, LayerCase } from '../layer-case.ts'

/** Names and links that lead to `host.canary` where a tool follows them outside of the root. */
export const scoping = (host: Host): readonly LayerCase[] => [
  ...names(host),
  ...throughLinks(host),
  ...metadata(host),
  ...roots(host),
  ...links(host),
]

const names = ({ canary, parents, up }: Host): readonly LayerCase[] => [
  { name: 'umoci SanitiseScoping: ..', layer: [file('../f', 'x')], wants: 'ERR_LAYER_ESCAPE' },
  { name: 'umoci SanitiseScoping: /..', layer: [file('/../f', 'x')], wants: 'ERR_LAYER_ESCAPE' },
  { name: 'umoci SanitiseScoping: up and out', layer: [file(`a/${up}/f`, 'x')], wants: 'ERR_LAYER_ESCAPE' },
  {
    name: 'umoci SanitiseScoping: to a file of the host',
    layer: [file(`${up}/${canary}/kept`, 'x')],
    wants: 'ERR_LAYER_ESCAPE',
  },
  { name: 'umoci SanitiseScoping: .. at the end', layer: [dir('a/b/..')], wants: 'ERR_LAYER_ESCAPE' },
  {
    name: 'ggcr RejectsUnsafeArchivePaths: absolute',
    layer: [file(`/${canary}/kept`, 'x')],
    wants: [...parents, `dir ${canary}`, `file ${canary}/kept = x`],
  },
  { name: 'ggcr RejectsUnsafeArchivePaths: ..', layer: [file('..', 'x')], wants: 'ERR_LAYER_ESCAPE' },
  {
    name: 'ggcr RejectsUnsafeArchivePaths: a drive of Windows is a name',
    layer: [file('C:\\evil', 'x')],
    wants: ['file C:\\evil = x'],
  },
  {
    name: 'containers/storage UntarInvalidFilenames: ../victim/dotdot',
    layer: [file('../victim/dotdot', 'x')],
    wants: 'ERR_LAYER_ESCAPE',
  },
  {
    name: 'containers/storage UntarInvalidFilenames: /../victim/slash-dotdot',
    layer: [file('/../victim/slash-dotdot', 'x')],
    wants: 'ERR_LAYER_ESCAPE',
  },
  {
    name: 'slashes and dots that mean nothing',
    layer: [file('./a//./b/./c', 'x'), dir('./d/./')],
    wants: ['dir a', 'dir a/b', 'file a/b/c = x', 'dir d'],
  },
  {
    name: 'three dots are a name',
    layer: [file('...', 'x'), file('..a', 'y')],
    wants: ['file ... = x', 'file ..a = y'],
  },
  {
    name: 'umoci NonDirParent: a file below a file',
    layer: [file('f', 'x'), file('f/g', 'y')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'umoci NonDirParent: a file below a pipe',
    layer: [fifo('p'), file('p/g', 'y')],
    wants: 'ERR_LAYER_INVALID',
  },
]

const throughLinks = ({ canary, parents, up }: Host): readonly LayerCase[] => [
  {
    name: 'umoci SymlinkScoping: absolute to the host',
    layer: [symlink('door', `/${canary}`), file('door/new', 'x')],
    wants: [...parents, `dir ${canary}`, `file ${canary}/new = x`, `link door -> /${canary}`].toSorted(
      byPath,
    ),
  },
  {
    name: 'umoci SymlinkScoping: up to the host',
    layer: [symlink('door', `${up}/${canary}`), file('door/new', 'x')],
    wants: [...parents, `dir ${canary}`, `file ${canary}/new = x`, `link door -> ${up}/${canary}`].toSorted(
      byPath,
    ),
  },
  {
    name: 'umoci SymlinkScoping: to the root',
    layer: [symlink('door', '/'), file('door/new', 'x')],
    wants: ['link door -> /', 'file new = x'],
  },
  {
    name: 'umoci SymlinkScoping: to the parent of the root',
    layer: [symlink('door', '..'), file('door/new', 'x')],
    wants: ['link door -> ..', 'file new = x'],
  },
  {
    name: 'umoci SymlinkScoping: to itself',
    layer: [symlink('door', 'door'), file('door/new', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'a chain of 40 links is followed',
    layer: [...chain(40), file('l39/new', 'x')],
    wants: [...chainLines(40), 'dir real', 'file real/new = x'],
  },
  {
    name: 'a chain of 45 links is a loop',
    layer: [...chain(45), file('l44/new', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'containers/storage UntarInvalidSymlink: a file through a link to the host',
    layer: [symlink('victim', `${up}/${canary}`), file('victim', 'x')],
    wants: ['file victim = x'],
  },
  {
    name: 'containers/storage UntarInvalidSymlink: a link through a link',
    layer: [symlink('loophole', '..'), symlink('loophole/in', `/${canary}`), file('in/new', 'x')],
    wants: [
      `link in -> /${canary}`,
      'link loophole -> ..',
      ...parents,
      `dir ${canary}`,
      `file ${canary}/new = x`,
    ],
  },
]

/** By what stands behind the kind. */
function byPath(a: string, b: string): number {
  const [left = '', right = ''] = [a, b].map((line) => line.split(' ')[1])
  return left < right ? -1 : 1
}

const chain = (length: number) => [
  dir('real'),
  ...Array.from({ length }, (_, at) => symlink(linkName(at), at === 0 ? 'real' : linkName(at - 1))),
]
const chainLines = (length: number) =>
  Array.from({ length }, (_, at) => `link ${linkName(at)} -> ${at === 0 ? 'real' : linkName(at - 1)}`)
const linkName = (at: number) => `l${`${at}`.padStart(2, '0')}`

const metadata = ({ canary, up }: Host): readonly LayerCase[] => [
  ...[`/${canary}`, `${up}/${canary}`].map((target, at) => ({
    name: `TAR-02: a directory over a link to the host, ${at === 0 ? 'absolute' : 'relative'}`,
    layer: [symlink('foo', target), dir('foo', 0o777, { uid: 7, gid: 7 })],
    wants: ['dir foo 0777 7:7'],
  })),
  {
    name: 'TAR-02: a directory over a link of the layer below',
    base: [symlink('foo', `/${canary}`)],
    layer: [dir('foo/', 0o777)],
    wants: ['dir foo 0777'],
  },
  {
    name: 'TAR-02: a file over a link to the host',
    layer: [symlink('foo', `/${canary}/kept`), file('foo', 'x', { mode: 0o4777, uid: 7 })],
    wants: ['file foo = x 4777 7:0'],
  },
  {
    name: 'TAR-02: a pipe over a link to the host',
    layer: [symlink('foo', `/${canary}/kept`), fifo('foo', { mode: 0o777 })],
    wants: ['fifo foo 0777'],
  },
  {
    name: 'TAR-02: owner and time of a link are its own',
    layer: [symlink('foo', `/${canary}/kept`, { uid: 7, gid: 8, mtime: 5 })],
    wants: [`link foo -> /${canary}/kept 7:8`],
  },
]

const roots = ({ canary }: Host): readonly LayerCase[] => [
  ...['.', './', '/', ''].flatMap((name) => [
    {
      name: `TAR-03: ${JSON.stringify(name)} as a link`,
      layer: [symlink(name, `/${canary}`), file('kept', 'x')],
      wants: 'ERR_LAYER_INVALID',
    } as const,
    {
      name: `TAR-03: ${JSON.stringify(name)} as a pipe`,
      layer: [fifo(name)],
      wants: 'ERR_LAYER_INVALID',
    } as const,
  ]),
  { name: 'TAR-03: "." as a file', layer: [file('.', 'x')], wants: 'ERR_LAYER_INVALID' },
  { name: 'TAR-03: "/" as a file', layer: [file('/', 'x')], wants: 'ERR_LAYER_INVALID' },
  {
    name: 'TAR-03: "." as a hard link',
    layer: [file('f', 'x'), hardlink('.', 'f')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-03: a root that nobody may enter',
    layer: [dir('./', 0o000), file('f', 'x')],
    wants: ['dir . 0000', 'file f = x'],
  },
  {
    name: 'TAR-03: a root that belongs to somebody',
    layer: [dir('/', 0o1777, { uid: 7, gid: 8 }), file('f', 'x')],
    wants: ['dir . 1777 7:8', 'file f = x'],
  },
]

const links = ({ canary, up }: Host): readonly LayerCase[] => [
  {
    name: 'TAR-05: a hard link behind links that climb (CVE-2026-23745)',
    layer: [
      dir('a/b/c'),
      symlink('a/b/c/up', '../..'),
      symlink('a/b/escape', 'c/up/../..'),
      hardlink('x', `a/b/escape/${up}/${canary}/kept`),
    ],
    wants: 'ERR_LAYER_ESCAPE',
  },
  {
    name: 'TAR-05: the same without dots in the target (CVE-2026-24842)',
    layer: [
      dir('a/b/c'),
      symlink('a/b/c/up', '../..'),
      symlink('a/b/escape', 'c/up/../../../../../..'),
      hardlink('x', `a/b/escape/${canary}/kept`),
    ],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-05: a link whose target is text that stays inside (CVE-2026-26960)',
    layer: [
      dir('a/b/c'),
      symlink('a/b/c/up', '../..'),
      symlink('a/b/escape', 'c/up/../..'),
      file('a/b/escape/new', 'x'),
    ],
    wants: [
      'dir a',
      'dir a/b',
      'dir a/b/c',
      'link a/b/c/up -> ../..',
      'link a/b/escape -> c/up/../..',
      'file new = x',
    ],
  },
  {
    name: 'TAR-05: a file below a link that a string check takes for harmless (CVE-2025-59343)',
    layer: [dir('dir'), symlink('dir/x', '../dir/../..'), file(`dir/x/${canary}/new`, 'y')],
    wants: ['dir dir', 'link dir/x -> ../dir/../..', ...canaryLines(canary), `file ${canary}/new = y`],
  },
  {
    name: 'containers/storage UntarInvalidHardlink: to a file of the host',
    layer: [hardlink('dotdot', `${up}/${canary}/kept`)],
    wants: 'ERR_LAYER_ESCAPE',
  },
  {
    name: 'containers/storage UntarInvalidHardlink: absolute to a file of the host',
    layer: [hardlink('absolute', `/${canary}/kept`)],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'containers/storage UntarInvalidHardlink: through a hard link to a directory of the host',
    layer: [hardlink('loophole', `${up}/${canary}`), file('loophole/new', 'x')],
    wants: 'ERR_LAYER_ESCAPE',
  },
  {
    name: 'containers/storage UntarInvalidHardlink: a file behind it would be written into',
    layer: [hardlink('loophole', `${up}/${canary}/kept`), file('loophole', 'x')],
    wants: 'ERR_LAYER_ESCAPE',
  },
  {
    name: 'containers/storage UntarInvalidHardlink: to a link to the host',
    layer: [symlink('door', `/${canary}`), hardlink('copy', 'door'), file('copy/new', 'x')],
    wants: [`link copy -> /${canary}`, 'same door = copy', ...canaryLines(canary), `file ${canary}/new = x`],
  },
  {
    name: 'a hard link to a directory',
    layer: [dir('d'), hardlink('h', 'd')],
    wants: 'ERR_LAYER_INVALID',
  },
  { name: 'a hard link to the root', layer: [hardlink('h', '/')], wants: 'ERR_LAYER_INVALID' },
  { name: 'a hard link to nothing', layer: [hardlink('h', '')], wants: 'ERR_LAYER_INVALID' },
  {
    name: 'a hard link before its target',
    layer: [hardlink('h', 'f'), file('f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  { name: 'a hard link to itself', layer: [file('f', 'x'), hardlink('f', 'f')], wants: ['file f = x'] },
  {
    name: 'umoci Hardlink: to a file of the layer below',
    base: [dir('d'), file('d/f', 'x', { mode: 0o4711, uid: 7 })],
    layer: [hardlink('h', 'd/f')],
    wants: ['dir d', 'file d/f = x 4711 7:0', 'same h = d/f'],
  },
  {
    name: 'umoci Hardlink: to a link',
    layer: [symlink('l', 'nowhere'), hardlink('h', 'l')],
    wants: ['link h -> nowhere', 'same l = h'],
  },
  {
    name: 'umoci Hardlink: its header does not change the file',
    layer: [file('f', 'x', { mode: 0o600, uid: 7 }), hardlink('h', 'f', { mode: 0o777, uid: 9, mtime: 1 })],
    wants: ['file f = x 0600 7:0', 'same h = f'],
  },
]

const canaryLines = (canary: string) => [`dir ${canary.split('/')[0]}`, `dir ${canary}`]
