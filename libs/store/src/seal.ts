import { crc32 } from 'node:zlib'

/** What a seal says of the bytes it is on. */
export type Sealed =
  /** The text as it was before it was sealed. */
  | { readonly is: 'whole'; readonly text: string }
  /** From before there were seals, or from another hand: nothing can be said of its bytes. */
  | { readonly is: 'unsealed'; readonly text: string }
  | { readonly is: 'damaged' }

const form = /,?"seal":"([0-9a-f]{8})"\}(\s*)$/
/** More than the form can match: its blanks are those that ended the text, a line end as a rule. */
const tailBytes = 64

/**
 * Puts a check of its own bytes into the JSON text of one object, as its last member: `"seal":"<CRC-32 in 8 hex digits>"`, of
 * the name, a line feed, and all that stands before. So a flipped bit is noticed where the JSON is sound all the same, and so
 * is a file under another's name. It is no protection against malice.
 *
 * @param name of the file: the hex of a key, an id
 * @see docs/adr/0018-seals.md
 */
export function seal(name: string, text: string): string {
  const end = text.lastIndexOf('}')
  if (end < 0) return text
  const head = text.slice(0, end)
  const comma = /\{\s*$/.test(head) ? '' : ','
  return `${head}${comma}"seal":"${checksum(name, Buffer.from(head))}"}${text.slice(end + 1)}`
}

/** Reads a text back that {@link seal} may have sealed. */
export function unseal(name: string, bytes: Buffer): Sealed {
  const tail = bytes.subarray(Math.max(0, bytes.length - tailBytes)).toString('latin1')
  const match = form.exec(tail)
  if (match === null) return { is: 'unsealed', text: bytes.toString() }
  const [whole, written, blanks = ''] = match
  const head = bytes.subarray(0, bytes.length - whole.length)
  if (checksum(name, head) !== written) return { is: 'damaged' }
  return { is: 'whole', text: `${head.toString()}}${blanks}` }
}

/** As {@link unseal}: undefined for a damaged text. */
export function unsealedText(name: string, bytes: Buffer | undefined): string | undefined {
  const sealed = bytes === undefined ? undefined : unseal(name, bytes)
  return sealed === undefined || sealed.is === 'damaged' ? undefined : sealed.text
}

function checksum(name: string, head: Buffer): string {
  return crc32(head, crc32(`${name}\n`))
    .toString(16)
    .padStart(8, '0')
}
