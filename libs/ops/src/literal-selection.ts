import { posix } from 'node:path'
import { literalPattern } from '@tsbuild/graph'
import type { Selection } from '@tsbuild/native'

/**
 * What COPY reads of exactly this path: a file, or the contents of a directory. A path with wildcards in it that is not there
 * is not reported as missing.
 */
export function literalAt(path: string): Selection {
  return { sources: [literalPattern(path)], exclude: [], parents: false, uncounted: [] }
}

/** A path and all below it, under its own name. */
export function treeAt(path: string): Selection {
  return { sources: [pivot(path)], exclude: [], parents: true, uncounted: [] }
}

/** What lies at a path, its own mode and owner, and nothing below it; undefined for the root, which has no name. */
export function itselfAt(path: string): Selection | undefined {
  if (path === '/') return undefined
  const exclude = [`${literalName(path)}/*`]
  return { sources: [pivot(path)], exclude, parents: true, uncounted: [] }
}

/** Symlinks before the `/./` are followed; what comes after it is a pattern. */
function pivot(path: string): string {
  const parent = posix.dirname(path)
  return `${parent === '/' ? '' : parent}/./${literalName(path)}`
}

/** In patterns of the `.dockerignore` kind more characters than `*` and `?` may stand for others. */
function literalName(path: string): string {
  return posix.basename(path).replace(/[\\*?[\]{}()|^$+!]/g, '\\$&')
}
