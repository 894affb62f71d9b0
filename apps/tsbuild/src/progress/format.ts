import { stripVTControlCharacters } from 'node:util'
import type { TransferOutcome } from '@tsbuild/events'

const units = ['B', 'kB', 'MB', 'GB', 'TB', 'PB'] as const

/** Bytes as BuildKit's progress shows them: decimal units, two digits after the point from a kilobyte on. */
export function formatBytes(bytes: number): string {
  let value = bytes
  let unit = 0
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000
    unit++
  }
  return `${unit === 0 ? value : value.toFixed(2)}${units[unit]}`
}

/** `1.50kB / 3.00kB`, `1.50kB` where the total is not known, empty where nothing is. */
function formatTransfer(current: number, total: number | null): string {
  if (total !== null && total > 0) return `${formatBytes(current)} / ${formatBytes(total)}`
  return current > 0 ? formatBytes(current) : ''
}

const outcomes = { sent: '', exists: 'already there', mounted: 'mounted from there' } as const

/** How far a part of a step is: a transfer, or that there was nothing to send. */
export function formatStatus({ currentBytes, totalBytes, outcome }: Amounts): string {
  const words = outcome === undefined ? '' : outcomes[outcome]
  if (words === '') return formatTransfer(currentBytes, totalBytes)
  return totalBytes === null ? words : `${formatBytes(totalBytes)} ${words}`
}

/** See {@link formatStatus}. */
export interface Amounts {
  readonly currentBytes: number
  readonly totalBytes: number | null
  readonly outcome?: TransferOutcome | undefined
}

/** Seconds since a step began, before its log lines: always five characters up to 1000 s. */
export function formatOffset(ms: number): string {
  const seconds = ms / 1000
  return seconds.toFixed(seconds < 10 ? 3 : seconds < 100 ? 2 : 1)
}

/** `0.2s` */
export function formatSeconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)}s`
}

/**
 * A text that stays on its line of a terminal: escape sequences and control characters out, tabs as spaces, and of what
 * a carriage return overwrote only the last.
 */
export function oneLine(text: string): string {
  const shown = text.replace(/\r+$/, '')
  return stripVTControlCharacters(shown.slice(shown.lastIndexOf('\r') + 1))
    .replaceAll('\t', ' ')
    .replace(/\p{Cc}/gu, '')
}
