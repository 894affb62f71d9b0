import { isBuildError, type SourceRange } from '@tsbuild/errors'
import type { StageState } from '../stage-state.ts'

/** Expands a word; undefined where it is malformed, which the instruction itself is going to say. */
export function tryExpand({ scope }: StageState, word: string, source: SourceRange): string | undefined {
  try {
    return scope.expand(word, source)
  } catch (error) {
    if (isBuildError(error) && error.kind === 'user') return undefined
    throw error
  }
}
