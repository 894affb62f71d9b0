import { setTimeout as delay } from 'node:timers/promises'

/** Rounds of a server that has little to do are over by then. */
const attempts = 40
const usualPauseMs = 250

/**
 * Does what one process of a directory does at a time. A server makes a round of its own a second after its start, which a command
 * that meets it waits for.
 *
 * @param attempt resolves to false where it was another process's turn
 * @param pauseMs between two attempts
 * @returns false where it still was at the last attempt, 10 s after the first
 */
export async function untilItsTurn(
  attempt: () => Promise<boolean>,
  pauseMs = usualPauseMs,
): Promise<boolean> {
  for (let left = attempts; left > 0; left -= 1) {
    if (await attempt()) return true
    await delay(pauseMs)
  }
  return false
}
