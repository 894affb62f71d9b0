// Writes the figures that a soak left in .tsbuild-dev/faults into the table of docs/dev/reliability.md.
// Usage: node test/faults/write-table.mjs
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../..', import.meta.url))
const folder = join(root, '.tsbuild-dev', 'faults')
const page = join(root, 'docs', 'dev', 'reliability.md')
const [begin, end] = ['<!-- figures -->', '<!-- end of figures -->']

const scenarios = ['first', 'build', 'stages', 'failing', 'pull', 'push', 'export', 'prune']
/** The rows, in the order of the table. */
const rows = [
  ...scenarios.flatMap((name) => [
    [`kill-${name}-builder`, `\`kill -9\` of the builder at a system call: ${name}`],
    [`kill-${name}-helper`, `\`kill -9\` of a helper at a system call: ${name}`],
  ]),
  ['kill-run', '`kill -9` of the builder while a step has processes everywhere'],
  ['kill-random', '`kill -9` at any time of one of four builders on a store'],
  ['oom', 'memory runs out in a step or in the helper'],
  ['power', 'power cut'],
  ['disk-full', 'disk full at any byte'],
  ['disk-inodes', 'no inodes left'],
  ['disk-file-size', 'limit of file sizes'],
  ['disk-read-only', 'disk becomes read-only'],
  ['errors-build', 'a system call fails: build'],
  ['errors-pull', 'a system call fails: pull'],
  ['errors-export', 'a system call fails: export'],
  ['cancel', 'Ctrl-C at any time'],
  ['processes', '16 processes, overlapping builds'],
  ['prune-loop', 'builds while a prune runs in a loop'],
  ['kill-object-store', '`kill -9` at a system call of a store of objects'],
  ['eio-object-store', 'a system call of a store of objects fails: EIO'],
  ['enospc-object-store', 'a system call of a store of objects fails: ENOSPC'],
  ['kill-cache-server', '`kill -9` of a cache-server: acknowledged uploads'],
  ['power-cache-server', 'power cut under a cache-server: acknowledged uploads'],
]

const unknown = (existsSync(folder) ? readdirSync(folder) : [])
  .map((name) => name.replace(/\.json$/, ''))
  .filter((name) => !rows.some(([row]) => row === name))
if (unknown.length > 0)
  throw new Error(`no row for ${unknown.join(', ')}: add it to ${fileURLToPath(import.meta.url)}`)

const lines = rows.flatMap(([row, text]) => {
  const path = join(folder, `${row}.json`)
  if (!existsSync(path)) return []
  const { points, survived, lost, corrupt, leaked, at, bound } = JSON.parse(readFileSync(path, 'utf8'))
  return [{ text, points, survived, lost, corrupt, leaked, day: at.slice(0, 10), bound }]
})
const sum = (of) => lines.reduce((total, line) => total + line[of], 0)
const counts = ({ points, survived, lost, corrupt, leaked }) =>
  [points, survived, lost, corrupt, leaked].join(' | ')
const total = Object.fromEntries(
  ['points', 'survived', 'lost', 'corrupt', 'leaked'].map((of) => [of, sum(of)]),
)
const table = [
  '| fault | points | survived | lost | corrupt | leaked | measured |',
  '| --- | ---: | ---: | ---: | ---: | ---: | --- |',
  ...lines.map((line) => {
    const how = line.bound === null ? '' : `, at most ${line.bound} of each list`
    return `| ${line.text} | ${counts(line)} | ${line.day}${how} |`
  }),
  `| all | ${counts(total)} | |`,
].join('\n')

const text = readFileSync(page, 'utf8')
const [from, to] = [text.indexOf(begin), text.indexOf(end)]
if (from < 0 || to < from) throw new Error(`${page} has no marks for the table`)
writeFileSync(page, `${text.slice(0, from + begin.length)}\n\n${table}\n\n${text.slice(to)}`)
process.stdout.write(`${table}\n`)
