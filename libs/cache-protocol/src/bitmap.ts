/** Media type of presence only: a bit for each key of the request, the first one the lowest of the first byte. */
export const bitmapType = 'application/vnd.tsbuild.bitmap'

/** The bytes of a bitmap; bits behind the last are 0. */
export function encodeBitmap(bits: readonly boolean[]): Uint8Array {
  const bytes = new Uint8Array(Math.ceil(bits.length / 8))
  for (const [place, bit] of bits.entries()) {
    if (bit) bytes[place >> 3] = (bytes[place >> 3] ?? 0) | (1 << (place & 7))
  }
  return bytes
}

/** Reads a bitmap of so many bits; undefined for one of another length. */
export function decodeBitmap(bytes: Uint8Array, bits: number): readonly boolean[] | undefined {
  if (bytes.length !== Math.ceil(bits / 8)) return undefined
  return Array.from({ length: bits }, (_, place) => (((bytes[place >> 3] ?? 0) >> (place & 7)) & 1) === 1)
}
