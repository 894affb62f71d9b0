const FATAL = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** What a byte that is no UTF-8 becomes: U+DC80 for 0x80 up to U+DCFF for 0xFF. */
const ESCAPE_BASE = 0xdc00

/** The smallest and largest second byte that may follow a first byte, so that no form is overlong, a surrogate or above U+10FFFF. */
function secondBounds(first: number): readonly [number, number] {
  if (first === 0xe0) return [0xa0, 0xbf]
  if (first === 0xed) return [0x80, 0x9f]
  if (first === 0xf0) return [0x90, 0xbf]
  return first === 0xf4 ? [0x80, 0x8f] : [0x80, 0xbf]
}

/** The length in bytes of the character at an index, or 0 when none begins there. */
function characterLength(bytes: Uint8Array, index: number): number {
  const first = bytes[index] ?? 0
  if (first < 0x80) return 1
  if (first < 0xc2 || first > 0xf4) return 0
  const length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4
  const [low, high] = secondBounds(first)
  const second = bytes[index + 1] ?? 0
  if (second < low || second > high) return 0
  for (let offset = 2; offset < length; offset++) {
    if (((bytes[index + offset] ?? 0) & 0xc0) !== 0x80) return 0
  }
  return length
}

/**
 * Decodes the bytes of a Dockerfile or an ignore file as UTF-8. Nothing is lost: a byte that is no UTF-8 becomes the unpaired
 * surrogate U+DC00 + byte, which the parsers refuse wherever it matters, so that U+FFFD never slips into an image. A byte order
 * mark stays in the text.
 *
 * @see spec/dockerfile.md 1.1
 */
export function decodeText(bytes: Uint8Array): string {
  try {
    return FATAL.decode(bytes)
  } catch (error) {
    if (!(error instanceof TypeError)) throw error
  }
  const parts: string[] = []
  let start = 0
  for (let index = 0; index < bytes.length; ) {
    const length = characterLength(bytes, index)
    if (length === 0) {
      parts.push(
        FATAL.decode(bytes.subarray(start, index)),
        String.fromCharCode(ESCAPE_BASE + (bytes[index] ?? 0)),
      )
      start = index + 1
    }
    index += length === 0 ? 1 : length
  }
  parts.push(FATAL.decode(bytes.subarray(start)))
  return parts.join('')
}

/** Something in a text that no image can hold as it stands. */
export interface Unfit {
  /** UTF-16 offset. */
  readonly index: number
  /** For an error message, after "Cannot read …:". */
  readonly reason: string
  readonly hints: readonly string[]
}

const UNPAIRED = /\p{Surrogate}/u
const UNPAIRED_OR_NUL = /[\0\p{Surrogate}]/u

/**
 * Finds the first byte that was no UTF-8 (see {@link decodeText}), any other unpaired surrogate and, unless `allowNul`, a NUL.
 * Null when there is none.
 */
export function findUnfit(text: string, allowNul = false): Unfit | null {
  const index = text.search(allowNul ? UNPAIRED : UNPAIRED_OR_NUL)
  if (index === -1) return null
  const unit = text.charCodeAt(index)
  if (unit === 0) return { index, reason: 'it holds a NUL character', hints: [] }
  if (unit < ESCAPE_BASE + 0x80 || unit > ESCAPE_BASE + 0xff) {
    return {
      index,
      reason: `it holds the unpaired surrogate U+${unit.toString(16).toUpperCase()}`,
      hints: [],
    }
  }
  const reason = `byte 0x${(unit - ESCAPE_BASE).toString(16)} is not UTF-8`
  return { index, reason, hints: ['Save the file as UTF-8.'] }
}

/** The length in bytes of what {@link decodeText} made a text of. */
export function byteLength(text: string): number {
  const escaped = text.match(/[\u{dc80}-\u{dcff}]/gu)
  // The encoder counts an unpaired surrogate as the three bytes of U+FFFD.
  return Buffer.byteLength(text) - 2 * (escaped?.length ?? 0)
}
