import type { ImageReader } from '../types.ts'

/** A file system in memory, as a snapshot reader shows it; sections by `path#name`. */
export function memoryReader(
  files: Readonly<Record<string, string | Buffer>>,
  sections: Readonly<Record<string, Buffer>> = {},
): ImageReader {
  const contents = new Map(Object.entries(files).map(([path, bytes]) => [path, Buffer.from(bytes)]))
  return {
    find: async (patterns, names) => ({
      files: [...contents]
        .filter(([path]) => patterns.some((pattern) => expressionOf(pattern).test(path)))
        .map(([path, { length }]) => ({ path, size: length })),
      sections: Object.entries(sections).flatMap(([key, data]) => {
        const [path = '', name = ''] = key.split('#')
        return names.includes(name) ? [{ path, name, data }] : []
      }),
      incomplete: false,
    }),
    read: async (paths, maxBytes) =>
      paths.map((path) => {
        const bytes = contents.get(path)
        if (bytes !== undefined && bytes.length > maxBytes)
          throw new Error(`${path} is larger than ${maxBytes}`)
        return bytes ?? null
      }),
  }
}

/** Of the patterns that are used here: `*` within a name, and a first double one over directories. */
function expressionOf(pattern: string): RegExp {
  const source = pattern
    .replace(/[.+]/g, '\\$&')
    .replace('**/', '\0')
    .replaceAll('*', '[^/]*')
    .replace('\0', '(?:.*/)?')
  return new RegExp(`^${source}$`)
}
