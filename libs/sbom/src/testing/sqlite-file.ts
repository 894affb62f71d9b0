const pageBytes = 512

/** A database with the table `Packages`, its rows in a leaf each below one interior page, long ones with pages of overflow. */
export function sqliteFile(blobs: readonly Buffer[]): Buffer {
  const pages: Buffer[] = [Buffer.alloc(pageBytes), Buffer.alloc(pageBytes)]
  const leaves = blobs.map((blob, index) => {
    const leaf = Buffer.alloc(pageBytes)
    pages.push(leaf)
    const number = pages.length
    putCells(leaf, 0, 13, [rowCell(index + 1, [null, blob], pages)])
    return number
  })
  const interior = pages[1] ?? Buffer.alloc(0)
  const children = leaves.slice(0, -1).map((leaf, index) => {
    const cell = Buffer.alloc(5)
    cell.writeUInt32BE(leaf)
    cell[4] = index + 1
    return cell
  })
  putCells(interior, 0, 5, children)
  interior.writeUInt32BE(leaves.at(-1) ?? 0, 8)
  const [first = Buffer.alloc(0)] = pages
  first.write('SQLite format 3\0', 'latin1')
  first.writeUInt16BE(pageBytes, 16)
  const table = Buffer.from('table')
  const name = Buffer.from('Packages')
  putCells(first, 100, 13, [rowCell(1, [table, name, name, 2], pages)])
  return Buffer.concat(pages)
}

function putCells(page: Buffer, header: number, type: number, cells: readonly Buffer[]): void {
  let end = pageBytes
  page[header] = type
  page.writeUInt16BE(cells.length, header + 3)
  for (const [index, cell] of cells.entries()) {
    end -= cell.length
    cell.copy(page, end)
    page.writeUInt16BE(end, header + (type === 5 ? 12 : 8) + index * 2)
  }
}

function rowCell(id: number, values: readonly (Buffer | number | null)[], pages: Buffer[]): Buffer {
  const types = values.map((value) =>
    value === null ? 0 : typeof value === 'number' ? 1 : value.length * 2 + 12,
  )
  const header = Buffer.concat(types.map(varint))
  const body = values.map((value) =>
    Buffer.isBuffer(value) ? value : Buffer.from(value === null ? [] : [value]),
  )
  const payload = Buffer.concat([varint(header.length + 1), header, ...body])
  const most = pageBytes - 35
  if (payload.length <= most) return Buffer.concat([varint(payload.length), varint(id), payload])
  const least = Math.floor(((pageBytes - 12) * 32) / 255) - 23
  const surplus = least + ((payload.length - least) % (pageBytes - 4))
  const local = surplus <= most ? surplus : least
  const next = Buffer.alloc(4)
  next.writeUInt32BE(pages.length + 1)
  for (let start = local; start < payload.length; start += pageBytes - 4) {
    const page = Buffer.alloc(pageBytes)
    pages.push(page)
    page.writeUInt32BE(start + pageBytes - 4 < payload.length ? pages.length + 1 : 0)
    payload.copy(page, 4, start, start + pageBytes - 4)
  }
  return Buffer.concat([varint(payload.length), varint(id), payload.subarray(0, local), next])
}

function varint(value: number): Buffer {
  const bytes = [value & 0x7f]
  for (let rest = Math.floor(value / 128); rest > 0; rest = Math.floor(rest / 128))
    bytes.unshift((rest & 0x7f) | 0x80)
  return Buffer.from(bytes)
}
