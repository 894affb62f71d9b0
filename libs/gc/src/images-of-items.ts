import type { Item } from './types.ts'

/**
 * For each item the index of a named image that it was built from, or that a blob belongs to; -1 for none.
 *
 * That a layer of a step is in an image does not say so: layers of steps that change nothing are all one blob. What the step stands upon
 * has to be of the image too.
 */
export function imagesOfItems(items: readonly Item[]): Int32Array {
  const ofBlob = new Map<number, number[]>()
  for (const [index, { kind, parts }] of items.entries()) {
    if (kind !== 'image') continue
    for (const part of parts) ofBlob.set(part, [...(ofBlob.get(part) ?? []), index])
  }
  const found = new Int32Array(items.length).fill(-1)
  if (ofBlob.size === 0) return found
  const images = items.map(({ standing, parts }, index) => {
    const named = (standing.as === 'part' ? [index] : parts).flatMap((part) => ofBlob.get(part) ?? [])
    return named.length === 0 ? undefined : new Set(named)
  })
  for (const index of basesFirst(items)) {
    const { below = [], kind } = items[index] ?? {}
    const [first = -1] = below
    // Layers in one have no blob: they are of the images that all of them are of.
    const own = images[index] ?? (kind === 'base' ? new Set(images[first]) : undefined)
    if (below.length === 0 || own === undefined) continue
    images[index] = own
    for (const image of own) {
      const isOf = (base: number) => images[base]?.has(image) === true
      if (!(kind === 'base' ? below.every(isOf) : below.some(isOf))) own.delete(image)
    }
  }
  for (const [index, own] of images.entries()) {
    for (const image of own ?? []) if (found[index] === -1) found[index] = image
  }
  return found
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
