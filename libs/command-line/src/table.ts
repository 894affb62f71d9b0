const minuteMs = 60_000
const units: readonly (readonly [string, number])[] = [
  ['year', 365 * 24 * 60 * minuteMs],
  ['month', 30 * 24 * 60 * minuteMs],
  ['week', 7 * 24 * 60 * minuteMs],
  ['day', 24 * 60 * minuteMs],
  ['hour', 60 * minuteMs],
  ['minute', minuteMs],
  ['second', 1000],
]

/** Columns as wide as their widest cell, three spaces apart, the last one ragged. */
export function formatTable(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows)
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length)
    })
  const lines = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('   ')
      .trimEnd(),
  )
  return `${lines.join('\n')}\n`
}

/** How long ago a time was, in its largest unit: `2 hours ago`. A time that is not known is `-`. */
export function formatAge(rfc3339: string | undefined, now: number): string {
  const ms = now - (rfc3339 === undefined ? Number.NaN : Date.parse(rfc3339))
  if (Number.isNaN(ms)) return '-'
  for (const [unit, length] of units) {
    const count = Math.floor(ms / length)
    if (count >= 1) return `${count} ${count === 1 ? unit : `${unit}s`} ago`
  }
  return 'now'
}

/** Bytes with three digits in decimal units, as `docker images` shows them: `72.8MB`. */
export function formatSize(bytes: number): string {
  let value = bytes
  for (const unit of ['B', 'kB', 'MB', 'GB']) {
    if (value < 999.5) return `${Number(value.toPrecision(3))}${unit}`
    value /= 1000
  }
  return `${Number(value.toPrecision(3))}TB`
}

/** Hex digits cut to twelve, as docker shows ids; anything else as it is. */
export function shortId(id: string): string {
  return id.replace(/^((?:[a-z]+\/)?[0-9a-f]{12})[0-9a-f]{4,}/, '$1')
}

/** A full reference as people write it: without Docker's default registry and folder, the tag apart. */
export function splitName(reference: string): { readonly name: string; readonly tag: string } {
  const familiar = reference.replace(/^docker\.io\/(?:library\/(?=[^/]*$))?/, '')
  const colon = familiar.lastIndexOf(':')
  if (familiar.includes('@') || colon <= familiar.lastIndexOf('/')) return { name: familiar, tag: '-' }
  return { name: familiar.slice(0, colon), tag: familiar.slice(colon + 1) }
}
