import { Writable } from 'node:stream'

/** A stream that keeps what is written to it, and a function that gives all of it as text. */
export function textStream(): [Writable, () => string] {
  const parts: string[] = []
  const stream = new Writable({
    decodeStrings: false,
    write(part, _encoding, done) {
      parts.push(String(part))
      done()
    },
  })
  return [stream, () => parts.join('')]
}
