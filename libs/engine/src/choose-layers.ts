import type { EngineIdentity } from './types.ts'

/**
 * Says which layers of an image need not be sent.
 *
 * - Docker's graph drivers know a layer by the whole stack below it, too (its chain id): the longest beginning that some image
 *   of the engine has as its own beginning.
 * - podman knows each layer alone.
 * - Docker with the containerd store wants the blobs themselves, and does not say which it has: nothing is left out.
 *
 * @param diffIds of the image, lowest first
 * @param stacks those of the images that the engine has
 * @returns for each layer whether the engine has it
 * @see docs/adr/0028-loading-into-engines.md
 */
export function layersThere(
  { kind, store }: Pick<EngineIdentity, 'kind' | 'store'>,
  diffIds: readonly string[],
  stacks: readonly (readonly string[])[],
): readonly boolean[] {
  if (store === 'content') return diffIds.map(() => false)
  if (kind === 'podman') {
    const known = new Set(stacks.flat())
    return diffIds.map((diffId) => known.has(diffId))
  }
  const shared = (stack: readonly string[]) => {
    const end = diffIds.findIndex((diffId, index) => stack[index] !== diffId)
    return end < 0 ? diffIds.length : end
  }
  const longest = stacks.reduce((most, stack) => Math.max(most, shared(stack)), 0)
  return diffIds.map((_, index) => index < longest)
}
