/** A header as databases of rpm store it; numbers become 32 bits. */
export function rpmHeader(values: Readonly<Record<number, string | number>>): Buffer {
  const entries: Buffer[] = []
  const data: Buffer[] = []
  let offset = 0
  // What integer keys are sorted by, rpm sorts by too. Numbers come first, so that they are aligned.
  const sorted = Object.entries(values).sort(
    ([, one], [, other]) => Number(typeof one === 'string') - Number(typeof other === 'string'),
  )
  for (const [tag, value] of sorted) {
    const bytes = typeof value === 'string' ? Buffer.from(`${value}\0`) : Buffer.alloc(4)
    if (typeof value === 'number') bytes.writeUInt32BE(value)
    const entry = Buffer.alloc(16)
    entry.writeUInt32BE(Number(tag), 0)
    entry.writeUInt32BE(typeof value === 'string' ? 6 : 4, 4)
    entry.writeUInt32BE(offset, 8)
    entry.writeUInt32BE(1, 12)
    entries.push(entry)
    data.push(bytes)
    offset += bytes.length
  }
  const counts = Buffer.alloc(8)
  counts.writeUInt32BE(entries.length, 0)
  counts.writeUInt32BE(offset, 4)
  return Buffer.concat([counts, ...entries, ...data])
}

/** A database in rpm's own form with one page of slots, the first of which is free. */
export function ndbFile(blobs: readonly Buffer[]): Buffer {
  const page = Buffer.alloc(4096)
  page.write('RpmP', 'latin1')
  page.writeUInt32LE(1, 8)
  page.writeUInt32LE(1, 12)
  const parts: Buffer[] = [page]
  let offset = page.length
  for (const [index, blob] of blobs.entries()) {
    const slot = 48 + index * 16
    const length = Math.ceil((16 + blob.length + 12) / 16) * 16
    page.write('Slot', slot, 'latin1')
    page.writeUInt32LE(index + 1, slot + 4)
    page.writeUInt32LE(offset / 16, slot + 8)
    page.writeUInt32LE(length / 16, slot + 12)
    const stored = Buffer.alloc(length)
    stored.write('BlbS', 'latin1')
    stored.writeUInt32LE(index + 1, 4)
    stored.writeUInt32LE(blob.length, 12)
    blob.copy(stored, 16)
    parts.push(stored)
    offset += length
  }
  page.write('Slot', 32, 'latin1')
  return Buffer.concat(parts)
}

/** A hash of Berkeley DB with one page of items: the first in the page, the others in chains of pages. */
export function berkeleyFile(blobs: readonly Buffer[], bigEndian = false): Buffer {
  const pageBytes = 512
  const pages: Buffer[] = []
  const u16 = (page: Buffer, value: number, at: number) =>
    bigEndian ? page.writeUInt16BE(value, at) : page.writeUInt16LE(value, at)
  const u32 = (page: Buffer, value: number, at: number) =>
    bigEndian ? page.writeUInt32BE(value, at) : page.writeUInt32LE(value, at)
  const addPage = (type: number): Buffer => {
    const page = Buffer.alloc(pageBytes)
    u32(page, pages.length, 8)
    page[25] = type
    pages.push(page)
    return page
  }
  const meta = addPage(8)
  u32(meta, 0x061561, 12)
  u32(meta, pageBytes, 20)
  const items = addPage(13)
  let end = pageBytes
  const addItem = (index: number, item: Buffer) => {
    end -= item.length
    item.copy(items, end)
    u16(items, end, 26 + index * 2)
    u16(items, index + 1, 20)
  }
  for (const [index, blob] of blobs.entries()) {
    addItem(index * 2, Buffer.from([1, 0, 0, 0, index]))
    if (index === 0) {
      addItem(1, Buffer.concat([Buffer.from([1]), blob]))
      continue
    }
    const first = pages.length
    for (let start = 0; start < blob.length; start += pageBytes - 26) {
      const page = addPage(7)
      const part = blob.subarray(start, start + pageBytes - 26)
      part.copy(page, 26)
      u16(page, part.length, 22)
      u32(page, start + part.length < blob.length ? pages.length : 0, 16)
    }
    const place = Buffer.alloc(12)
    place[0] = 3
    u32(place, first, 4)
    u32(place, blob.length, 8)
    addItem(index * 2 + 1, place)
  }
  return Buffer.concat(pages)
}
