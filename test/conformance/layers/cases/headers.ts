import {
  base256,
  blockDevice,
  char,
  dir,
  endMark,
  entry,
  file,
  globalPax,
  gnu,
  gnuLong,
  hardlink,
  header,
  padded,
  pax,
  symlink,
  v7,
} from '../archive.ts'
import type { LayerCase } from '../layer-case.ts'

/** A whole archive that a reader with another idea of a size takes for entries. */
const smuggled = Buffer.concat([file('smuggled', 'evil'), endMark])

const sizes: readonly LayerCase[] = [
  {
    name: 'TAR-04: the PAX size is larger than that of ustar (CVE-2025-62518)',
    layer: [pax({ size: `${smuggled.length}` }), header('0', 'carrier', 0), smuggled, file('after', 'y')],
    wants: [`file carrier = (${smuggled.length} bytes)`, 'file after = y'].toSorted(),
  },
  {
    name: 'TAR-04: the PAX size is smaller than that of ustar',
    layer: [pax({ size: '0' }), header('0', 'carrier', smuggled.length), file('inside', 'z')],
    wants: ['file carrier', 'file inside = z'],
  },
  {
    name: 'TAR-04: the PAX size stands twice, the last one counts',
    layer: [
      pax([
        ['size', '1024'],
        ['size', '5'],
      ]),
      header('0', 'f', 0),
      padded(Buffer.from('hello')),
    ],
    wants: ['file f = hello'],
  },
  {
    name: 'TAR-04: an empty PAX size',
    layer: [pax({ size: '' }), file('f', 'hello')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a negative PAX size',
    layer: [pax({ size: '-1' }), file('f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a PAX size in hex',
    layer: [pax({ size: '0x5' }), file('f', 'hello')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a PAX size with a sign',
    layer: [pax({ size: '+5' }), file('f', 'hello')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a PAX size of 2^64',
    layer: [pax({ size: `${2n ** 64n}` }), file('f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a negative size in base 256',
    layer: [file('f', '', { size: Buffer.alloc(12, 0xff) })],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a size in base 256',
    layer: [file('f', 'hello', { size: base256(5n, 12), ...gnu })],
    wants: ['file f = hello'],
  },
  {
    name: 'TAR-04: a size above 2^63 in base 256',
    layer: [file('f', '', { size: base256(2n ** 63n, 12) })],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a size with a minus',
    layer: [file('f', 'x', { size: '-0000000001\0' })],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a size with an 8',
    layer: [file('f', 'x', { size: '00000000008\0' })],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a size with blanks around it',
    layer: [file('f', 'hello', { size: '         5 \0' })],
    wants: ['file f = hello'],
  },
  {
    name: 'TAR-04: a size cut by a blank',
    layer: [file('f', 'hello', { size: '5 0 0 0 0 0\0' })],
    wants: 'ERR_LAYER_INVALID',
  },
  { name: 'TAR-04: no size', layer: [file('f', '', { size: Buffer.alloc(12) })], wants: ['file f'] },
  {
    name: 'TAR-04: a directory that claims content',
    layer: [entry('5', 'd', smuggled, { mode: 0o755 }), file('after', 'y')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a link that claims content',
    layer: [symlink('l', 'x', { size: smuggled.length }), smuggled],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a hard link that repeats the size of its target',
    layer: [file('f', 'hello'), hardlink('h', 'f', { size: 5 }), file('after', 'y')],
    wants: ['file after = y', 'file f = hello', 'same h = f'],
  },
  {
    name: 'TAR-04: a hard link with a PAX size',
    layer: [file('f', 'hello'), pax({ size: '5' }), hardlink('h', 'f'), file('after', 'y')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a device that claims content',
    layer: [char('c', 1, 3, { size: 512 }), file('smuggled', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
]

const names: readonly LayerCase[] = [
  {
    name: 'TAR-04: a PAX name over that of ustar',
    layer: [pax({ path: 'long' }), file('short', 'x')],
    wants: ['file long = x'],
  },
  {
    name: 'TAR-04: a PAX name with a NUL',
    layer: [pax({ path: 'a\0b' }), file('short', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: an empty PAX name',
    layer: [pax({ path: '' }), file('short', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: an empty PAX link',
    layer: [pax({ linkpath: '' }), symlink('l', 'target')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a GNU long name',
    layer: [gnuLong('n'.repeat(150)), file('short', 'x', gnu)],
    wants: [`file ${'n'.repeat(150)} = x`],
  },
  {
    name: 'TAR-04: a GNU long link',
    layer: [gnuLong('t'.repeat(150), 'K'), symlink('l', 'short', gnu)],
    wants: [`link l -> ${'t'.repeat(150)}`],
  },
  {
    name: 'TAR-04: a GNU and a PAX long name',
    layer: [pax({ path: 'pax' }), gnuLong('gnu'), file('short', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: two GNU long names',
    layer: [gnuLong('one'), gnuLong('two'), file('short', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: two PAX headers for one entry',
    layer: [pax({ path: 'one' }), pax({ path: 'two' }), file('short', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a GNU long name with text behind its NUL',
    layer: [entry('L', '././@LongLink', 'one\0two\0', gnu), file('short', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a prefix of ustar',
    layer: [file('name', 'x', { prefix: 'prefix' })],
    wants: ['dir prefix', 'file prefix/name = x'],
  },
  {
    name: 'TAR-04: a prefix in an entry of GNU is none',
    layer: [file('name', 'x', { ...gnu, prefix: '00000000001' })],
    wants: ['file name = x'],
  },
  {
    name: 'TAR-04: a prefix in an entry of the seventies is none',
    layer: [file('name', 'x', { ...v7, prefix: 'prefix' })],
    wants: ['file name = x'],
  },
  {
    name: 'TAR-04: text behind the NUL of a name',
    layer: [file('name\0smuggled', 'x')],
    wants: ['file name = x'],
  },
  {
    name: 'TAR-04: a name of exactly 100 bytes',
    layer: [file('n'.repeat(100), 'x')],
    wants: [`file ${'n'.repeat(100)} = x`],
  },
  {
    name: 'TAR-04: a file whose name ends with a slash',
    layer: [file('d/', 'content')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a directory of the seventies: type NUL and a slash',
    layer: [entry('\0', 'd/', '', { ...v7, mode: 0o755 })],
    wants: ['dir d'],
  },
  { name: 'TAR-04: a file of the seventies', layer: [entry('\0', 'f', 'x', v7)], wants: ['file f = x'] },
  { name: 'TAR-04: a contiguous file', layer: [entry('7', 'f', 'x')], wants: ['file f = x'] },
  {
    name: 'TAR-04: an unknown type',
    layer: [entry('Z', 'f', 'x'), file('g', 'y')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a volume label',
    layer: [entry('V', 'label', ''), file('g', 'y')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: the rest of a file of another volume',
    layer: [entry('M', 'f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a directory of a GNU dump',
    layer: [entry('D', 'd', 'Yf\0\0', gnu), file('d/f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
]

const record = (bytes: string) => entry('x', 'pax', bytes)

const extensions: readonly LayerCase[] = [
  ...[
    ['is too short', '5 path=x\n'],
    ['is too long', '99 path=x\n'],
    ['has no length', ' path=x\n'],
    ['has no equals sign', '8 pathx\n'],
    ['has no key', '5 =x\n'],
    ['has no end', '10 path=xyz'],
    ['has a length with a sign', '+10 path=x\n'],
    ['has a length of zero', '0 path=x\n'],
  ].map(([what = '', bytes = '']) => ({
    name: `TAR-04: a PAX record that ${what} (CVE-2026-33055)`,
    layer: [record(bytes), file('short', 'y')],
    wants: 'ERR_LAYER_INVALID' as const,
  })),
  {
    name: 'TAR-04: PAX records that nobody knows',
    layer: [
      pax({ 'VENDOR.thing': 'x', comment: 'y', atime: '1', ctime: '2', hdrcharset: 'BINARY' }),
      file('f', 'x'),
    ],
    wants: ['file f = x'],
  },
  {
    name: 'TAR-04: an empty PAX header',
    layer: [entry('x', 'pax', ''), file('f', 'x')],
    wants: ['file f = x'],
  },
  {
    name: 'TAR-04: a PAX header behind which nothing comes',
    layer: [file('f', 'x'), pax({ path: 'y' })],
    wants: 'ERR_LAYER_TRUNCATED',
  },
  {
    name: 'TAR-04: a global PAX header with a name',
    layer: [globalPax({ path: 'x' }), file('f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a global PAX header with a size',
    layer: [globalPax({ size: '0' }), file('f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a global PAX header with a comment',
    layer: [globalPax({ comment: 'x' }), file('f', 'x')],
    wants: ['file f = x'],
  },
  {
    name: 'TAR-04: a global PAX header with an owner',
    layer: [globalPax({ uid: '7' }), file('f', 'x', { uid: 9 })],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a GNU sparse file',
    layer: [entry('S', 'f', 'x', { ...gnu, patch: [386, '00000000000\x0000000000001\0'] })],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a sparse file in PAX',
    layer: [
      pax({ 'GNU.sparse.map': '0,1', 'GNU.sparse.size': '1', 'GNU.sparse.name': 'real' }),
      file('GNUSparseFile.0/real', 'x'),
    ],
    wants: 'ERR_LAYER_INVALID',
  },
]

const frames: readonly LayerCase[] = [
  {
    name: 'TAR-04: a wrong checksum',
    layer: [file('f', 'x', { checksum: (right) => right + 1 })],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a wrong checksum behind a good entry',
    layer: [file('f', 'x'), file('g', 'y', { checksum: () => 0 })],
    wants: 'ERR_LAYER_INVALID',
  },
  { name: 'TAR-04: a checksum of signed bytes', layer: [signedSum()], wants: ['file \\xffsigned = x'] },
  {
    name: 'TAR-04: entries behind the end mark',
    layer: [file('f', 'x'), endMark, file('smuggled', 'y')],
    wants: ['file f = x'],
  },
  {
    name: 'TAR-04: a lone zero block between entries',
    layer: [file('f', 'x'), Buffer.alloc(512), file('smuggled', 'y')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: one zero block at the end',
    layer: [file('f', 'x')],
    end: Buffer.alloc(512),
    wants: ['file f = x'],
  },
  { name: 'TAR-04: no end mark', layer: [file('f', 'x')], end: Buffer.alloc(0), wants: ['file f = x'] },
  { name: 'TAR-04: nothing at all', layer: [], end: Buffer.alloc(0), wants: [] },
  { name: 'TAR-04: an end mark alone', layer: [], wants: [] },
  {
    name: 'TAR-04: text behind the end mark',
    layer: [file('f', 'x'), endMark],
    end: Buffer.from('garbage'),
    wants: ['file f = x'],
  },
  {
    name: 'TAR-04: half a header',
    layer: [file('f', 'x')],
    end: Buffer.alloc(100, 'x'),
    wants: 'ERR_LAYER_TRUNCATED',
  },
  {
    name: 'TAR-04: half a file',
    layer: [header('0', 'f', 5000)],
    end: Buffer.alloc(512, 'x'),
    wants: 'ERR_LAYER_TRUNCATED',
  },
  {
    name: 'TAR-04: text',
    layer: [],
    end: Buffer.from('this is no archive\n'.repeat(60)),
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: a mode with type bits',
    layer: [file('f', 'x', { mode: 0o100600 })],
    wants: ['file f = x 0600'],
  },
  {
    name: 'TAR-04: a mode that is no number',
    layer: [file('f', 'x', { mode: 'rw-r--r--' })],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'TAR-04: the same name twice',
    layer: [file('f', 'one'), file('f', 'two')],
    wants: ['file f = two'],
  },
  {
    name: 'TAR-04: the same name twice in two spellings',
    layer: [file('./f', 'one'), file('f', 'two')],
    wants: ['file f = two'],
  },
  {
    name: 'TAR-04: a device of a block',
    layer: [blockDevice('b', 8, 1), dir('d')],
    wants: ['block b 8:1', 'dir d'],
  },
]

/** A name above ASCII makes the sums of signed and of unsigned bytes differ. */
function signedSum(): Buffer {
  return file(Buffer.from('\xffsigned', 'latin1'), 'x', { checksum: (right) => right - 256 })
}

/** TAR-04: what readers may understand differently. */
export const headers: readonly LayerCase[] = [...sizes, ...names, ...extensions, ...frames]
