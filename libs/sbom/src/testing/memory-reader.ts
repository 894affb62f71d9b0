import { matchesGlob, posix } from 'node:path'
import type { ImageReader } from '../types.ts'

/** A file system in memory, as a snapshot reader shows it; sections by `path#name`. */
export function memoryReader(
  files: Readonly<Record<string, string | Buffer>>,
  sections: Readonly<Record<string, Buffer>> = {},
): ImageReader {
  const contents = new Map(Object.entries(files).map(([path, bytes]) => [path, Buffer.from(bytes)]))
  return {
    async find(patterns, names) {
      return {
        files: [...contents]
          .filter(([path]) => patterns.some((pattern) => matches(path, pattern)))
          .map(([path, { length }]) => ({ path, size: length })),
        sections: Object.entries(sections).flatMap(([key, data]) => {
          const [path = '', name = ''] = key.split('#')
          return names.includes(name) ? [{ path, name, data }] : []
        }),
        incomplete: false,
      }
    },
    async read(paths, maxBytes) {
      return paths.map((path) => {
        const bytes = contents.get(path)
        if (bytes !== undefined && bytes.length > maxBytes)
          throw new Error(`${path} is larger than ${maxBytes}`)
        return bytes ?? null
      })
    },
  }
}

function matches(path: string, pattern: string): boolean {
  return typeof matchesGlob === 'function' ? matchesGlob(path, pattern) : posix.matchesGlob(path, pattern)
}
