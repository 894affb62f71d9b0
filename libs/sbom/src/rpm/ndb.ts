const headerBytes = 32
const pageBytes = 4096
const slotBytes = 16
/** Offsets of blobs count in these. */
const blockBytes = 16
const blobHeaderBytes = 16

const fileMagic = 0x506d7052
const slotMagic = 0x746f6c53
const blobMagic = 0x53626c42

/** Whether a file is a database in rpm's own form, `Packages.db`. */
export function isNdb(bytes: Buffer): boolean {
  return bytes.length >= headerBytes && bytes.readUInt32LE(0) === fileMagic && bytes.readUInt32LE(4) === 0
}

/**
 * The headers of a database in rpm's own form: pages of slots, each with the place of a blob. Places that are outside of the file
 * or hold no blob are passed over.
 *
 * @see https://github.com/rpm-software-management/rpm/blob/master/lib/backend/ndb/rpmpkg.c
 */
export function* readNdb(bytes: Buffer): Generator<Buffer> {
  const end = Math.min(bytes.readUInt32LE(12) * pageBytes, bytes.length)
  for (let at = headerBytes; at + slotBytes <= end; at += slotBytes) {
    const offset = bytes.readUInt32LE(at + 8) * blockBytes
    // A slot that is free has no place.
    if (bytes.readUInt32LE(at) !== slotMagic || offset === 0) continue
    if (offset + blobHeaderBytes > bytes.length || bytes.readUInt32LE(offset) !== blobMagic) continue
    if (bytes.readUInt32LE(offset + 4) !== bytes.readUInt32LE(at + 4)) continue
    const start = offset + blobHeaderBytes
    const length = bytes.readUInt32LE(offset + 12)
    if (start + length <= bytes.length) yield bytes.subarray(start, start + length)
  }
}
