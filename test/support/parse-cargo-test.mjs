/**
 * Reads the single tests out of the text of `cargo test -- --show-output`.
 *
 * An ignored test is a skipped one. So is a test that passed and printed a line `SKIPPED: reason`: Rust has no other way
 * for a test to find out while it runs that the machine lacks something.
 *
 * @param {string} text
 * @returns {{ name: string, state: 'passed' | 'failed' | 'skipped', ms: number, note?: string }[]}
 */
export function parseCargoTest(text) {
  const reasons = readReasons(text)
  return [...text.matchAll(/^test (\S+)(?: - should panic)? \.\.\. (ok|FAILED|ignored)(?:, (.*))?$/gm)].map(
    ([, name, word, why]) => {
      const note = reasons.get(name) ?? why
      if (word === 'FAILED') return { name, state: 'failed', ms: 0 }
      if (word === 'ignored' || reasons.has(name))
        return { name, state: 'skipped', ms: 0, note: note ?? 'ignored' }
      return { name, state: 'passed', ms: 0 }
    },
  )
}

/** Test name → the reason of its `SKIPPED:` line, from the `---- name stdout ----` parts. */
function readReasons(text) {
  const reasons = new Map()
  let current
  for (const line of text.split('\n')) {
    const heading = /^---- (\S+) std(?:out|err) ----$/.exec(line)
    if (heading !== null) current = heading[1]
    const skipped = /^SKIPPED: (.*)$/.exec(line)
    if (skipped !== null && current !== undefined) reasons.set(current, skipped[1])
  }
  return reasons
}
