/**
 * The parts of an apt sources file that are about a Debian suite: `bookworm` takes `bookworm`, `bookworm-updates` and
 * `bookworm-security`. Other distributions' and vendors' entries on the same machine are left out.
 *
 * @param path tells the format: `.sources` is deb822, anything else one line an entry
 * @returns a text of the same format, empty if nothing is left
 */
export function selectSources(path: string, text: string, suite: string): string {
  return path.endsWith('.sources') ? selectStanzas(text, suite) : selectLines(text, suite)
}

function isOfSuite(name: string, suite: string): boolean {
  return (
    name === suite ||
    name === `${suite}-updates` ||
    name === `${suite}-security` ||
    name === `${suite}/updates`
  )
}

function selectLines(text: string, suite: string): string {
  const lines = text.split('\n').filter((line) => {
    const match = /^\s*deb\s+(?:\[[^\]]*\]\s+)?\S+\s+(\S+)\s+(.*)$/.exec(line)
    return (
      match !== null && isOfSuite(match[1] ?? '', suite) && (match[2] ?? '').split(/\s+/).includes('main')
    )
  })
  return lines.length === 0 ? '' : `${lines.join('\n')}\n`
}

function selectStanzas(text: string, suite: string): string {
  const stanzas = text
    .split('\n')
    .filter((line) => !line.startsWith('#'))
    .join('\n')
    .split(/\n\s*\n/)
    .map((stanza) => stanza.trim())
    .filter((stanza) => {
      const suites = wordsOf(stanza, 'Suites')
      const isUsed = wordsOf(stanza, 'Types').includes('deb') && !wordsOf(stanza, 'Enabled').includes('no')
      return isUsed && suites.length > 0 && suites.every((name) => isOfSuite(name, suite))
    })
  return stanzas.length === 0 ? '' : `${stanzas.join('\n\n')}\n`
}

/** The words of a deb822 field, also of one that goes on in indented lines. */
function wordsOf(stanza: string, field: string): readonly string[] {
  const value = new RegExp(`^${field}:(.*(?:\\n[ \\t].*)*)`, 'im').exec(stanza)?.[1] ?? ''
  return value.split(/\s+/).filter((word) => word !== '')
}
