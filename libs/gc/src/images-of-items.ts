import type { Item } from './types.ts'

/**
 * For each item the index of a named image that it was built from, or that a blob belongs to; -1 for none.
 *
 * That a layer of a step is in an image does not say so: layers of steps that change nothing are all one blob. What the step stands upon
 * has to be of the image too.
 */
export function imagesOfItems(items: readonly Item[]): Int32Array {
  const ofBlob: number[][] = items.map(() => [])
  for (const [index, { kind, parts }] of items.entries()) {
    if (kind === 'image') for (const part of parts) ofBlob[part]?.push(index)
  }
  const images = items.map(({ standing, parts }, index) => {
    const sources = standing.as === 'part' ? [index] : parts
    return new Set(sources.flatMap((part) => ofBlob[part] ?? []))
  })
  for (const index of basesFirst(items)) {
    const below = items[index]?.below ?? []
    if (below.length === 0) continue
    const own = images[index] ?? new Set()
    for (const image of own) {
      if (!below.some((base) => images[base]?.has(image))) own.delete(image)
    }
  }
  return Int32Array.from(images, ([first = -1]) => first)
}

/** Indexes, each after those that it stands upon; without what stands upon itself. */
function basesFirst(items: readonly Item[]): readonly number[] {
  const above: number[][] = items.map(() => [])
  const waitsFor = Uint32Array.from(items, ({ below }) => below.length)
  for (const [index, { below }] of items.entries()) for (const base of below) above[base]?.push(index)
  const order = [...items.keys()].filter((index) => waitsFor[index] === 0)
  // Grows while it is gone through.
  for (const index of order) {
    for (const next of above[index] ?? []) {
      const left = (waitsFor[next] ?? 0) - 1
      waitsFor[next] = left
      if (left === 0) order.push(next)
    }
  }
  return order
}
