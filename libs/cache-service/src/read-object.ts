import { createHash } from 'node:crypto'
import { buffer } from 'node:stream/consumers'
import type { ObjectKey, ObjectStore } from '@tsbuild/object-store'

/**
 * All of a small object.
 * @returns undefined where there is none, and for one that is larger than `maxBytes`: then it is none of ours
 */
export async function readObject(
  store: ObjectStore,
  key: ObjectKey,
  maxBytes: number,
): Promise<Buffer | undefined> {
  const body = await store.get(key)
  if (body === undefined) return undefined
  if (body.info.size > maxBytes) {
    body.stream.destroy()
    return undefined
  }
  return await buffer(body.stream)
}

/** Puts bytes of ours under a key, unless something is there. @returns whether they were put */
export async function putBytes(store: ObjectStore, key: ObjectKey, bytes: Uint8Array): Promise<boolean> {
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  return await store.putIfAbsent(key, bytes, { sha256, size: bytes.length })
}
