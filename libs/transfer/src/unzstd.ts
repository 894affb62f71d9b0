import { Transform } from 'node:stream'
import zlib from 'node:zlib'

/** A stream that undoes zstd: Node's own where it has one (from 22.15 on), else one in JavaScript. */
export async function createUnzstd(): Promise<Transform> {
  const own: unknown = Reflect.get(zlib, 'createZstdDecompress')
  return typeof own === 'function' ? own() : await inJavaScript()
}

async function inJavaScript(): Promise<Transform> {
  const { Decompress } = await import('fzstd')
  const decompress = new Decompress()
  return new Transform({
    transform(chunk: Buffer, _encoding, callback) {
      decompress.ondata = (data) => void this.push(data)
      try {
        // What it is given it may keep.
        decompress.push(Uint8Array.from(chunk))
        callback()
      } catch (error) {
        callback(error instanceof Error ? error : new Error(String(error)))
      }
    },
    flush(callback) {
      decompress.ondata = (data) => void this.push(data)
      try {
        decompress.push(new Uint8Array(0), true)
        callback()
      } catch (error) {
        callback(error instanceof Error ? error : new Error(String(error)))
      }
    },
  })
}
