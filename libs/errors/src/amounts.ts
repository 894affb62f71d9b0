const units = ['bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

/** A number of bytes as messages have it, in the units that limits are given in: `512 MiB`, `7.5 GiB`. */
export function sizeText(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024
    unit++
  }
  return `${Number(value.toFixed(1))} ${units[unit]}`
}

/** A time as flags take it: `1h30m`, `10m`, `1.5s`, `200ms`. */
export function durationText(ms: number): string {
  if (ms < 1000) return `${ms}ms`
  const [hours, minutes] = [Math.floor(ms / 3_600_000), Math.floor(ms / 60_000) % 60]
  const seconds = (ms % 60_000) / 1000
  const parts: readonly (readonly [number, string])[] = [
    [hours, 'h'],
    [minutes, 'm'],
    [seconds, 's'],
  ]
  return parts.map(([value, unit]) => (value === 0 ? '' : `${value}${unit}`)).join('')
}
