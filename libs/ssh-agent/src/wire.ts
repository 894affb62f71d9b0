/** Bytes of a peer or of a key file that do not say what they must. */
export class MalformedMessage extends Error {}

/** Reads the values of a message one after the other. Every call throws {@link MalformedMessage} where the bytes end too early. */
export interface WireReader {
  byte(): number
  /** A uint32. */
  number(): number
  /** A string: its bytes, a view of the message. */
  bytes(): Buffer
  /** Also a string. */
  text(): string
  /** What is left. */
  rest(): Buffer
  /** @throws {MalformedMessage} if anything is left */
  end(): void
}

/**
 * Reads the data types of ssh.
 * @see https://www.rfc-editor.org/rfc/rfc4251#section-5
 */
export function wireReader(message: Buffer): WireReader {
  let at = 0
  const take = (length: number): Buffer => {
    if (length > message.length - at)
      throw new MalformedMessage(`it ends after ${message.length} bytes, inside of a value`)
    at += length
    return message.subarray(at - length, at)
  }
  const number = () => take(4).readUInt32BE()
  const bytes = () => take(number())
  return {
    byte: () => take(1).readUInt8(),
    number,
    bytes,
    text: () => bytes().toString('utf8'),
    rest: () => take(message.length - at),
    end() {
      if (at < message.length)
        throw new MalformedMessage(`${message.length - at} bytes follow its last value`)
    },
  }
}

/** A uint32. */
export function wireNumber(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}

/** A string: the parts one after the other, with their length before them. */
export function wireBytes(...parts: readonly (Buffer | string)[]): Buffer {
  const body = Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part) : part)))
  return Buffer.concat([wireNumber(body.length), body])
}

/** An mpint that is not negative, of a big-endian number of any length. */
export function wireInteger(value: Buffer): Buffer {
  const body = withoutZeros(value)
  const isNegative = ((body[0] ?? 0) & 0x80) !== 0
  return isNegative ? wireBytes(Buffer.alloc(1), body) : wireBytes(body)
}

/** The number without zeros before it; zero itself is empty. */
export function withoutZeros(value: Buffer): Buffer {
  const first = value.findIndex((byte) => byte !== 0)
  return first < 0 ? Buffer.alloc(0) : value.subarray(first)
}
