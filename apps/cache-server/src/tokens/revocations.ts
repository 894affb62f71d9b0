import { EnvironmentError } from '@tsbuild/errors'
import type { ObjectStore } from '@tsbuild/object-store'
import { count, exactly, listOf, parseJson, text } from '@tsbuild/shape'

/** Where the list is. */
const key = 'server/revoked.v1.json'

/** One token that was taken back. */
export interface Revocation {
  /** `jti`. */
  readonly id: string
  /** Unix seconds: the token ends then by itself, and its line goes. */
  readonly until: number
}

interface Listed {
  readonly version: string | null
  readonly revoked: readonly Revocation[]
}

const form = exactly({ v: (value) => value === 1, revoked: listOf(exactly({ id: text, until: count })) })

/** The tokens that were taken back: one small object of the store, so that every process and machine that serves it knows. */
export async function readRevocations(store: Pick<ObjectStore, 'get'>): Promise<readonly Revocation[]> {
  return (await read(store)).revoked
}

/**
 * Takes a token back. Durable when it resolves; servers under way know it within seconds.
 *
 * @param nowMs lines of tokens that have ended before it go
 */
export async function revoke(
  store: Pick<ObjectStore, 'get' | 'cas'>,
  revocation: Revocation,
  nowMs: number,
): Promise<void> {
  for (;;) {
    const { version, revoked } = await read(store)
    const kept = revoked.filter(({ id, until }) => id !== revocation.id && until * 1000 > nowMs)
    const value = JSON.stringify({ v: 1, revoked: [...kept, revocation] })
    // Undefined: somebody else was faster, and is read again.
    if ((await store.cas(key, version, Buffer.from(value))) !== undefined) return
  }
}

async function read(store: Pick<ObjectStore, 'get'>): Promise<Listed> {
  const body = await store.get(key)
  if (body === undefined) return { version: null, revoked: [] }
  const parts: Buffer[] = []
  for await (const part of body.stream) parts.push(Buffer.from(part))
  const value = parseJson(Buffer.concat(parts).toString())
  // Nobody is let in because a list cannot be read.
  if (!form(value))
    throw new EnvironmentError('ERR_STORE_CORRUPT', `Cannot read object "${key}": expected a list of tokens`)
  return { version: body.info.version, revoked: (value as { revoked: readonly Revocation[] }).revoked }
}
