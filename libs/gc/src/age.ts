import { UserError } from '@tsbuild/errors'
import { durationMs } from '@tsbuild/shape'

/**
 * Parses how long ago something was: `36h`, `1h30m`, `7d`, `0s`.
 *
 * @param flag named in errors
 * @returns whole milliseconds
 * @throws {UserError} `ERR_USAGE`
 */
export function parseAge(flag: string, text: string): number {
  const ms = durationMs(text)
  if (ms !== undefined) return ms
  throw new UserError(
    'ERR_USAGE',
    `Cannot use value "${text}" of ${flag}: expected a time such as \`36h\`, \`1h30m\` or \`7d\``,
  )
}
