import { either, listOf, objectOf, oneOf, parseJson, text } from '@tsbuild/shape'
import type { StoreEntry } from '@tsbuild/store'
import type { BlobItems } from './blob-items.ts'
import type { ItemList } from './item-list.ts'
import { lookedAtMs } from './value.ts'

/** What of a failure's text says which snapshots and layers it needs; the rest is `libs/ops`'s to know. */
interface FailureRoots {
  readonly name: string
  readonly inputs: readonly {
    readonly layers: readonly (
      | { readonly kind: 'snapshot'; readonly id: string }
      | { readonly kind: 'image'; readonly digest: string }
    )[]
  }[]
}

const layer = either(
  objectOf({ kind: oneOf('snapshot'), id: text }),
  objectOf({ kind: oneOf('image'), digest: text }),
)
const failure = objectOf({ name: text, inputs: listOf(objectOf({ layers: listOf(layer) })) })

/** Adds the failed steps that are kept. A shell in one needs what the step stood upon. */
export function addFailures(
  list: ItemList,
  entries: readonly StoreEntry[],
  { blobs, snapshots }: { readonly blobs: BlobItems; readonly snapshots: ReadonlyMap<string, number> },
): void {
  for (const entry of entries) {
    const { id } = entry
    const roots = parseRoots(entry.text())
    const description = roots === undefined ? `failed step of build ${id}` : `failed step ${roots.name}`
    const index = list.add({ id, kind: 'failure', description, entries: [entry], rebuildMs: lookedAtMs })
    for (const found of roots?.inputs.flatMap(({ layers }) => layers) ?? []) {
      if (found.kind === 'snapshot') {
        const snapshot = snapshots.get(found.id)
        if (snapshot !== undefined) list.at(index).below.add(snapshot)
      } else {
        const blob = blobs.need(found.digest.slice('sha256:'.length))
        if (blob !== undefined) list.at(index).parts.add(blob)
      }
    }
  }
}

/** @returns undefined for a failure that no shell can be opened in either */
function parseRoots(written: string | undefined): FailureRoots | undefined {
  const value = written === undefined ? undefined : parseJson(written)
  return isFailure(value) ? value : undefined
}

function isFailure(value: unknown): value is FailureRoots {
  return failure(value)
}
