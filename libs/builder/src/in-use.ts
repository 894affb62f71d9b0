import type { Store } from '@tsbuild/store'

/** Runs what uses a store; when nothing does any more, the store lets go of what was found in it. */
export interface InUse {
  during<T>(work: () => Promise<T>): Promise<T>
}

/** A builder may live long, and what its builds have used must not stay in use for ever. */
export function createInUse(store: Pick<Store, 'releaseUses'>): InUse {
  let running = 0
  return {
    async during(work) {
      running++
      try {
        return await work()
      } finally {
        running--
        if (running === 0) store.releaseUses()
      }
    },
  }
}
