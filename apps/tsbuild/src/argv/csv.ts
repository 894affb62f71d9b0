import { UserError } from '@tsbuild/errors'

/**
 * Splits one line of comma-separated values by RFC 4180, as Docker's flags do: a field in double quotes may hold commas,
 * and a doubled quote inside stands for one.
 *
 * @throws {UserError} `ERR_USAGE` if a quote is not closed or stands inside an unquoted field
 */
export function splitCsv(line: string): readonly string[] {
  const fields: string[] = []
  let at = 0
  while (at <= line.length) {
    const [field, end] = line[at] === '"' ? quotedField(line, at) : plainField(line, at)
    fields.push(field)
    at = end + 1
  }
  return fields
}

/** Gives the field and where its comma (or the end of the line) is. */
function plainField(line: string, start: number): readonly [string, number] {
  const comma = line.indexOf(',', start)
  const end = comma < 0 ? line.length : comma
  const field = line.slice(start, end)
  if (field.includes('"')) throw malformed(line, 'a quote stands inside of an unquoted field')
  return [field, end]
}

function quotedField(line: string, start: number): readonly [string, number] {
  let field = ''
  let at = start + 1
  for (;;) {
    const quote = line.indexOf('"', at)
    if (quote < 0) throw malformed(line, 'a quote is not closed')
    field += line.slice(at, quote)
    if (line[quote + 1] !== '"') {
      const end = quote + 1
      if (end < line.length && line[end] !== ',') throw malformed(line, 'text follows a closing quote')
      return [field, end]
    }
    field += '"'
    at = quote + 2
  }
}

function malformed(line: string, state: string): UserError {
  return new UserError('ERR_USAGE', `Cannot parse comma-separated value "${line}": ${state}`)
}
