import { pipeline, type Readable, Transform } from 'node:stream'

/** The same bytes, and says how many there were. What goes wrong with `source` goes wrong with this. */
export function counted(source: Readable, onBytes: (currentBytes: number) => void): Readable {
  return joined(source, counting(onBytes))
}

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

/** As `pipe`, but that a fault of one ends the other: the reader of the last one is told. */
export function joined<Out extends Transform>(source: Readable, through: Out): Out {
  pipeline(source, through, () => {})
  return through
}
