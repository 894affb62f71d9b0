/** How many bytes {@link isArchive} looks at. */
export const archiveHeadBytes = 512

/** What each compression begins with. */
const magics: readonly (readonly number[])[] = [
  [0x1f, 0x8b],
  [0x42, 0x5a, 0x68],
  [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00],
  [0x28, 0xb5, 0x2f, 0xfd],
]

/**
 * Whether bytes are an archive by how they begin: gzip, bzip2, xz, zstd, or a tar header whose checksum is right. Names and
 * media types do not count. @param head the first {@link archiveHeadBytes} bytes, or all there are
 *
 * @see spec/dockerfile.md 1.7
 */
export function isArchive(head: Uint8Array): boolean {
  return magics.some((magic) => magic.every((byte, index) => head[index] === byte)) || isTarHeader(head)
}

const checksumStart = 148
const checksumEnd = 156

/** The checksum is the sum of the header's bytes with blanks in its own place; old writers summed signed bytes. */
function isTarHeader(head: Uint8Array): boolean {
  if (head.length < archiveHeadBytes) return false
  let unsigned = 0
  let signed = 0
  for (const [index, byte] of head.subarray(0, archiveHeadBytes).entries()) {
    const counted = index >= checksumStart && index < checksumEnd ? 0x20 : byte
    unsigned += counted
    signed += counted > 127 ? counted - 256 : counted
  }
  const field = Buffer.from(head.subarray(checksumStart, checksumEnd)).toString('latin1')
  const [, digits] = /^[ \0]*([0-7]+)[ \0]*$/.exec(field) ?? []
  const written = digits === undefined ? undefined : Number.parseInt(digits, 8)
  return written === unsigned || written === signed
}
