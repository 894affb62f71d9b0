const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 24 * 3_600_000, w: 7 * 24 * 3_600_000 }

/** The units of docker's flags, and days and weeks. */
export type DurationUnit = keyof typeof unitMs

/**
 * A time as docker's flags take it: `30m`, `1h30m`, `1.5s`, `0s`; with days and weeks where those are allowed: `1w12h`.
 *
 * @returns whole milliseconds; undefined for what is none, or more than 2^53
 */
export function durationMs(
  text: string,
  units: readonly DurationUnit[] = ['ms', 's', 'm', 'h', 'd', 'w'],
): number | undefined {
  const parts = [...text.matchAll(/(\d{1,9}(?:\.\d{1,9})?)(ms|[smhdw])/g)]
  const known = parts.flatMap(([, number, unit]) => {
    const name = units.find((each) => each === unit)
    return name === undefined ? [] : [Number(number) * unitMs[name]]
  })
  const isComplete = text !== '' && parts.map(([part]) => part).join('') === text
  if (!isComplete || known.length < parts.length) return undefined
  const ms = Math.round(known.reduce((sum, part) => sum + part, 0))
  return Number.isSafeInteger(ms) ? ms : undefined
}
