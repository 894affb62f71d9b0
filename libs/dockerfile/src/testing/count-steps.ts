import { Session } from 'node:inspector'
import { setFlagsFromString } from 'node:v8'

/** The sources whose work is counted. */
const COUNTED = '/libs/dockerfile/src/'

/** What a {@link StepCounter} gives. */
export interface StepCounter {
  /** How often blocks of this library's code ran while `action` did. The same for the same work, on any machine. */
  steps(action: () => void): number
  /** Must be called at the end. */
  close(): void
}

/**
 * Counts work instead of time: V8 counts how often each function and each branch of one runs. What the engine does by itself
 * (a regular expression, a search, a copy) counts as nothing. One counter can be open in a thread at a time.
 */
export function openStepCounter(): StepCounter {
  // What was compiled before has no counters in its branches, also when the same text is loaded again.
  setFlagsFromString('--no-compilation-cache')
  const session = new Session()
  session.connect()
  // Answers come before `post` returns, as the session is of this very thread.
  session.post('Profiler.enable')
  session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  const take = (): number => {
    let total = 0
    session.post('Profiler.takePreciseCoverage', (error, coverage) => {
      if (error !== null) throw new Error(`Cannot count steps: ${error.message}`)
      for (const { url, functions } of coverage.result) {
        if (!url.includes(COUNTED) || url.includes('.test.')) continue
        for (const { ranges } of functions) for (const { count } of ranges) total += count
      }
    })
    return total
  }
  return {
    steps(action) {
      take()
      action()
      return take()
    },
    close() {
      session.post('Profiler.stopPreciseCoverage')
      session.disconnect()
      setFlagsFromString('--compilation-cache')
    },
  }
}
