import type { CacheLayer } from './types.ts'

/** The places of a layer and those below it, lowest first. */
export function chainOf(layers: readonly Pick<CacheLayer, 'parent'>[], top: number): readonly number[] {
  const chain: number[] = []
  for (let at = top; at >= 0; at = layers[at]?.parent ?? -1) chain.push(at)
  return chain.reverse()
}

/** For each layer how many it is with those below it. Looks at each once. */
export function depthsOf(layers: readonly Pick<CacheLayer, 'parent'>[]): readonly number[] {
  const depths: number[] = []
  for (const start of layers.keys()) {
    const path: number[] = []
    let at = start
    while (at >= 0 && depths[at] === undefined) {
      path.push(at)
      at = layers[at]?.parent ?? -1
    }
    let depth = depths[at] ?? 0
    for (let above = path.pop(); above !== undefined; above = path.pop()) {
      depth += 1
      depths[above] = depth
    }
  }
  return depths
}
