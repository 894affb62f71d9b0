import type { Native, Root } from '@tsbuild/native'
import type { ImageReader } from './types.ts'

/** More package files than this no image has. */
const maxFiles = 200_000
const maxSectionBytes = 64 * 1024 * 1024

/** Reads a snapshot through the helper: links do not lead outside of it. */
export function snapshotReader(native: Native, root: Root, signal: AbortSignal): ImageReader {
  const tree = { kind: 'snapshot', root } as const
  return {
    find: (patterns, sections) =>
      native.find(tree, { patterns, sections, maxFiles, maxSectionBytes }, { signal }),
    read: (paths, maxBytes) => native.read(tree, paths, { maxBytes, signal }),
  }
}
