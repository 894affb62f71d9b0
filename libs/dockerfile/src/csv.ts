/**
 * Splits one line of comma-separated values. A field that begins with `"` is quoted; within it `""` is a quote and commas are
 * plain. Gives a text that says what is wrong when a quote is misplaced.
 */
export function splitCsv(line: string): readonly string[] | string {
  const fields: string[] = []
  let rest = line
  for (;;) {
    if (rest.startsWith('"')) {
      const match = /^"((?:[^"]|"")*)"(,|$)/.exec(rest)
      if (match?.[1] === undefined) return 'extraneous or missing " in quoted-field'
      fields.push(match[1].replaceAll('""', '"'))
      if (match[2] === '') return fields
      rest = rest.slice(match[0].length)
      continue
    }
    const comma = rest.indexOf(',')
    const field = comma === -1 ? rest : rest.slice(0, comma)
    if (field.includes('"')) return 'bare " in non-quoted-field'
    fields.push(field)
    if (comma === -1) return fields
    rest = rest.slice(comma + 1)
  }
}
