// Writes the documents that are made from code: docs/reference/errors.md from libs/errors/src/codes.ts, the table of
// docs/reference/lint/README.md from libs/dockerfile/src/lint/rules.ts, and the tables of docs/dev/compatibility.md from
// test/conformance/peers/known-differences.json, and the settings of cache-server in docs/reference/cache-server.md and
// apps/cache-server/packaging/cache-server.toml from apps/cache-server/src/settings/table.ts.
// Usage: node scripts/generate-docs.mjs [--check]   (--check: exit code 1 when a document is not what would be written)
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
const lintReadme = 'docs/reference/lint/README.md'
const documents = new Map([
  ['docs/reference/errors.md', errorsPage(await load('libs/errors/src/codes.ts'))],
  [lintReadme, withLintTable(readOrEmpty(lintReadme), await load('libs/dockerfile/src/lint/rules.ts'))],
])

const compatibility = 'docs/dev/compatibility.md'
documents.set(
  compatibility,
  withDifferences(
    readOrEmpty(compatibility),
    JSON.parse(readOrEmpty('test/conformance/peers/known-differences.json')),
  ),
)

const settings = await load('apps/cache-server/src/settings/table.ts')
const cacheServer = 'docs/reference/cache-server.md'
documents.set(cacheServer, withSettings(readOrEmpty(cacheServer), settings))
documents.set('apps/cache-server/packaging/cache-server.toml', sampleConfiguration(settings))

const stale = [...documents].filter(([path, text]) => readOrEmpty(path) !== text)
if (process.argv.includes('--check')) {
  for (const [path] of stale)
    process.stdout.write(`${path} is not fresh: run node scripts/generate-docs.mjs\n`)
  if (stale.length === 0) process.stdout.write('fresh\n')
  process.exit(stale.length === 0 ? 0 : 1)
}
for (const [path, text] of stale) {
  mkdirSync(dirname(join(root, path)), { recursive: true })
  writeFileSync(join(root, path), text)
  process.stdout.write(`wrote ${path}\n`)
}

/** Imports a TypeScript file of the repository from its source, so that documents need no build. */
async function load(path) {
  const { outputFiles } = await build({
    entryPoints: [join(root, path)],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    alias: Object.fromEntries(
      readdirSync(join(root, 'libs')).map((lib) => [
        `@tsbuild/${lib}`,
        join(root, 'libs', lib, 'src/index.ts'),
      ]),
    ),
    banner: { js: "import { createRequire } from 'node:module';const require=createRequire('file:///');" },
  })
  return import(`data:text/javascript;base64,${Buffer.from(outputFiles[0].contents).toString('base64')}`)
}

function readOrEmpty(path) {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return ''
    throw error
  }
}

function errorsPage({ errorCodes }) {
  const exits = { user: '1 (2 for `ERR_USAGE`, 130 for `ERR_CANCELLED`)', environment: '3', internal: '70' }
  const titles = {
    user: 'The Dockerfile, the flags or a step',
    environment: 'The machine, the network, a remote',
    internal: 'A bug',
  }
  const parts = Object.entries(titles).map(([kind, title]) => {
    const rows = Object.entries(errorCodes)
      .filter(([, row]) => row.kind === kind)
      .map(([code, row]) => `| \`${code}\` | ${row.meaning} | ${row.retryable ? 'yes' : ''} |`)
    return `## ${title}\n\nExit code ${exits[kind]}.\n\n| code | meaning | may pass when tried again |\n| --- | --- | --- |\n${rows.join('\n')}\n`
  })
  return `<!-- Written by scripts/generate-docs.mjs from libs/errors/src/codes.ts. -->\n\n# Error codes\n\nEvery error of tsbuild has one of these codes: in brackets behind its message, as \`code\` of the error that the library\nthrows, and in the \`build.failed\` event.\n\n${parts.join('\n')}`
}

