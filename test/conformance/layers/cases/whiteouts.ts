import { char, dir, entry, fifo, file, hardlink, symlink } from '../archive.ts'
import type { LayerCase } from '../layer-case.ts'

const base = [
  dir('d'),
  file('d/f', 'old'),
  dir('d/s'),
  file('d/s/g', 'deep'),
  file('top', 't'),
  symlink('l', 'd'),
]
const only = (...lines: readonly string[]) => lines
const d = ['dir d', 'file d/f = old', 'dir d/s', 'file d/s/g = deep']
const rest = ['link l -> d', 'file top = t']

/** TAR-06: what whiteouts may and may not hide. */
export const whiteouts: readonly LayerCase[] = [
  { name: 'TAR-06: of a file', base, layer: [file('.wh.top')], wants: [...d, 'link l -> d'] },
  { name: 'TAR-06: of a directory', base, layer: [file('.wh.d')], wants: rest },
  { name: 'TAR-06: of a link', base, layer: [file('.wh.l')], wants: [...d, 'file top = t'] },
  {
    name: 'TAR-06: umoci Whiteout: of a directory and of what is in it',
    base,
    layer: [file('d/s/.wh.g'), file('d/.wh.s')],
    wants: ['dir d', 'file d/f = old', ...rest],
  },
  { name: 'TAR-06: of what never was', base, layer: [file('.wh.never')], wants: [...d, ...rest] },
  { name: 'TAR-06: twice', base, layer: [file('.wh.top'), file('.wh.top')], wants: [...d, 'link l -> d'] },
  {
    name: 'TAR-06: before the same name in the same layer',
    base,
    layer: [file('.wh.top'), file('top', 'new')],
    wants: [...d, 'link l -> d', 'file top = new'],
  },
  {
    name: 'TAR-06: behind the same name in the same layer',
    base,
    layer: [file('top', 'new'), file('.wh.top')],
    wants: [...d, 'link l -> d', 'file top = new'],
  },
  {
    name: 'TAR-06: of a directory that the same layer has filled',
    base,
    layer: [dir('d'), file('d/new', 'n'), file('.wh.d')],
    wants: ['dir d', 'file d/new = n', ...rest],
  },
  {
    name: 'TAR-06: of a directory that the same layer fills afterwards',
    base,
    layer: [file('.wh.d'), dir('d', 0o700), file('d/new', 'n')],
    wants: ['dir d 0700', 'file d/new = n', ...rest],
  },
  {
    name: 'TAR-06: umoci OpaqueWhiteout: first',
    base,
    layer: [dir('d'), file('d/.wh..wh..opq'), file('d/new', 'n')],
    wants: ['dir d', 'file d/new = n', ...rest],
  },
  {
    name: 'TAR-06: umoci OpaqueWhiteout: last',
    base,
    layer: [dir('d'), file('d/new', 'n'), file('d/.wh..wh..opq')],
    wants: ['dir d', 'file d/new = n', ...rest],
  },
  {
    name: 'TAR-06: umoci OpaqueWhiteout: with directories of the same layer in it',
    base,
    layer: [dir('d'), dir('d/s'), file('d/s/new', 'n'), file('d/.wh..wh..opq')],
    wants: ['dir d', 'dir d/s', 'file d/s/new = n', ...rest],
  },
  { name: 'TAR-06: opaque, in the root', base, layer: [file('.wh..wh..opq')], wants: only() },
  {
    name: 'TAR-06: opaque, in the root, with files',
    base,
    layer: [file('.wh..wh..opq'), dir('d'), file('d/new', 'n')],
    wants: ['dir d', 'file d/new = n'],
  },
  {
    name: 'TAR-06: opaque, in a directory that nothing describes',
    base,
    layer: [file('d/.wh..wh..opq')],
    wants: ['dir d', ...rest],
  },
  { name: 'TAR-06: without a name', base, layer: [file('.wh.')], wants: 'ERR_LAYER_WHITEOUT' },
  {
    name: 'TAR-06: without a name, in a directory',
    base,
    layer: [file('d/.wh.')],
    wants: 'ERR_LAYER_WHITEOUT',
  },
  {
    name: 'TAR-06: of a name with two dots more',
    base: [file('..x', 'x')],
    layer: [file('.wh...x')],
    wants: only(),
  },
  {
    name: 'TAR-06: through a link of the same layer',
    base,
    layer: [symlink('door', 'd'), file('door/.wh.f')],
    wants: ['dir d', 'dir d/s', 'file d/s/g = deep', 'link door -> d', ...rest],
  },
  {
    name: 'TAR-06: opaque through a link of the same layer',
    base,
    layer: [symlink('door', 'd'), file('door/.wh..wh..opq')],
    wants: ['dir d', 'link door -> d', ...rest],
  },
  {
    name: 'TAR-06: bookkeeping of AUFS',
    base,
    layer: [file('.wh..wh.aufs'), dir('.wh..wh.plnk'), file('.wh..wh.plnk/1.2', 'x'), dir('.wh..wh.orph')],
    wants: [...d, ...rest],
  },
  {
    name: 'TAR-06: a hard link to the bookkeeping of AUFS',
    base,
    layer: [file('.wh..wh.aufs'), hardlink('.wh.top', '.wh..wh.aufs')],
    wants: [...d, 'link l -> d'],
  },
  { name: 'TAR-06: a directory', base, layer: [dir('.wh.top')], wants: 'ERR_LAYER_WHITEOUT' },
  { name: 'TAR-06: a link', base, layer: [symlink('.wh.top', 'x')], wants: 'ERR_LAYER_WHITEOUT' },
  { name: 'TAR-06: a device', base, layer: [char('.wh.top', 1, 3)], wants: 'ERR_LAYER_WHITEOUT' },
  { name: 'TAR-06: a pipe', base, layer: [fifo('.wh.top')], wants: 'ERR_LAYER_WHITEOUT' },
  { name: 'TAR-06: with content', base, layer: [file('.wh.top', 'content')], wants: [...d, 'link l -> d'] },
  {
    name: 'TAR-06: a file below a whiteout',
    base,
    layer: [file('.wh.d/f', 'x')],
    wants: 'ERR_LAYER_WHITEOUT',
  },
  {
    name: 'TAR-06: in the first layer',
    layer: [dir('d'), file('d/.wh.f'), file('d/.wh..wh..opq'), file('.wh.d')],
    wants: ['dir d'],
  },
  {
    name: 'TAR-06: of the target of a hard link',
    base,
    layer: [file('.wh.top'), hardlink('h', 'top')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'containers/storage ApplyLayerWhiteouts: in a directory of another owner',
    base: [dir('d', 0o750, { uid: 7, gid: 8 }), file('d/f', 'x'), file('d/g', 'y')],
    layer: [file('d/.wh.f')],
    wants: ['dir d 0750 7:8', 'file d/g = y'],
  },
  {
    name: 'a file becomes a directory',
    base,
    layer: [dir('top'), file('top/x', 'n')],
    wants: [...d, 'link l -> d', 'dir top', 'file top/x = n'],
  },
  { name: 'a directory becomes a file', base, layer: [file('d', 'n')], wants: ['file d = n', ...rest] },
  {
    name: 'a directory becomes a file and a directory again',
    base,
    layer: [dir('d'), file('d', 'n'), dir('d'), file('d/x', 'n')],
    wants: ['dir d', 'file d/x = n', ...rest],
  },
  {
    name: 'a directory becomes a link',
    base,
    layer: [symlink('d', 'elsewhere')],
    wants: ['link d -> elsewhere', ...rest],
  },
  {
    name: 'a link becomes a directory',
    base,
    layer: [dir('l'), file('l/x', 'n')],
    wants: [...d, 'dir l', 'file l/x = n', 'file top = t'],
  },
  {
    name: 'a file below a link of the layer below',
    base,
    layer: [file('l/new', 'n')],
    wants: [...d, 'dir l', 'file l/new = n', 'file top = t'],
  },
  {
    name: 'files of all old types over each other',
    layer: [file('x', '1'), symlink('x', 'y'), fifo('x'), dir('x'), entry('7', 'x', 'last')],
    wants: ['file x = last'],
  },
]
