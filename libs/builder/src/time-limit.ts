import type { Digest } from '@tsbuild/digest'
import { durationText, UserError } from '@tsbuild/errors'
import type { BuildEvent } from '@tsbuild/events'

/** How many steps an error names. */
const mostNames = 4

/** The time that a build may take. */
export interface TimeLimit {
  /** Fires when it is over; the reason is the error to give. */
  readonly signal: AbortSignal
  /** Takes every event of the build: they tell what is running. */
  note(event: BuildEvent): void
  /** The build has ended. */
  stop(): void
}

/** Starts the time. */
export function startTimeLimit(timeoutMs: number): TimeLimit {
  const abort = new AbortController()
  const names = new Map<Digest, string>()
  const running = new Set<Digest>()
  const timer = setTimeout(() => {
    const shown = [...running].map((vertex) => names.get(vertex) ?? vertex)
    abort.abort(tooLate(timeoutMs, shown))
  }, timeoutMs)
  return {
    signal: abort.signal,
    note(event) {
      switch (event.type) {
        case 'vertex.planned':
          names.set(event.vertex, event.name)
          return
        case 'vertex.started':
          running.add(event.vertex)
          return
        case 'vertex.cached':
        case 'vertex.completed':
        case 'vertex.failed':
        case 'vertex.cancelled':
          running.delete(event.vertex)
      }
    },
    stop: () => clearTimeout(timer),
  }
}

function tooLate(timeoutMs: number, running: readonly string[]): UserError {
  const named = running.slice(0, mostNames).map((name) => `"${name}"`)
  const others = running.length - named.length
  const list = [...named, ...(others > 0 ? [`${others} more`] : [])].join(', ')
  const state = running.length === 0 ? 'its time is over' : `still running: ${list}`
  return new UserError('ERR_TIMEOUT', `Cannot finish the build in ${durationText(timeoutMs)}: ${state}`, {
    details: { running },
    hints: ['The limit is that of `--timeout`. What was finished is in the cache.'],
  })
}
