import type { ObjectStore } from '@tsbuild/object-store'
import type { SigningKey, TrustedKey } from '@tsbuild/trust'
import { type KeyRing, openKeyRing } from '../keys/key-ring.ts'
import type { Log } from '../log/log.ts'
import { readRevocations } from '../tokens/revocations.ts'

/** How often other processes' changes are looked for. */
const everyMs = 5000

/** The keys and revocations as they are now: both may be changed by commands while the server runs. */
export interface LiveTrust {
  /** The same list until the keys are others. */
  keys(): readonly TrustedKey[]
  signingKey(): SigningKey
  /** Newest first. */
  signingKeys(): KeyRing['keys']
  isRevoked(id: string): boolean
  /** @throws as {@link openKeyRing} and {@link readRevocations}; what was known before stays */
  refresh(): Promise<void>
  close(): void
}

/** Reads both, and goes on looking for changes. */
export async function openLiveTrust(
  dir: string,
  store: Pick<ObjectStore, 'get'>,
  log: Log,
): Promise<LiveTrust> {
  let ring: KeyRing = await openKeyRing(dir)
  let revoked: ReadonlySet<string> = new Set((await readRevocations(store)).map(({ id }) => id))
  let busy = false
  const refresh = async (): Promise<void> => {
    const [found, list] = await Promise.all([openKeyRing(dir), readRevocations(store)])
    const ids = (keys: KeyRing['keys']) => keys.map(({ id }) => id).join()
    if (ids(found.keys) !== ids(ring.keys)) {
      ring = found
      log.info({ key: found.keys[0].id, keys: found.keys.length }, 'The keys have changed')
    }
    revoked = new Set(list.map(({ id }) => id))
  }
  const timer = setInterval(() => {
    if (busy) return
    busy = true
    refresh()
      .catch((error: unknown) => log.warn({ reason: String(error) }, 'Keys and revocations cannot be read'))
      .finally(() => {
        busy = false
      })
  }, everyMs)
  timer.unref()
  return {
    keys: () => ring.keys,
    signingKey: () => ring.keys[0],
    signingKeys: () => ring.keys,
    isRevoked: (id) => revoked.has(id),
    refresh,
    close: () => clearInterval(timer),
  }
}
