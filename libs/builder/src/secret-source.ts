import type { BuildOptions } from './types.ts'

/** Gives the secrets of one build by id, each read once; undefined for one that was not given. */
export function createSecretSource({
  secrets = {},
}: Pick<BuildOptions, 'secrets'>): (id: string) => Promise<Uint8Array | undefined> {
  const read = new Map<string, Promise<Uint8Array>>()
  return async (id) => {
    const known = read.get(id)
    if (known !== undefined) return await known
    // A Dockerfile chooses the id; `toString` is no secret.
    const reader = Object.hasOwn(secrets, id) ? secrets[id] : undefined
    if (reader === undefined) return undefined
    const value = reader()
    read.set(id, value)
    return await value
  }
}
