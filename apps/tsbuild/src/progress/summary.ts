import { formatSeconds } from './format.ts'
import type { Trace } from './trace.ts'

/** Less is nothing to speak of. */
const notableMs = 1_000

/** ` (saved 12.3s)` for a cached step that took long when it was made. */
export function savedNote(savedMs: number | undefined): string {
  return savedMs === undefined || savedMs < notableMs ? '' : ` (saved ${formatSeconds(savedMs)})`
}

/**
 * `12 steps: 9 cached (saved 41.0s), 3 run`: what a build did, of the steps that were looked up. Undefined where there was none.
 */
export function summaryOf(trace: Trace): string | undefined {
  let cached = 0
  let run = 0
  let savedMs = 0
  for (const { end, miss } of trace.vertexes.values()) {
    if (end?.kind === 'cached') {
      cached++
      savedMs += end.savedMs ?? 0
    } else if (miss !== undefined) run++
  }
  const steps = cached + run
  if (steps === 0) return undefined
  const parts = [
    ...(cached > 0 ? [`${cached} cached${savedNote(savedMs)}`] : []),
    ...(run > 0 ? [`${run} run`] : []),
  ]
  return `${steps} ${steps === 1 ? 'step' : 'steps'}: ${parts.join(', ')}`
}
