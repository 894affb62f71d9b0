import type { BuildRecord, BuildStep } from '@tsbuild/builder'

/** What became of the steps of a Dockerfile. */
export interface StepCounts {
  readonly total: number
  readonly cached: number
  /** Began to run, whatever their end was. */
  readonly ran: number
  /** Of a build that was completed: nothing that it made stands upon them, or what does was found. */
  readonly notReached: number
  /** Of the cached steps whose time is known. */
  readonly savedMs: number
}

/** What a build brought in, and what it did besides the Dockerfile, does not count. */
export function countSteps({ steps }: BuildRecord): StepCounts {
  const own = steps.filter(({ role }) => role === 'step')
  const cached = own.filter(({ outcome }) => outcome === 'cached')
  return {
    total: own.length,
    cached: cached.length,
    ran: own.filter(({ outcome }) => outcome !== 'cached' && outcome !== 'not-reached').length,
    notReached: own.filter(({ outcome }) => outcome === 'not-reached').length,
    savedMs: cached.reduce((sum, { savedMs }) => sum + (savedMs ?? 0), 0),
  }
}

/** How long a build took, or has taken up to now; undefined where nobody knows. */
export function buildMs({ startedAt, endedAt, outcome }: BuildRecord, now: number): number | undefined {
  if (endedAt !== null) return endedAt - startedAt
  return outcome === 'running' ? now - startedAt : undefined
}

/** As {@link buildMs}. */
export function stepMs({ startedAt, endedAt, outcome }: BuildStep, now: number): number | undefined {
  if (startedAt === null) return undefined
  if (endedAt !== null) return endedAt - startedAt
  return outcome === 'running' ? now - startedAt : undefined
}

/** `12.3s`, from a minute on `2m05s`, from an hour on `1h02m`; `-` for what is not known. A clock may have been set back. */
export function formatDuration(ms: number | undefined): string {
  if (ms === undefined) return '-'
  const seconds = Math.max(0, ms) / 1000
  if (seconds < 59.95) return `${seconds.toFixed(1)}s`
  const two = (value: number) => String(value).padStart(2, '0')
  const whole = Math.round(seconds)
  if (whole < 3600) return `${Math.floor(whole / 60)}m${two(whole % 60)}s`
  return `${Math.floor(whole / 3600)}h${two(Math.floor((whole % 3600) / 60))}m`
}
