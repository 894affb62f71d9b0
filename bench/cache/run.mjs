// Measures cache-server and docker-registry in one run, taking turns. Usage: npm run bench:cache [-- SCENARIO…]
import { execFile, execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { formatCacheTable } from './report.mjs'
import { scenarios } from './scenarios.mjs'
import { servers } from './servers.mjs'

const root = fileURLToPath(new URL('../..', import.meta.url))
const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !scenarios.some((scenario) => scenario.name === name))
if (unknown.length > 0) {
  console.error(
    `Unknown scenario ${unknown.join(', ')}: one of ${scenarios.map(({ name }) => name).join(', ')}`,
  )
  process.exit(2)
}
const chosen = scenarios.filter(({ name }) => wanted.length === 0 || wanted.includes(name))
const folder = mkdtempSync(join(process.env.TMPDIR ?? '/var/tmp', 'tsbuild-bench-cache-'))
const results = []
try {
  for (const scenario of chosen) results.push(await measure(scenario))
} finally {
  rmSync(folder, { recursive: true, force: true })
}
const report = {
  machine: { cpus: cpus().length, cpu: cpus()[0]?.model, kernel: release(), node: process.version },
  commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim(),
  registry: execFileSync('dpkg-query', ['-W', '-f', '${Version}', 'docker-registry'], { encoding: 'utf8' }),
  scenarios: results,
}
const out = join(root, '.tsbuild-dev/bench')
mkdirSync(out, { recursive: true })
const file = join(out, `cache-${new Date().toISOString().replace(/[:.]/g, '-')}.json`)
writeFileSync(file, `${JSON.stringify(report, null, 2)}\n`)
console.log(`\n${formatCacheTable(results)}\n\n${file}`)

/** All servers are prepared, then take turns, so that a busy minute hits each of them. */
async function measure(scenario) {
  console.error(`\n${scenario.title}`)
  const running = []
  try {
    for (const server of servers) {
      if (scenario.isOursAlone && !server.isOurs) continue
      const own = join(folder, `${scenario.name}-${server.name}`)
      const started = await server.start(own)
      const bench = { ...started, name: server.name, folder: own, load }
      running.push({ ...bench, facts: await scenario.prepare?.(bench) })
    }
    const rows = new Map(running.map(({ name }) => [name, { values: [], details: [] }]))
    for (let round = 0; round < scenario.runs; round += 1) {
      for (const bench of running) {
        const before = bench.cpuSeconds()
        const { value, ...details } = await scenario.measure(bench, bench.facts)
        if (details.requests > 0) details.cpuMs = ((bench.cpuSeconds() - before) * 1000) / details.requests
        rows.get(bench.name).values.push(value)
        rows.get(bench.name).details.push(details)
        const cpu = details.cpuMs === undefined ? '' : `  ${details.cpuMs.toFixed(3)} ms of CPU each`
        console.error(`  ${bench.name.padEnd(16)} ${scenario.format(value)}${cpu}`)
      }
    }
    return {
      name: scenario.name,
      title: scenario.title,
      aim: scenario.aim,
      unit: scenario.unit,
      servers: Object.fromEntries(rows),
    }
  } finally {
    for (const bench of running) await bench.stop()
    rmSync(join(folder), { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
  }
}

/** Runs one job in the load generator's own process. */
async function load(job) {
  const generator = fileURLToPath(new URL('load.mjs', import.meta.url))
  const { stdout } = await promisify(execFile)(process.execPath, [generator, JSON.stringify(job)], {
    maxBuffer: 1 << 24,
  })
  return JSON.parse(stdout)
}
