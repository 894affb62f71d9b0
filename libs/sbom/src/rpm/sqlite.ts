const magic = 'SQLite format 3\0'
const fileHeaderBytes = 100

const interiorPage = 5
const leafPage = 13

/** No tree of a database that fits into memory is deeper. */
const maxDepth = 20

/** A database: its pages count from 1. */
interface Database {
  readonly bytes: Buffer
  readonly pageBytes: number
  /** Of a page that is for data. */
  readonly usableBytes: number
  /** What may still be read of rows: no row is in a database twice. The reader of headers gives up before, and says so. */
  leftBytes: number
}

/** The columns of a row; what is neither text nor bytes nor a number is null. */
type Row = readonly (Buffer | number | null)[]

/** Whether a file is a database of SQLite, `rpmdb.sqlite`. */
export function isSqlite(bytes: Buffer): boolean {
  return openDatabase(bytes) !== undefined
}

/**
 * The headers in the table `Packages` of a database of SQLite, in the order of their rows. Of SQLite this is what a walk over one
 * table needs; pages that lead outside of the file, or in a circle, are passed over. What is only in a journal beside the file is
 * not seen: rpm merges it when it ends.
 *
 * @see https://www.sqlite.org/fileformat2.html
 */
export function* readSqlite(bytes: Buffer): Generator<Buffer> {
  const database = openDatabase(bytes)
  if (database === undefined) return
  for (const [type, name, , root] of rowsOf(database, 1)) {
    if (String(type) !== 'table' || String(name) !== 'Packages' || typeof root !== 'number') continue
    for (const row of rowsOf(database, root)) {
      // The first column is the number of the row, which is stored in its place.
      const blob = row[1]
      if (Buffer.isBuffer(blob)) yield blob
    }
    return
  }
}

function openDatabase(bytes: Buffer): Database | undefined {
  if (bytes.length < fileHeaderBytes || bytes.toString('latin1', 0, magic.length) !== magic) return undefined
  const written = bytes.readUInt16BE(16)
  const pageBytes = written === 1 ? 65_536 : written
  const usableBytes = pageBytes - (bytes[20] ?? 0)
  const isPowerOfTwo = pageBytes >= 512 && (pageBytes & (pageBytes - 1)) === 0
  return isPowerOfTwo && usableBytes >= 480
    ? { bytes, pageBytes, usableBytes, leftBytes: 2 * bytes.length }
    : undefined
}

/** The rows of a table, whose tree begins at a page. */
function* rowsOf(database: Database, root: number): Generator<Row> {
  const { bytes, pageBytes } = database
  const seen = new Set([root])
  const pending = [{ page: root, depth: 0 }]
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    const start = (next.page - 1) * pageBytes
    if (next.page < 1 || start + pageBytes > bytes.length || next.depth > maxDepth) continue
    const header = next.page === 1 ? start + fileHeaderBytes : start
    const type = bytes[header]
    if (type !== interiorPage && type !== leafPage) continue
    const cells = cellsOf(
      database,
      start,
      header + (type === leafPage ? 8 : 12),
      bytes.readUInt16BE(header + 3),
    )
    if (type === leafPage) {
      for (const cell of cells) {
        const payload = payloadOf(database, start, cell)
        if (payload !== undefined) yield readRecord(payload)
      }
    } else {
      const below = [...cells.map((cell) => bytes.readUInt32BE(cell)), bytes.readUInt32BE(header + 8)]
      const depth = next.depth + 1
      // Noted before it is looked at: cells that all name one page would wait by the million.
      for (const page of below.reverse()) {
        if (seen.has(page) || page * pageBytes > bytes.length) continue
        seen.add(page)
        pending.push({ page, depth })
      }
    }
  }
}

/** Where the cells of a page begin. */
function cellsOf({ bytes, pageBytes }: Database, start: number, pointers: number, count: number): number[] {
  const end = start + pageBytes
  const cells: number[] = []
  for (let at = pointers; at + 2 <= end && cells.length < count; at += 2) {
    const cell = start + bytes.readUInt16BE(at)
    if (cell >= pointers && cell + 4 <= end) cells.push(cell)
  }
  return cells
}

/** What does not fit into a page goes on in a chain of others. */
function payloadOf(database: Database, start: number, cell: number): Buffer | undefined {
  const { bytes, pageBytes, usableBytes } = database
  const [length, afterLength] = readVarint(bytes, cell)
  const [, at] = readVarint(bytes, afterLength)
  if (length > database.leftBytes) return undefined
  // One without anything is a row, too.
  database.leftBytes -= Math.max(length, 1)
  const most = usableBytes - 35
  const least = Math.floor(((usableBytes - 12) * 32) / 255) - 23
  const surplus = least + ((length - least) % (usableBytes - 4))
  const local = length <= most ? length : surplus <= most ? surplus : least
  if (at + local > start + pageBytes) return undefined
  const parts = [bytes.subarray(at, at + local)]
  let rest = length - local
  if (rest > 0 && at + local + 4 > start + pageBytes) return undefined
  let page = rest > 0 ? bytes.readUInt32BE(at + local) : 0
  while (rest > 0) {
    const from = (page - 1) * pageBytes
    if (page < 1 || from + pageBytes > bytes.length) return undefined
    const size = Math.min(rest, usableBytes - 4)
    parts.push(bytes.subarray(from + 4, from + 4 + size))
    rest -= size
    page = bytes.readUInt32BE(from)
  }
  return Buffer.concat(parts)
}

/** Bytes of the whole numbers of types 0 to 9. */
const numberBytes = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0]

function readRecord(payload: Buffer): Row {
  const [headerLength, first] = readVarint(payload, 0)
  const row: (Buffer | number | null)[] = []
  let value = headerLength
  for (let at = first; at < headerLength && at < payload.length; ) {
    const [type, next] = readVarint(payload, at)
    at = next
    const size = type >= 12 ? Math.floor((type - 12) / 2) : (numberBytes[type] ?? 0)
    if (value + size > payload.length) break
    const bytes = payload.subarray(value, value + size)
    value += size
    row.push(type >= 12 ? bytes : numberOf(type, bytes))
  }
  return row
}

function numberOf(type: number, bytes: Buffer): number | null {
  if (type === 8 || type === 9) return type - 8
  return type >= 1 && type <= 5 ? bytes.readIntBE(0, bytes.length) : null
}

/** Groups of seven bits, the first the highest; what JavaScript cannot count is infinite. */
function readVarint(bytes: Buffer, start: number): readonly [value: number, end: number] {
  let value = 0
  for (let at = start; at < start + 9; at++) {
    const byte = bytes[at]
    if (byte === undefined) break
    if (at === start + 8) return [value * 256 + byte, at + 1]
    value = value * 128 + (byte & 0x7f)
    if (byte < 0x80) return [value, at + 1]
  }
  return [Number.POSITIVE_INFINITY, bytes.length]
}
