import { describe, expect, it } from 'vitest'
import { warningsText } from './warnings.ts'

describe('warningsText()', () => {
  it('lists each warning once', () => {
    const source = { file: 'Dockerfile', startLine: 2, startColumn: 0, endLine: 2, endColumn: 1 }
    const one = { type: 'warning', rule: 'FromAsCasing', message: 'cases differ', source, at: 0 } as const
    expect(warningsText([])).toBe('')
    expect(warningsText([one, one])).toBe(
      '\n 1 warning found:\n - FromAsCasing: cases differ (Dockerfile:2)\n',
    )
    expect(warningsText([one, { ...one, rule: 'B', source: null }])).toBe(
      '\n 2 warnings found:\n - FromAsCasing: cases differ (Dockerfile:2)\n - B: cases differ\n',
    )
  })

  it('shows control characters instead of writing them', () => {
    const text = warningsText([{ type: 'warning', rule: 'X', message: 'a\x1b[2J', source: null, at: 0 }])
    expect(text).toContain('a\\x1b[2J')
  })

  it('says at the end where more is said', () => {
    const page = 'docs/reference/lint/FromAsCasing.md'
    const one = { type: 'warning', rule: 'FromAsCasing', message: 'm', source: null, page, at: 0 } as const
    expect(warningsText([one])).toBe(
      '\n 1 warning found:\n - FromAsCasing: m\n `--check` shows the lines; docs/reference/lint/ has a page for each rule\n',
    )
  })
})
