// Runs every suite, keeps full logs, and ends with the line `N passed, N failed, N skipped`.
// Usage: node test/support/run-all.mjs [SUITE…]
import { spawn } from 'node:child_process'
import { createWriteStream, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseCargoTest } from './parse-cargo-test.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const logs = join(root, '.tsbuild-dev', 'test-logs')
const helper = join(root, 'native', 'helper')
const bin = (name) => join(root, 'node_modules', '.bin', name)

/** Every suite: a `check` counts as one test, `vitest` and `cargo` count their own. In this order. */
const suites = [
  { name: 'lint', kind: 'check', command: [bin('biome'), 'ci', '--max-diagnostics=200', '.'] },
  { name: 'types', kind: 'check', command: [bin('tsc'), '-p', 'test/tsconfig.json', '--noEmit'] },
  { name: 'rustfmt', kind: 'check', command: ['cargo', 'fmt', '--check'], cwd: helper },
  {
    name: 'clippy',
    kind: 'check',
    command: ['cargo', 'clippy', '--locked', '--all-targets', '--', '-D', 'warnings'],
    cwd: helper,
  },
  { name: 'repo', kind: 'vitest', command: ['test/repo'] },
  { name: 'unit', kind: 'vitest', command: ['libs', 'apps'] },
  {
    name: 'rust',
    kind: 'cargo',
    // One more at a time than there are processors: most of them wait for the helper and the disk.
    command: [
      ...['cargo', 'test', '--locked', '--no-fail-fast', '--'],
      ...['--show-output', `--test-threads=${availableParallelism() + 1}`],
    ],
    cwd: helper,
  },
  { name: 'conformance', kind: 'vitest', command: ['--config', 'vitest.conformance.config.ts'] },
  { name: 'e2e', kind: 'vitest', command: ['--config', 'vitest.e2e.config.ts'] },
  { name: 'faults', kind: 'vitest', command: ['--config', 'vitest.faults.config.ts'] },
]

/** Somebody watches, or there is no record that is cut: then every line is shown. */
const isLive = process.stdout.isTTY || !process.env.CI

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !suites.some((suite) => suite.name === name))
if (unknown.length > 0) {
  process.stderr.write(
    `Unknown suite ${unknown.join(', ')}: one of ${suites.map((suite) => suite.name).join(', ')}\n`,
  )
  process.exit(2)
}

mkdirSync(logs, { recursive: true })
const results = []
for (const suite of suites) {
  if (wanted.length === 0 || wanted.includes(suite.name)) results.push(await runSuite(suite))
}
process.exit(report(results))

async function runSuite(suite) {
  const log = join(logs, `${suite.name}.log`)
  const counts = join(logs, `${suite.name}.json`)
  rmSync(counts, { force: true })
  const command =
    suite.kind === 'vitest'
      ? [
          bin('vitest'),
          'run',
          '--reporter=default',
          '--reporter=./test/support/count-reporter.mjs',
          ...suite.command,
        ]
      : suite.command
  process.stdout.write(`\n=== ${suite.name}\n`)
  const startedAt = performance.now()
  const code = await runLogged(command, suite.cwd ?? root, log, counts)
  const tests = readTests(suite, code, log, counts)
  if (!isLive && code !== 0) process.stdout.write(`${failedPart(suite, readFileSync(log, 'utf8'))}\n`)
  return { name: suite.name, tests, log, seconds: (performance.now() - startedAt) / 1000 }
}

/** What a log says of its failures, and no more: whoever reads the record of a CI run sees a part of it only. */
function failedPart({ kind }, text) {
  const marks = {
    vitest: /^.*Failed (?:Tests|Suites) \d+/m,
    cargo: /^(?:failures:|error(?:\[|:)|.* panicked at )/m,
  }
  const at = marks[kind] === undefined ? -1 : text.search(marks[kind])
  const part = at === -1 ? text.slice(-8_000) : text.slice(at)
  return part.length <= 40_000 ? part : `${part.slice(0, 30_000)}\n…\n${part.slice(-10_000)}`
}

/** Runs a command with its output to `log`, and to the terminal where somebody watches; gives the exit code. */
function runLogged([program, ...args], cwd, log, counts) {
  return new Promise((resolve) => {
    const file = createWriteStream(log)
    const child = spawn(program, args, {
      cwd,
      env: {
        ...process.env,
        TSBUILD_TEST_COUNTS: counts,
        ...(process.stdout.isTTY ? { FORCE_COLOR: '1' } : { NO_COLOR: '1' }),
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk) => {
        file.write(chunk)
        if (isLive) process.stdout.write(chunk)
      })
    }
    child.on('error', (error) => {
      process.stdout.write(`${error.message}\n`)
      file.end(() => resolve(127))
    })
    child.on('close', (code) => file.end(() => resolve(code ?? 1)))
  })
}

/** What a suite's run means as single tests. A run that failed without a failed test is itself a failed test. */
function readTests(suite, code, log, counts) {
  const tests = suite.kind === 'check' ? [] : readCounted(suite, log, counts)
  if (suite.kind === 'check') return [{ name: suite.name, state: code === 0 ? 'passed' : 'failed', ms: 0 }]
  if (code !== 0 && !tests.some((test) => test.state === 'failed')) {
    tests.push({ name: `${suite.name} ended with exit code ${code}`, state: 'failed', ms: 0 })
  }
  if (tests.length === 0) tests.push({ name: `${suite.name} ran no test`, state: 'failed', ms: 0 })
  return tests
}

function readCounted(suite, log, counts) {
  if (suite.kind === 'cargo') return parseCargoTest(readFileSync(log, 'utf8'))
  try {
    return JSON.parse(readFileSync(counts, 'utf8'))
  } catch (error) {
    return [
      { name: `${suite.name} wrote no counts (${error.code ?? error.message})`, state: 'failed', ms: 0 },
    ]
  }
}

function report(results) {
  const tests = results.flatMap((result) => result.tests.map((test) => ({ ...test, suite: result.name })))
  const of = (state, among = tests) => among.filter((test) => test.state === state)
  const lines = ['', '=== summary']
  for (const { name, tests: own, seconds, log } of results) {
    const counts = ['passed', 'failed', 'skipped']
      .map((state) => `${of(state, own).length} ${state}`)
      .join(', ')
    lines.push(
      `${name.padEnd(8)} ${`${seconds.toFixed(1)} s`.padStart(8)}  ${counts}  (${relative(root, log)})`,
    )
  }
  const slowest = tests
    .toSorted((a, b) => b.ms - a.ms)
    .slice(0, 8)
    .filter((test) => test.ms >= 1000)
  lines.push(...slowest.map((test) => `slow: ${(test.ms / 1000).toFixed(1)} s  ${test.suite}: ${test.name}`))
  lines.push(
    ...of('skipped').map((test) => `skipped: ${test.suite}: ${test.name}: ${test.note ?? 'no reason given'}`),
  )
  lines.push(...of('failed').map((test) => `FAILED: ${test.suite}: ${test.name}`))
  const skippedInCi = Boolean(process.env.CI) && of('skipped').length > 0
  if (skippedInCi) lines.push('CI is set, where every capability must be there: a skip is a failure')
  lines.push(['passed', 'failed', 'skipped'].map((state) => `${of(state).length} ${state}`).join(', '))
  process.stdout.write(`${lines.join('\n')}\n`)
  return of('failed').length > 0 || skippedInCi ? 1 : 0
}
