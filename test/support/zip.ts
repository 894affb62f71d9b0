import { crc32 } from 'node:zlib'

/** The bytes of a zip archive of uncompressed files: what Python and Go packages are. */
export function makeZip(files: Readonly<Record<string, string>>): Buffer {
  const entries: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const [name, text] of Object.entries(files)) {
    const common = commonHeader(Buffer.from(text), Buffer.byteLength(name))
    const entry = Buffer.concat([word(0x04034b50), common, Buffer.from(name), Buffer.from(text)])
    const where = Buffer.concat([half(0), half(0), half(0), word(0o100644 * 65536), word(offset)])
    directory.push(word(0x02014b50), half(0x0314), common, where, Buffer.from(name))
    entries.push(entry)
    offset += entry.length
  }
  const count = half(entries.length)
  const central = Buffer.concat(directory)
  const end = [word(0x06054b50), half(0), half(0), count, count, word(central.length), word(offset), half(0)]
  return Buffer.concat([...entries, central, ...end])
}

/** What stands in the header of the file and in the directory alike. The date is 1 January 1980. */
function commonHeader(data: Buffer, nameBytes: number): Buffer {
  const times = [half(0), half(0x21)]
  const sizes = [word(crc32(data)), word(data.length), word(data.length)]
  return Buffer.concat([half(20), half(0), half(0), ...times, ...sizes, half(nameBytes), half(0)])
}

function half(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeUInt16LE(value)
  return bytes
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
