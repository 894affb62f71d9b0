import { didYouMean, type SourceRange, UserError } from '@tsbuild/errors'

/** Linux signal names without `SIG`, by their numbers on x86-64 and arm64. */
const NAMES =
  'HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS'.split(
    ' ',
  )
const ALIASES: ReadonlyMap<string, number> = new Map([
  ['IOT', 6],
  ['CLD', 17],
  ['POLL', 29],
])
/** The realtime signals that C programs may use. */
const RTMIN = 34
const RTMAX = 64

function realtime(name: string): number | null {
  const match = /^RT(MIN|MAX)(?:([+-])(\d+))?$/.exec(name)
  if (match === null) return null
  const [, base, sign, digits = '0'] = match
  const distance = Number(digits)
  const wanted = base === 'MIN' ? '+' : '-'
  // RTMIN+0 and the like are no names; the two halves meet at RTMIN+15 and RTMAX-14.
  if (sign !== undefined && (sign !== wanted || distance === 0 || distance > (base === 'MIN' ? 15 : 14)))
    return null
  return base === 'MIN' ? RTMIN + distance : RTMAX - distance
}

/**
 * Reads an expanded `STOPSIGNAL`: a name with or without `SIG`, in any case, or a number from 1. Gives the number on Linux.
 *
 * @throws {UserError} `ERR_DOCKERFILE_SYNTAX` for an unknown signal
 * @see spec/dockerfile.md 1.2
 */
export function parseSignal(text: string, source?: SourceRange): number {
  if (/^[+-]?\d+$/.test(text) && Number(text) > 0) return Number(text)
  const name = text.toUpperCase().replace(/^SIG/, '')
  const index = NAMES.indexOf(name)
  const number = index !== -1 ? index + 1 : (ALIASES.get(name) ?? realtime(name))
  if (number !== null) return number
  throw new UserError('ERR_DOCKERFILE_SYNTAX', `Cannot set stop signal: invalid signal: ${text}`, {
    source,
    hints: didYouMean(
      text.slice(0, 32),
      NAMES.map((known) => `SIG${known}`),
    ),
  })
}
