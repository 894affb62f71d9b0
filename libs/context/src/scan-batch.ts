import type { Native, Selection, Tree } from '@tsbuild/native'

/** Takes the readable form of digests. */
export type ListSink = (manifests: ReadonlyMap<string, Uint8Array>) => void

/** What the helper found of one selection. */
export type Scanned = Awaited<ReturnType<Native['scan']>>['selections'][number]

/**
 * Collects the selections asked for in one turn of the event loop into one walk of the tree.
 * @param onLists asks for the lists of files too
 */
export function createScanBatch(
  native: Native,
  tree: Tree,
  onLists?: ListSink,
): (selection: Selection, signal: AbortSignal) => Promise<Scanned> {
  let pending: { readonly selections: Selection[]; readonly result: Promise<readonly Scanned[]> } | undefined
  return async (selection, signal) => {
    if (pending === undefined) {
      const selections: Selection[] = []
      const result = new Promise<void>((resume) => setImmediate(resume)).then(async () => {
        pending = undefined
        const scanned = await native.scan(tree, selections, { signal, manifests: onLists !== undefined })
        onLists?.(scanned.manifests)
        return scanned.selections
      })
      result.catch(() => {})
      pending = { selections, result }
    }
    const batch = pending
    const index = batch.selections.push(selection) - 1
    const scanned = (await batch.result)[index]
    if (scanned === undefined) throw new RangeError(`the helper did not answer selection ${index}`)
    return scanned
  }
}
