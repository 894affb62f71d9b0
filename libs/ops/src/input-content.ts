import { type Digest, parseDigest } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import type { Selection } from '@tsbuild/native'
import type { OpResult, OpsOptions } from './types.ts'

/** The digests of what selections hold of an input; see docs/dev/cache-keys.md, "Content digests". */
export async function scanSelections(
  result: OpResult,
  selections: readonly Selection[],
  options: Pick<OpsOptions, 'native' | 'snapshotter'>,
  signal: AbortSignal,
): Promise<{ readonly digests: readonly Digest[]; readonly missing: readonly string[] }> {
  if (result.kind === 'context') {
    const digests = await Promise.all(selections.map((selection) => result.context.digest(selection, signal)))
    return { digests, missing: [] }
  }
  const tree = { kind: 'snapshot', root: await options.snapshotter.view(result.filesystem, signal) } as const
  const scanned = (await options.native.scan(tree, selections, { signal })).selections
  if (scanned.length !== selections.length)
    throw new InternalError('ERR_HELPER_PROTOCOL', 'the helper did not answer every selection')
  return {
    digests: scanned.map(({ digest }) => parseDigest(digest)),
    missing: scanned.flatMap(({ missing }) => missing.map(({ source }) => source)),
  }
}

/** @throws {InternalError} `ERR_INTERNAL`: an input has one selector and one content digest, so a second reader would not count */
export function refuseSharedInputs(read: readonly (number | undefined)[]): void {
  const indexes = read.filter((index) => index !== undefined)
  if (new Set(indexes).size === indexes.length) return
  throw new InternalError('ERR_INTERNAL', 'two parts of an op read the same input')
}
