/** Fields of a paragraph by their names in lower case; the first of those with one name. */
export type Paragraph = ReadonlyMap<string, string>

/**
 * Reads paragraphs of `Field: value` lines, which blank lines part, as dpkg and the metadata of Python have them. What goes on on
 * lines that begin with a space belongs to the field above. Lines of no form are passed over.
 */
export function* parseParagraphs(text: string): Generator<Paragraph> {
  let fields = new Map<string, string>()
  let open: string | undefined
  for (const line of lines(text)) {
    if (line.trim() === '') {
      if (fields.size > 0) yield fields
      fields = new Map()
      open = undefined
    } else if (/^[ \t]/.test(line)) {
      if (open !== undefined) fields.set(open, `${fields.get(open)}\n${line.trim()}`)
    } else {
      const [, name = '', value = ''] = /^([^\s:][^:]{0,127}):[ \t]*(.*)$/.exec(line) ?? []
      const field = name.toLowerCase()
      open = name === '' || fields.has(field) ? undefined : field
      if (open !== undefined) fields.set(open, value.trimEnd())
    }
  }
  if (fields.size > 0) yield fields
}

/** The lines of a text, one at a time: a database may have a million. */
export function* lines(text: string): Generator<string> {
  let start = 0
  while (start < text.length) {
    const end = text.indexOf('\n', start)
    const line = end < 0 ? text.slice(start) : text.slice(start, end)
    yield line.endsWith('\r') ? line.slice(0, -1) : line
    start = end < 0 ? text.length : end + 1
  }
}
