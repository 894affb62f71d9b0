// Tables of what was measured.

/** The middle of some numbers. */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.floor(sorted.length / 2)]
}

/** A Markdown table: medians, and in brackets the least and the most. */
export function formatCacheTable(results) {
  const names = [...new Set(results.flatMap(({ servers }) => Object.keys(servers)))]
  const rows = results.map(({ title, unit, aim, servers }) => [
    title,
    ...names.map((name) => cell(servers[name], unit)),
    aim,
  ])
  const head = ['scenario', ...names, 'aim']
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)].join(
    '\n',
  )
}

function cell(row, unit) {
  if (row === undefined) return '–'
  const { values, details } = row
  const cpu = details.flatMap(({ cpuMs }) => cpuMs ?? [])
  const shown = (value) => (value >= 100 ? Math.round(value).toLocaleString('en') : value.toPrecision(3))
  const spread = values.length > 1 ? ` (${shown(Math.min(...values))}–${shown(Math.max(...values))})` : ''
  const each = cpu.length === 0 ? '' : `; ${median(cpu).toPrecision(2)} ms CPU each`
  return `${shown(median(values))} ${unit}${spread}${each}`
}
