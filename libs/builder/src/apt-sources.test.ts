import { describe, expect, it } from 'vitest'
import { selectSources } from './apt-sources.ts'

const mirror = 'http://mirror.example/debian'
const stanza = (...fields: readonly string[]) => `URIs: ${mirror}\n${fields.join('\n')}`

describe('selectSources() of a file with one line an entry', () => {
  const select = (text: string) => selectSources('/etc/apt/sources.list', text, 'bookworm')

  it.each([
    ['the suite', `deb ${mirror} bookworm main`],
    ['its updates', `deb ${mirror} bookworm-updates main contrib`],
    ['its security updates', `deb ${mirror}-security bookworm-security main`],
    ['security updates as they were named once', `deb ${mirror} bookworm/updates main`],
    ['an entry with options', `deb [arch=amd64 signed-by=/k.gpg] ${mirror} bookworm main`],
    ['an entry with blanks', `  deb   ${mirror}\tbookworm  contrib main`],
  ])('takes %s', (_, line) => {
    expect(select(`# a comment\n${line}\n`)).toBe(`${line}\n`)
  })

  it.each([
    ['another suite', `deb ${mirror} bullseye main`],
    ['a suite whose name only begins like it', `deb ${mirror} bookworm-backports main`],
    ['sources', `deb-src ${mirror} bookworm main`],
    ['a vendor without main', 'deb http://vendor.example/apt bookworm stable'],
    ['a component whose name only contains main', `deb ${mirror} bookworm main-debug`],
    ['what is commented out', `# deb ${mirror} bookworm main`],
  ])('leaves %s out', (_, line) => {
    expect(select(`${line}\n`)).toBe('')
  })

  it('keeps the order of what it takes', () => {
    const lines = [
      `deb ${mirror} bookworm main`,
      `deb ${mirror} sid main`,
      `deb ${mirror} bookworm-updates main`,
    ]
    expect(select(lines.join('\n'))).toBe(`${lines[0]}\n${lines[2]}\n`)
  })
})

describe('selectSources() of a deb822 file', () => {
  const select = (text: string) => selectSources('/etc/apt/sources.list.d/debian.sources', text, 'bookworm')

  it.each([
    ['one suite', stanza('Types: deb', 'Suites: bookworm', 'Components: main')],
    [
      'several of its suites',
      stanza('Types: deb deb-src', 'Suites: bookworm bookworm-updates', 'Components: main'),
    ],
    ['suites in lines of their own', stanza('Types: deb', 'Suites:\n bookworm\n bookworm-updates')],
    ['field names in any case', stanza('types: deb', 'suites: bookworm')],
    ['what is enabled', stanza('Enabled: yes', 'Types: deb', 'Suites: bookworm')],
  ])('takes a stanza of %s', (_, text) => {
    expect(select(`# a comment\n${text}\n`)).toBe(`${text}\n`)
  })

  it.each([
    ['another suite', stanza('Types: deb', 'Suites: sid')],
    ['this and another suite', stanza('Types: deb', 'Suites: bookworm sid')],
    ['another suite in a line of its own', stanza('Types: deb', 'Suites:\n bookworm\n sid')],
    ['sources alone', stanza('Types: deb-src', 'Suites: bookworm')],
    ['no suite', stanza('Types: deb')],
    ['what is switched off', stanza('Enabled: no', 'Types: deb', 'Suites: bookworm')],
  ])('leaves a stanza of %s out', (_, text) => {
    expect(select(`${text}\n`)).toBe('')
  })

  it('takes some stanzas of many', () => {
    const [a, b, c] = ['bookworm', 'sid', 'bookworm-security'].map((name) =>
      stanza('Types: deb', `Suites: ${name}`),
    )
    expect(select(`${a}\n\n${b}\n \n${c}\n`)).toBe(`${a}\n\n${c}\n`)
  })
})
