const windowMs = 30_000
/** In each window. A server that gives less would keep a build for hours without ever being silent. */
const leastBytes = 30 * 1024

/** So much must an answer have brought for its end to count as the first fault again. */
export const progressBytes = 16 * 1024

/** Watches how fast the bytes of one answer come. */
export interface Pace {
  /** @param position bytes so far; must not fall */
  isTooSlow(position: number): boolean
}

/** Makes a pace that begins now; `now` in milliseconds. */
export function startPace(now: () => number, position: number): Pace {
  let since = now()
  let from = position
  return {
    isTooSlow: (current) => {
      const time = now()
      if (time - since < windowMs) return false
      const slow = current - from < leastBytes
      since = time
      from = current
      return slow
    },
  }
}
