/** One entry of an archive, extended headers applied. Attributes and content are bytes, as they stand. */
export interface TarMember {
  readonly name: string
  /** The header's type; `0` also for what old archives call by a zero byte. */
  readonly type: string
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly mtime: number
  readonly link: string
  readonly device: readonly [major: number, minor: number]
  readonly xattrs: ReadonlyMap<string, Buffer>
  readonly content: Buffer
}

const block = 512

/**
 * Reads an archive in the ustar, pax or GNU format. Apart from libs and from tar-stream, whose pax values are text.
 *
 * @throws {Error} when the archive is cut off or holds a sparse file
 */
export function readTar(archive: Buffer): readonly TarMember[] {
  const members: TarMember[] = []
  let pax = new Map<string, Buffer>()
  for (let offset = 0; offset + block <= archive.length; ) {
    const header = archive.subarray(offset, offset + block)
    if (header.every((byte) => byte === 0)) break
    const type = fieldText(header, 156, 1) || '0'
    const size = Number(pax.get('size')?.toString() ?? fieldNumber(header, 124, 12))
    const content = archive.subarray(offset + block, offset + block + size)
    if (content.length < size) throw new Error(`archive ends in ${fieldText(header, 0, 100)}`)
    offset += block + Math.ceil(size / block) * block
    if (type === 'x') pax = readPax(content)
    else if (type === 'L') pax.set('path', untilZero(content))
    else if (type === 'K') pax.set('linkpath', untilZero(content))
    else if (type === 'S') throw new Error('sparse files are not read')
    else if (type !== 'g') {
      members.push(readMember(header, type, pax, content))
      pax = new Map()
    }
  }
  return members
}

function readMember(
  header: Buffer,
  type: string,
  pax: ReadonlyMap<string, Buffer>,
  content: Buffer,
): TarMember {
  const said = (key: string) => pax.get(key)?.toString()
  const isUstar = fieldText(header, 257, 6).startsWith('ustar') && header[262] === 0
  const prefix = isUstar ? fieldText(header, 345, 155) : ''
  const name = fieldText(header, 0, 100)
  return {
    name: said('path') ?? (prefix === '' ? name : `${prefix}/${name}`),
    type,
    mode: fieldNumber(header, 100, 8) & 0o7777,
    uid: Number(said('uid') ?? fieldNumber(header, 108, 8)),
    gid: Number(said('gid') ?? fieldNumber(header, 116, 8)),
    mtime: Math.floor(Number(said('mtime') ?? fieldNumber(header, 136, 12))),
    link: said('linkpath') ?? fieldText(header, 157, 100),
    device: [fieldNumber(header, 329, 8), fieldNumber(header, 337, 8)],
    xattrs: new Map(
      [...pax].flatMap(([key, value]) =>
        key.startsWith('SCHILY.xattr.') ? [[key.slice('SCHILY.xattr.'.length), value] as const] : [],
      ),
    ),
    content,
  }
}

function readPax(bytes: Buffer): Map<string, Buffer> {
  const records = new Map<string, Buffer>()
  for (let offset = 0; offset < bytes.length; ) {
    const space = bytes.indexOf(0x20, offset)
    const length = Number(bytes.toString('latin1', offset, space))
    const equals = bytes.indexOf(0x3d, space)
    if (!(length > 0) || equals < 0) throw new Error('extended header without a record')
    records.set(bytes.toString('utf8', space + 1, equals), bytes.subarray(equals + 1, offset + length - 1))
    offset += length
  }
  return records
}

function untilZero(bytes: Buffer): Buffer {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

function fieldText(header: Buffer, offset: number, length: number): string {
  return untilZero(header.subarray(offset, offset + length)).toString()
}

/** Octal digits, or GNU's big-endian number behind a set high bit. */
function fieldNumber(header: Buffer, offset: number, length: number): number {
  const field = header.subarray(offset, offset + length)
  if (((field[0] ?? 0) & 0x80) !== 0) {
    return [...field.subarray(1)].reduce((sum, byte) => sum * 256 + byte, (field[0] ?? 0) & 0x7f)
  }
  return Number.parseInt(untilZero(field).toString().trim() || '0', 8)
}
