import { type Digest, parseDigest } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import type { Native, Selection } from '@tsbuild/native'
import type { OpResult, OpsOptions } from './types.ts'

/** The digests of what selections hold of an input; see docs/dev/cache-keys.md, "Content digests". */
export async function scanSelections(
  result: OpResult,
  selections: readonly Selection[],
  options: Pick<OpsOptions, 'native' | 'snapshotter'>,
  signal: AbortSignal,
): Promise<ScannedInput> {
  if (result.kind === 'context') {
    const digests = await Promise.all(selections.map((selection) => result.context.digest(selection, signal)))
    return { digests, missing: [], lists: new Map() }
  }
  const batch = openBatch(result, options, signal)
  const first = batch.selections.push(...selections) - selections.length
  const { selections: all, manifests } = await batch.scanned
  const scanned = all.slice(first, first + selections.length)
  if (scanned.length !== selections.length)
    throw new InternalError('ERR_HELPER_PROTOCOL', 'the helper did not answer every selection')
  return {
    digests: scanned.map(({ digest }) => parseDigest(digest)),
    missing: scanned.flatMap(({ missing }) => missing.map(({ source }) => source)),
    lists: new Map([...manifests].filter(([, list]) => list.length <= longestList)),
  }
}

/** They stay in memory until the step ran: this is what about 60,000 files take. */
const longestList = 8 * 2 ** 20

interface Batch {
  readonly selections: Selection[]
  readonly scanned: ReturnType<Native['scan']>
}

/** By the result of a stage, which all its readers in one build share. */
const batches = new WeakMap<OpResult, Batch>()

/** Many copies of one stage want to know at one time what they read of it: it is walked once. */
function openBatch(
  result: Extract<OpResult, { readonly kind: 'filesystem' }>,
  { native, snapshotter }: Pick<OpsOptions, 'native' | 'snapshotter'>,
  signal: AbortSignal,
): Batch {
  const open = batches.get(result)
  if (open !== undefined) return open
  const selections: Selection[] = []
  const scan = async () => {
    const root = await snapshotter.view(result.filesystem, signal)
    await new Promise((resume) => setImmediate(resume))
    batches.delete(result)
    // Their bytes are read now and would be once more for a list.
    return await native.scan({ kind: 'snapshot', root }, selections, { signal, manifests: true })
  }
  const scanned = scan().finally(() => {
    if (batches.get(result)?.selections === selections) batches.delete(result)
  })
  const batch = { selections, scanned }
  batches.set(result, batch)
  return batch
}

/** What {@link scanSelections} gives. */
export interface ScannedInput {
  readonly digests: readonly Digest[]
  readonly missing: readonly string[]
  /** The lists of files behind the digests; none of a context, which can give them later. */
  readonly lists: ReadonlyMap<string, Uint8Array>
}

/** Keeps the list of files behind a digest, so that a later miss can name the file that changed. */
export async function keepFileList(
  result: OpResult,
  { selection, digest, lists }: ScannedSelection,
  { putFileList }: Pick<OpsOptions, 'putFileList'>,
): Promise<void> {
  if (result.kind === 'context') return await result.context.keepFileList(selection, digest)
  const list = lists.get(digest)
  if (list !== undefined) await putFileList(digest, list)
}

/** A selection of {@link scanSelections}. */
export interface ScannedSelection {
  readonly selection: Selection
  readonly digest: Digest
  readonly lists: ScannedInput['lists']
}

/** @throws {InternalError} `ERR_INTERNAL`: an input has one selector and one content digest, so a second reader would not count */
export function refuseSharedInputs(read: readonly (number | undefined)[]): void {
  const indexes = read.filter((index) => index !== undefined)
  if (new Set(indexes).size === indexes.length) return
  throw new InternalError('ERR_INTERNAL', 'two parts of an op read the same input')
}
