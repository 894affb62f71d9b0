/** One header field as it stands in the block: a number in octal, or exactly these bytes. */
type Field = number | string | Buffer

/** What differs from the header that the functions below write. */
export interface Fields {
  readonly mode?: Field
  readonly uid?: Field
  readonly gid?: Field
  /** Bytes that the header claims; the content is written whatever it says. */
  readonly size?: Field
  readonly mtime?: Field
  readonly link?: string | Buffer
  /** Seven bytes and more of magic and version. */
  readonly magic?: string
  readonly major?: Field
  readonly minor?: Field
  readonly prefix?: string | Buffer
  readonly userName?: string
  /** Overwrites bytes anywhere, before the checksum is made. */
  readonly patch?: readonly [offset: number, bytes: string | Buffer]
  /** The number that stands as checksum, in place of the right one. */
  readonly checksum?: (right: number) => number
}

const block = 512
/** What ends an archive. */
export const endMark: Buffer = Buffer.alloc(2 * block)
/** When everything was changed last that says no other time: 2020-09-13. */
export const usualTime = 1_600_000_000

/** Header and content of an entry of any type, padded to whole blocks. */
export function entry(
  type: string,
  name: string | Buffer,
  content: string | Buffer,
  fields: Fields = {},
): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([header(type, name, bytes.length, fields), padded(bytes)])
}

/** A regular file. */
export const file = (name: string | Buffer, content: string | Buffer = '', fields?: Fields): Buffer =>
  entry('0', name, content, fields)
/** A directory. */
export const dir = (name: string | Buffer, mode = 0o755, fields?: Fields): Buffer =>
  entry('5', name, '', { mode, ...fields })
/** A symbolic link; its target comes second. */
export const symlink = (name: string, link: string, fields?: Fields): Buffer =>
  entry('2', name, '', { mode: 0o777, link, ...fields })
/** A hard link; its target comes second. */
export const hardlink = (name: string, link: string, fields?: Fields): Buffer =>
  entry('1', name, '', { link, ...fields })
/** A pipe. */
export const fifo = (name: string, fields?: Fields): Buffer => entry('6', name, '', fields)
/** A character device. */
export const char = (name: string, major: Field, minor: Field, fields?: Fields): Buffer =>
  entry('3', name, '', { major, minor, ...fields })
/** A block device. */
export const blockDevice = (name: string, major: Field, minor: Field): Buffer =>
  entry('4', name, '', { major, minor })

/** An extended header for the next entry. */
export const pax = (records: Records): Buffer => entry('x', 'pax', paxRecords(records))
/** An extended header for all entries that follow. */
export const globalPax = (records: Records): Buffer => entry('g', 'pax', paxRecords(records))
/** A GNU long name, or with `K` a long link target, for the next entry. */
export const gnuLong = (text: string, type: 'L' | 'K' = 'L'): Buffer =>
  entry(type, '././@LongLink', `${text}\0`, gnu)
/** The magic of GNU tar. */
export const gnu: Fields = { magic: 'ustar  \0' }
/** No magic at all, as before 1988. */
export const v7: Fields = { magic: '\0\0\0\0\0\0\0\0' }

/** Keys and values of an extended header, in this order. */
export type Records =
  | Readonly<Record<string, string | Buffer>>
  | readonly (readonly [string, string | Buffer])[]

/** Records one after the other; the length of each counts its own digits. */
export function paxRecords(records: Records): Buffer {
  const pairs = Array.isArray(records) ? records : Object.entries(records)
  return Buffer.concat(
    pairs.map(([key, value]) => {
      const body = Buffer.concat([Buffer.from(` ${key}=`), Buffer.from(value), Buffer.from('\n')])
      let digits = 1
      while (`${body.length + digits}`.length !== digits) digits += 1
      return Buffer.concat([Buffer.from(`${body.length + digits}`), body])
    }),
  )
}

/** GNU's binary form of a number in a field of `width` bytes. */
export function base256(value: bigint, width: number): Buffer {
  const bytes = Buffer.alloc(width)
  let rest = value
  for (let at = width - 1; at >= 0; at -= 1) {
    bytes[at] = Number(rest & 0xffn)
    rest >>= 8n
  }
  bytes[0] = (bytes[0] ?? 0) | 0x80
  return bytes
}

/** Zeros up to the next whole block. */
export function padded(content: Buffer): Buffer {
  return Buffer.concat([content, Buffer.alloc((block - (content.length % block)) % block)])
}

/** A header block whose checksum is right unless `fields` say otherwise. */
export function header(type: string, name: string | Buffer, sizeBytes: number, fields: Fields = {}): Buffer {
  const bytes = Buffer.alloc(block)
  const put = (offset: number, length: number, value: Field) => {
    const text = typeof value === 'number' ? `${value.toString(8).padStart(length - 1, '0')}\0` : value
    Buffer.from(text).copy(bytes, offset, 0, length)
  }
  put(0, 100, Buffer.from(name))
  put(100, 8, fields.mode ?? 0o644)
  put(108, 8, fields.uid ?? 0)
  put(116, 8, fields.gid ?? 0)
  put(124, 12, fields.size ?? sizeBytes)
  put(136, 12, fields.mtime ?? usualTime)
  put(148, 8, ' '.repeat(8))
  put(156, 1, type)
  put(157, 100, fields.link ?? '')
  put(257, 8, fields.magic ?? 'ustar\x0000')
  put(265, 32, fields.userName ?? '')
  put(329, 8, fields.major ?? 0)
  put(337, 8, fields.minor ?? 0)
  put(345, 155, fields.prefix ?? '')
  if (fields.patch !== undefined) put(fields.patch[0], block, Buffer.from(fields.patch[1]))
  const right = bytes.reduce((total, byte) => total + byte, 0)
  const sum = fields.checksum?.(right) ?? right
  put(148, 8, `${sum.toString(8).padStart(6, '0')}\0 `)
  return bytes
}
