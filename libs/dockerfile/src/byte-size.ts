const POWERS = 'kmgtp'

/**
 * Reads a size as Docker's flags write it: a number, a blank, and `k`, `m`, `g`, `t` or `p` (powers of 1024) with `b`, `ib` or
 * nothing after it, in any case. Gives whole bytes, or null when it is no size.
 */
export function parseByteSize(text: string): number | null {
  const match = /^(\+?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?) ?(?:([kmgtp])(?:i?b)?|b)?$/i.exec(text)
  if (match?.[1] === undefined) return null
  const number = Number(match[1])
  const power = match[2] === undefined ? 0 : POWERS.indexOf(match[2].toLowerCase()) + 1
  const bytes = Math.floor(number * 1024 ** power)
  return bytes < 2 ** 63 ? bytes : null
}
