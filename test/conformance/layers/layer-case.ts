import type { ErrorCode } from '../../../libs/errors/src/codes.ts'
import { endMark } from './archive.ts'

/** An archive that tries something, and what must come of it. */
export interface LayerCase {
  /** The row of security.md 3.4, or whose test it was, and what it tries. Names the case. */
  readonly name: string
  /** Entries of a layer that lies below. */
  readonly base?: readonly Buffer[]
  /** Entries of the layer. */
  readonly layer: readonly Buffer[]
  /** What follows the last entry, in place of the end mark. */
  readonly end?: Buffer
  /** The code of the refusal, or every file of both layers together, a line each as `describeLine` writes them. */
  readonly wants: ErrorCode | readonly string[]
}

/** Cases whose archives name places of this machine: an absolute path, and how to climb to it from anywhere. */
export interface Host {
  /** A directory of two components, without the leading slash. */
  readonly canary: string
  /** Its parents, as lines of a tree that holds a copy of the path. */
  readonly parents: readonly string[]
  /** Goes up further than any root lies deep. */
  readonly up: string
}

/** The bytes of the case's layer. */
export function archiveOf({ layer, end }: Pick<LayerCase, 'layer' | 'end'>): Buffer {
  return Buffer.concat([...layer, end ?? endMark])
}
