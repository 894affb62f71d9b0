/** Bytes with three digits in decimal units, as docker shows them: `72.8MB`. */
export function bytesText(bytes: number): string {
  let value = bytes
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (value < 999.5) return `${Number(value.toPrecision(3))}${unit}`
    value /= 1000
  }
  return `${Number(value.toPrecision(3))}TB`
}

const units: readonly (readonly [string, number])[] = [
  ['d', 24 * 3_600_000],
  ['h', 3_600_000],
  ['min', 60_000],
  ['s', 1000],
]

/** A time in its largest unit, cut off: `9 d`, `3 h`, `0 s`. */
export function timeText(ms: number): string {
  for (const [unit, length] of units) {
    if (ms >= length) return `${Math.floor(ms / length)} ${unit}`
  }
  return ms >= 100 ? `0.${Math.floor(ms / 100)} s` : '0 s'
}
