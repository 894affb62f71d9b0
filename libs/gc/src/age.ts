import { UserError } from '@tsbuild/errors'

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 24 * 3_600_000,
  w: 7 * 24 * 3_600_000,
}

/**
 * Parses how long ago something was, as docker's flags take a time, and with days and weeks: `36h`, `1h30m`, `7d`, `0s`.
 *
 * @param flag named in errors
 * @returns whole milliseconds
 * @throws {UserError} `ERR_USAGE`
 */
export function parseAge(flag: string, text: string): number {
  const parts = [...text.matchAll(/(\d{1,9}(?:\.\d{1,9})?)(ms|[smhdw])/g)]
  const isComplete = text !== '' && parts.map(([part]) => part).join('') === text
  const ms = Math.round(
    parts.reduce((sum, [, number, unit = '']) => sum + Number(number) * (unitMs[unit] ?? 0), 0),
  )
  if (isComplete && Number.isSafeInteger(ms)) return ms
  throw new UserError(
    'ERR_USAGE',
    `Cannot use value "${text}" of ${flag}: expected a time such as \`36h\`, \`1h30m\` or \`7d\``,
  )
}
