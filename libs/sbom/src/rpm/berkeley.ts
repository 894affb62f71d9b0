const hashMagic = 0x061561
const pageHeaderBytes = 26

const unsortedHashPage = 2
const hashPage = 13
const overflowPage = 7

const inPage = 1
const offPage = 3

/** How the numbers of a file are written: in the order of the machine that made it. */
interface Database {
  readonly bytes: Buffer
  readonly pageBytes: number
  readonly u16: (at: number) => number
  readonly u32: (at: number) => number
  /** What may still be read of chains: no page is in two. The reader of headers gives up before, and says so. */
  leftBytes: number
}

/** Whether a file is a hash of Berkeley DB, `Packages`. */
export function isBerkeley(bytes: Buffer): boolean {
  return openDatabase(bytes) !== undefined
}

/**
 * The values of a hash of Berkeley DB: those of small ones lie in its pages, those of others in chains of pages. What leads
 * outside of the file, or in a circle, is passed over.
 *
 * @see https://github.com/berkeleydb/libdb/blob/master/src/dbinc/db_page.h
 */
export function* readBerkeley(bytes: Buffer): Generator<Buffer> {
  const database = openDatabase(bytes)
  if (database === undefined) return
  const { pageBytes, u16 } = database
  for (let page = pageBytes; page + pageHeaderBytes <= bytes.length; page += pageBytes) {
    const type = bytes[page + 25]
    if (type !== hashPage && type !== unsortedHashPage) continue
    const count = Math.min(u16(page + 20), Math.floor((pageBytes - pageHeaderBytes) / 2))
    // Keys and values take turns, and lie from the end of the page on.
    for (let index = 1; index < count; index += 2) {
      const place = (nth: number) => u16(page + pageHeaderBytes + nth * 2)
      if (page + pageHeaderBytes + index * 2 + 2 > bytes.length) break
      const value = readItem(database, page, place(index), place(index - 1))
      if (value !== undefined) yield value
    }
  }
}

function openDatabase(bytes: Buffer): Database | undefined {
  if (bytes.length < 512) return undefined
  const little = bytes.readUInt32LE(12) === hashMagic
  if (!little && bytes.readUInt32BE(12) !== hashMagic) return undefined
  const u16 = (at: number) => (little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at))
  const u32 = (at: number) => (little ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at))
  const pageBytes = u32(20)
  const isPowerOfTwo = pageBytes >= 512 && pageBytes <= 65_536 && (pageBytes & (pageBytes - 1)) === 0
  return isPowerOfTwo && bytes[24] === 0
    ? { bytes, pageBytes, u16, u32, leftBytes: 2 * bytes.length }
    : undefined
}

function readItem(database: Database, page: number, start: number, end: number): Buffer | undefined {
  const { bytes, pageBytes, u32 } = database
  const at = page + start
  if (start < pageHeaderBytes || end > pageBytes || start >= end || page + end > bytes.length)
    return undefined
  if (bytes[at] === inPage) return bytes.subarray(at + 1, page + end)
  if (bytes[at] !== offPage || at + 12 > bytes.length) return undefined
  return readChain(database, u32(at + 4), u32(at + 8))
}

function readChain(database: Database, first: number, length: number): Buffer | undefined {
  const { bytes, pageBytes, u16, u32 } = database
  if (length > bytes.length) return undefined
  const parts: Buffer[] = []
  let rest = length
  for (let number = first; rest > 0; ) {
    const page = number * pageBytes
    if (number === 0 || page + pageHeaderBytes > bytes.length || bytes[page + 25] !== overflowPage)
      return undefined
    const size = Math.min(u16(page + 22), rest, pageBytes - pageHeaderBytes)
    // A page without anything could lead to itself for ever.
    if (size === 0 || page + pageHeaderBytes + size > bytes.length) return undefined
    database.leftBytes -= size
    if (database.leftBytes < 0) return undefined
    parts.push(bytes.subarray(page + pageHeaderBytes, page + pageHeaderBytes + size))
    rest -= size
    number = u32(page + 16)
  }
  return Buffer.concat(parts)
}
