import type { SpaceLimit } from '@tsbuild/builder'
import { badValue, parseSize } from '@tsbuild/command-line'

/**
 * Parses how much of a disk something may take: a size such as `100g`, a share of the file system such as `80%`, or `unlimited`.
 *
 * @param name of the flag, variable or setting
 * @throws {UserError} `ERR_USAGE`
 */
export function parseSpaceLimit(name: string, text: string): SpaceLimit {
  if (text === 'unlimited') return 'unlimited'
  const [, share] = /^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(text) ?? []
  if (share !== undefined && Number(share) <= 100) return { percent: Number(share) }
  if (!/^\d/.test(text) || text.includes('%'))
    throw badValue(name, text, 'a size such as `100g`, a share such as `80%`, or `unlimited`')
  return { bytes: parseSize(name, text) }
}

/** An argument parser for a flag that takes one. */
export function spaceLimit(flag: string): (text: string) => SpaceLimit {
  return (text) => parseSpaceLimit(flag, text)
}
