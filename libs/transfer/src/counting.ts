import { Transform } from 'node:stream'

/** Passes bytes on and says how many there were. */
export function counting(onBytes: (currentBytes: number) => void): Transform {
  let count = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      count += chunk.length
      onBytes(count)
      callback(null, chunk)
    },
  })
}
