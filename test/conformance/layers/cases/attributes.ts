import { base256, blockDevice, char, dir, fifo, file, gnu, pax, symlink } from '../archive.ts'
import type { LayerCase } from '../layer-case.ts'

const xattr = (name: string, value: string | Buffer = 'y') => pax({ [`SCHILY.xattr.${name}`]: value })

const reserved = [
  'trusted.overlay.opaque',
  'trusted.overlay.redirect',
  'trusted.overlay.metacopy',
  'trusted.overlay.whiteout',
  'trusted.overlay.origin',
  'trusted.overlay.overlay.opaque',
  'user.overlay.opaque',
  'user.overlay.redirect',
  'user.overlay.metacopy',
  'user.overlay.whiteout',
]

const overlay: readonly LayerCase[] = [
  ...reserved.map((name) => ({
    name: `TAR-07: a directory with ${name}`,
    base: [dir('d'), file('d/f', 'shown')],
    layer: [xattr(name), dir('d')],
    wants: 'ERR_LAYER_RESERVED' as const,
  })),
  {
    name: 'TAR-07: a file with the mark of a whiteout',
    base: [file('f', 'x')],
    layer: [xattr('trusted.overlay.whiteout'), file('f')],
    wants: 'ERR_LAYER_RESERVED',
  },
  {
    name: 'TAR-07: the device 0:0',
    base: [file('f', 'x')],
    layer: [char('f', 0, 0)],
    wants: 'ERR_LAYER_RESERVED',
  },
  {
    name: 'TAR-07: a block device 0:0 is no whiteout',
    base: [file('f', 'x')],
    layer: [blockDevice('f', 0, 0)],
    wants: ['block f 0:0'],
  },
  {
    name: 'TAR-07: other attributes of the machine are dropped',
    layer: [xattr('trusted.secret'), file('f', 'x'), xattr('security.selinux', 'a:b:c'), file('g', 'x')],
    wants: ['file f = x', 'file g = x'],
  },
]

const capability = Buffer.from('0100000200040000000000000000000000000000', 'hex')
const capabilityOfUser = Buffer.from('010000030004000000000000000000000000000000e80300', 'hex')

const kept: readonly LayerCase[] = [
  {
    name: 'TAR-13: capabilities',
    layer: [xattr('security.capability', capability), file('f', 'x', { mode: 0o755 })],
    wants: [`file f = x 0755 {security.capability=${capability.toString('hex')}}`],
  },
  {
    name: 'TAR-13: capabilities of a user namespace (version 3)',
    layer: [xattr('security.capability', capabilityOfUser), file('f', 'x')],
    wants: [`file f = x {security.capability=${capabilityOfUser.toString('hex')}}`],
  },
  {
    name: 'TAR-13: capabilities and an owner, which chown would take away',
    layer: [xattr('security.capability', capability), file('f', 'x', { mode: 0o4755, uid: 7 })],
    wants: [`file f = x 4755 7:0 {security.capability=${capability.toString('hex')}}`],
  },
  {
    name: 'TAR-13: a signature of the machine',
    layer: [xattr('security.ima', 'signature'), file('f', 'x')],
    wants: ['file f = x'],
  },
  {
    name: 'TAR-13: a setuid bit on a link',
    layer: [symlink('l', 'x', { mode: 0o4777 })],
    wants: ['link l -> x'],
  },
  {
    name: 'TAR-13: setuid, setgid and sticky',
    layer: [file('f', 'x', { mode: 0o7777, uid: 7, gid: 8 }), dir('d', 0o7777), fifo('p', { mode: 0o7777 })],
    wants: ['dir d 7777', 'file f = x 7777 7:8', 'fifo p 7777'],
  },
  {
    name: 'TAR-13: attributes of a user',
    layer: [
      xattr('user.text', 'value'),
      file('f', 'x'),
      xattr('user.bytes', Buffer.from([0, 255, 10])),
      dir('d'),
    ],
    wants: ['dir d {user.bytes=00ff0a}', 'file f = x {user.text=76616c7565}'],
  },
  {
    name: 'TAR-13: attributes of a directory replace those of the layer below',
    base: [xattr('user.old'), dir('d')],
    layer: [xattr('user.new'), dir('d')],
    wants: ['dir d {user.new=79}'],
  },
  { name: 'TAR-13: an attribute without a name', layer: [xattr(''), file('f')], wants: 'ERR_LAYER_INVALID' },
  {
    name: 'TAR-13: modes of 0000',
    layer: [file('f', 'x', { mode: 0 }), dir('d', 0)],
    wants: ['dir d 0000', 'file f = x 0000'],
  },
]

const numbers: readonly LayerCase[] = [
  { name: 'TAR-08: a device', layer: [char('c', 1, 3)], wants: ['char c 1:3'] },
  { name: 'TAR-08: the largest device', layer: [char('c', 4095, 1048575)], wants: ['char c 4095:1048575'] },
  ...[
    ['a major number of 2^12', base256(2n ** 12n, 8), 0],
    ['a minor number of 2^20', 0, base256(2n ** 20n, 8)],
    ['a major number of 2^32+1', base256(2n ** 32n + 1n, 8), 3],
    ['a minor number of 2^32+3', 1, base256(2n ** 32n + 3n, 8)],
    ['a major number of -1', Buffer.alloc(8, 0xff), 3],
    ['a minor number of -1', 1, Buffer.alloc(8, 0xff)],
    ['a major number that is no number', 'evil', 3],
  ].map(([what, major = 0, minor = 0]) => ({
    name: `TAR-08: ${what}`,
    layer: [char('c', major, minor, gnu)],
    wants: 'ERR_LAYER_INVALID' as const,
  })),
  ...[0, 65534, 65535, 2 ** 21 - 1, 2 ** 21, 2 ** 31, 2 ** 32 - 2].map((id) => ({
    name: `FS-07: the owner ${id}`,
    layer: [file('f', 'x', { uid: base256(BigInt(id), 8), gid: base256(BigInt(id), 8), ...gnu })],
    wants: [id === 0 ? 'file f = x' : `file f = x ${id}:${id}`],
  })),
  {
    name: 'FS-07: the owner 2^32-1',
    layer: [pax({ uid: '4294967295' }), file('f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'FS-07: the group 2^32-1',
    layer: [pax({ gid: '4294967295' }), file('f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'FS-07: the owner 2^32',
    layer: [pax({ uid: '4294967296' }), file('f', 'x')],
    wants: 'ERR_LAYER_INVALID',
  },
  {
    name: 'FS-07: the owner -1',
    layer: [file('f', 'x', { uid: Buffer.alloc(8, 0xff), ...gnu })],
    wants: 'ERR_LAYER_INVALID',
  },
]

/** TAR-07, TAR-08 and TAR-13: attributes, devices, owners. */
export const attributes: readonly LayerCase[] = [...overlay, ...kept, ...numbers]
