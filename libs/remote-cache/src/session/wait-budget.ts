/** How long a build may wait for one cache, all look-ups of it together. */
export interface WaitBudget {
  /** Ms that are left; 0 or less: none. */
  leftMs(): number
  /** Whether anything was waited for already. */
  readonly isBegun: boolean
  readonly totalMs: number
  /** Counts the time until `waiting` settles. What is waited for at the same time counts once. */
  count<T>(waiting: () => Promise<T>): Promise<T>
}

/** Makes a whole one. @param now Unix ms; a clock that is set back counts as one that stood still */
export function createWaitBudget(totalMs: number, now: () => number): WaitBudget {
  let spentMs = 0
  let waiting = 0
  let since = 0
  let isBegun = false
  const running = () => (waiting === 0 ? 0 : Math.max(0, now() - since))
  return {
    totalMs,
    get isBegun() {
      return isBegun
    },
    leftMs: () => totalMs - spentMs - running(),
    async count(body) {
      if (waiting === 0) since = now()
      waiting++
      isBegun = true
      try {
        return await body()
      } finally {
        if (waiting === 1) spentMs += running()
        waiting--
      }
    },
  }
}
