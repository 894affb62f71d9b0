import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { listFiles, readText, repository } from '../support/repository.ts'

/** How many rows each section of spec/dockerfile.md has, paragraphs that state rules included. */
const wanted: ReadonlyMap<string, number> = new Map([
  ['1.1', 18],
  ['1.2', 18],
  ['1.3', 18],
  ['1.4', 20],
  ['1.5', 8],
  ['1.6', 8],
  ['1.7', 19],
  ['1.8', 23],
  ['1.9', 6],
  ['2.1', 9],
  ['2.2', 23],
  ['2.3', 7],
  ['2.4', 8],
  ['2.5', 5],
  ['2.6', 11],
  ['3.1', 23],
  ['3.2', 17],
  ['3.3', 8],
  ['3.4', 18],
  ['3.5', 9],
  ['8.1', 8],
])

/** How many rows the sections of spec/security.md have that concern a builder. */
const wantedOfSecurity: ReadonlyMap<string, number> = new Map([
  ['3.1', 17],
  ['3.2', 8],
  ['3.3', 11],
  ['3.4', 13],
  ['3.5', 8],
  ['3.6', 9],
  ['3.8', 8],
  ['3.9', 14],
  ['4', 23],
])

/** And the rows of spec/cache.md 6.6 and of spec/reliability.md 3 that concern the local cache. */
const wantedOfCache: ReadonlyMap<string, number> = new Map([
  ['5.3', 6],
  ['6.6', 10],
  ['A', 7],
  ['B', 3],
  ['C', 6],
  ['D', 3],
  ['E', 5],
  ['F', 5],
  ['H', 6],
  ['I', 5],
  ['L', 5],
])

/** And the rows of spec/interface.md 5 and of spec/reliability.md 3 that concern images going in and out. */
const wantedOfImages: ReadonlyMap<string, number> = new Map([
  ['5.1', 9],
  ['5.2', 4],
  ['G', 12],
  ['J', 11],
])

interface Row {
  readonly section: string
  readonly name: string
  readonly status: string
  /** `case` or `file › title`. */
  readonly tests: readonly string[]
}

/** The rows of the tables below headings that begin with a number of a section. */
function parseRows(document: string): readonly Row[] {
  const rows: Row[] = []
  let section = ''
  for (const line of document.split('\n')) {
    if (line.startsWith('## ')) section = /^## (\d(?:\.\d)?|[A-Z]) /.exec(line)?.[1] ?? ''
    const [, name = '', status = '', tests = ''] = /^\| (.+?) \| (.*?) ?\| (.*?) ?\|$/.exec(line) ?? []
    if (section === '' || name === '' || name === 'row' || name === '---') continue
    const named = [...tests.matchAll(/(`{1,2})(?!`)(.+?)\1(?!`)/g)].map(([, , test = '']) => test)
    rows.push({ section, name, status, tests: named })
  }
  return rows
}

const files = listFiles()

/** Why a named test is not there; undefined where it is. */
function faultOf(test: string): string | undefined {
  const [end = '', title] = test.split(' › ')
  if (title === undefined) {
    return existsSync(join(repository, 'test/conformance/dockerfile', end, 'want.json'))
      ? undefined
      : 'no such case'
  }
  const [file, ...others] = files.filter((path) => `/${path}`.endsWith(`/${end}`))
  if (file === undefined) return 'no such file'
  if (others.length > 0) return `also ${others.join(', ')}`
  const text = readText(file)
  // What goes on with the input of a row is the beginning of a template.
  const [start = title, open] = title.split('…')
  const found = file.endsWith('.rs')
    ? text.includes(`#[test]\nfn ${title}() {`)
    : open === undefined
      ? ["'", '"', '`'].some((quote) => text.includes(`${quote}${title}${quote}`))
      : text.includes(`\`${start}\${`)
  return found ? undefined : 'no such test'
}

/** What is wrong with the rows, a line each. */
function findFaults(rows: readonly Row[], counts: ReadonlyMap<string, number>): readonly string[] {
  const faults = rows.flatMap(({ section, name, status, tests }) => {
    const where = `${section} ${name}`
    const known = /^(as BuildKit|holds|better: .+|left out: .+|missing: .+|not yet: issues? \d.*)$/.test(
      status.replace(/^(as BuildKit|holds)([,:;]| for) .+$/, '$1'),
    )
    return [
      ...(known ? [] : [`${where}: the status "${status}" is none`]),
      ...(tests.length > 0 || /^(not yet|missing): /.test(status) ? [] : [`${where}: no test`]),
      ...tests.flatMap((test) => {
        const fault = faultOf(test)
        return fault === undefined ? [] : [`${where}: ${test}: ${fault}`]
      }),
    ]
  })
  const short = [...counts].flatMap(([section, count]) => {
    const found = rows.filter((row) => row.section === section).length
    return found < count ? [`${section}: ${found} rows of ${count}`] : []
  })
  return [...faults, ...short]
}

describe('the rows of the specification', () => {
  it.each([
    ['docs/dev/dockerfile-rows.md', wanted],
    ['docs/dev/security-rows.md', wantedOfSecurity],
    ['docs/dev/cache-rows.md', wantedOfCache],
    ['docs/dev/image-rows.md', wantedOfImages],
  ] as const)('%s names an existing test for every row', (path, counts) => {
    expect(findFaults(parseRows(readText(path)), counts)).toEqual([])
  })

  it('findFaults() finds what is not there', () => {
    const rows = parseRows(
      [
        '## 1.1 A section',
        '| row | status | tests |',
        '| --- | --- | --- |',
        '| fine | as BuildKit | `add-heredoc`, ``test/repo/rows.test.ts › findFaults() finds what is not there`` |',
        '| later | not yet: issue 4 | |',
        '| a case | better: so | `no-such-case` |',
        '| a file | as BuildKit | `no-such.test.ts › x` |',
        '| two files | as BuildKit | `stages.test.ts › x` |',
        `| a title | as BuildKit; with a remark | \`rows.test.ts › ${'no such'} title\` |`,
        '| a Rust test | left out: so | `files_rows.rs › no_such_test` |',
        '| nothing | as BuildKit | |',
        '| a status | done | `add-heredoc` |',
        '| a template | holds | `hostile-run.test.ts › RUN-16: USER …` |',
        `| no template | holds for some | \`hostile-run.test.ts › ${'RUN-99'}: …\` |`,
        '## What follows',
        '| not a row | | |',
      ].join('\n'),
    )
    expect(
      findFaults(
        rows,
        new Map([
          ['1.1', 12],
          ['1.2', 1],
        ]),
      ),
    ).toEqual([
      '1.1 a case: no-such-case: no such case',
      '1.1 a file: no-such.test.ts › x: no such file',
      expect.stringMatching(/^1\.1 two files: stages\.test\.ts › x: also .*frontend/),
      '1.1 a title: rows.test.ts › no such title: no such test',
      '1.1 a Rust test: files_rows.rs › no_such_test: no such test',
      '1.1 nothing: no test',
      '1.1 a status: the status "done" is none',
      '1.1 no template: hostile-run.test.ts › RUN-99: …: no such test',
      '1.1: 11 rows of 12',
      '1.2: 0 rows of 1',
    ])
  })
})