/** Replaces what stands between the marks; the rest of the page is written by hand. */
function withLintTable(page, { lintRules }) {
  const names = { text: 'the file', image: 'the base image', context: 'the build context' }
  const rows = Object.entries(lintRules).map(([name, row]) => {
    const by = row.own ? 'tsbuild' : 'BuildKit'
    const asked = row.experimental ? 'when asked for' : 'always'
    return `| [${name}](${name}.md) | ${row.summary} | ${names[row.subject]} | ${by} | ${asked} |`
  })
  const head = '| rule | what it wants | needs | from | runs |\n| --- | --- | --- | --- | --- |'
  const parts = page.split(/(<!-- rules -->|<!-- end of rules -->)/)
  if (parts.length !== 5) throw new Error(`${lintReadme} has not the two marks of the table`)
  return [parts[0], parts[1], `\n\n${head}\n${rows.join('\n')}\n\n`, parts[3], parts[4]].join('')
}

/** The page with its tables between the two marks made again. */
function withDifferences(page, known) {
  const marks = [
    '<!-- differences: written by scripts/generate-docs.mjs -->\n',
    '<!-- end of differences -->',
  ]
  const [before, rest = ''] = page.split(marks[0])
  const [, after = ''] = rest.split(marks[1])
  const cell = (text) => text.replaceAll('|', '\\|').replaceAll('\n', ' ')
  const tables = [...new Set(known.map(({ peer }) => peer))].map((peer) => {
    const rows = known
      .filter((entry) => entry.peer === peer)
      .map(({ reason, difference, cases }) => {
        const names = cases.includes('*') ? 'any' : cases.join(', ')
        return `| ${cell(reason)} | \`${cell(difference)}\` | ${names} |`
      })
    return `### ${peer}\n\n| why | difference (ours / theirs) | cases |\n| --- | --- | --- |\n${rows.join('\n')}\n`
  })
  return `${before}${marks[0]}\n${tables.join('\n')}\n${marks[1]}${after}`
}

/** The table of settings between the marks; the rest of the page is written by hand. */
function withSettings(page, { settingKeys, rowOf, flagOf, variableOf }) {
  const escaped = (text) => text.replaceAll('|', '\\|')
  const rows = settingKeys.map((key) => {
    const { form, summary, fallback } = rowOf(key)
    const takes = form.placeholder === '' ? '' : ` ${form.placeholder}`
    const flag = flagOf(key)
    const names = [
      `\`${key}\``,
      flag === undefined ? '–' : `\`${escaped(flag + takes)}\``,
      variableOf(key) === undefined ? '–' : `\`${variableOf(key)}\``,
    ]
    return `| ${names.join(' | ')} | ${escape(summary)} | ${fallback === undefined ? '' : `\`${fallback}\``} |`
  })
  const table = [
    '| key | flag | variable | what | preset |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n')
  return between(page, 'settings', table)
}

/** Every setting as a comment with its preset value. */
function sampleConfiguration({ settingKeys, rowOf }) {
  const lines = [
    '# The configuration of cache-server, with every setting and what it is where nothing is said. `cache-server config check` reads it.',
    '# Written by scripts/generate-docs.mjs from apps/cache-server/src/settings/table.ts.',
  ]
  let section = ''
  for (const key of settingKeys.toSorted((a, b) => Number(a.includes('.')) - Number(b.includes('.')))) {
    const { form, summary, fallback, isFileOnly } = rowOf(key)
    const [group, name] = key.includes('.') ? key.split('.') : ['', key]
    if (group !== section) lines.push('', `[${group}]`)
    section = group
    const value = (text) => (form.placeholder === '' ? text : JSON.stringify(text))
    const shown = isFileOnly
      ? '[]'
      : form.isList
        ? `[${(fallback ?? '').split(',').filter(Boolean).map(value).join(', ')}]`
        : value(fallback ?? (form.placeholder === '' ? 'false' : ''))
    lines.push('', `# ${summary}.`, `#${name} = ${shown}`)
  }
  return `${lines.join('\n')}\n`
}

function between(page, mark, text) {
  const [begin, end] = [`<!-- ${mark}: begin -->`, `<!-- ${mark}: end -->`]
  const [head, rest = ''] = page.split(begin)
  const [, tail = '\n'] = rest.split(end)
  return `${head}${begin}\n\n${text}\n\n${end}${tail}`
}
