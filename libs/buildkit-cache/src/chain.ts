import type { CacheLayer } from './types.ts'

/** The places of a layer and those below it, lowest first. */
export function chainOf(layers: readonly Pick<CacheLayer, 'parent'>[], top: number): readonly number[] {
  const chain: number[] = []
  for (let at = top; at >= 0; at = layers[at]?.parent ?? -1) chain.push(at)
  return chain.reverse()
}
