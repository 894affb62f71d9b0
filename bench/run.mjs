// Runs scenarios against every builder that is there, in one go, and prints the table. Usage: npm run bench [-- SCENARIO…]
import { execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createBuilders } from './builders.mjs'
import { runCommand, timeCommands } from './measure.mjs'
import { formatTable, summarise } from './report.mjs'
import { scenarios } from './scenarios.mjs'

const root = fileURLToPath(new URL('..', import.meta.url))
const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !scenarios.some((scenario) => scenario.name === name))
if (unknown.length > 0) {
  console.error(
    `Unknown scenario ${unknown.join(', ')}: one of ${scenarios.map((one) => one.name).join(', ')}`,
  )
  process.exit(2)
}
const chosen = scenarios.filter((scenario) => wanted.length === 0 || wanted.includes(scenario.name))

const folder = mkdtempSync(join(process.env.TMPDIR ?? '/var/tmp', 'tsbuild-bench-'))
const builders = createBuilders(folder)
const registry = await startRegistry(join(folder, 'registry'))
let results
try {
  results = await measureAll()
} finally {
  await Promise.all(builders.map((builder) => builder.stop?.()))
  registry.stop()
  // What buildah mounted must be gone before its folder can be.
  execFileSync('sh', ['-c', `grep -o '${folder}[^ ]*' /proc/self/mounts | sort -r | xargs -r umount -l`])
  rmSync(folder, { recursive: true, force: true })
}
const out = join(root, '.tsbuild-dev/bench')
mkdirSync(out, { recursive: true })
const file = join(out, `${new Date().toISOString().replace(/[:.]/g, '-')}.json`)
writeFileSync(file, `${JSON.stringify(results, null, 2)}\n`)
console.log(`\n${formatTable(results)}\n\n${file}`)

async function measureAll() {
  const base = { archive: join(folder, 'base.tar'), context: makeFolder('base') }
  writeFileSync(join(base.context, 'Dockerfile'), 'FROM debian:bookworm\n')
  const ready = []
  const missing = []
  for (const builder of builders) {
    try {
      await builder.prepare(base)
      const { output } = await runCommand(builder.version())
      ready.push({
        ...builder,
        prepareAgain: () => builder.prepare(base),
        versionText: output.trim().split('\n')[0],
      })
    } catch (error) {
      if (builder.isOurs) throw error
      missing.push({ name: builder.name, reason: error.message.split('\n')[0] })
      console.error(`left out: ${builder.name}: ${error.message}`)
    }
  }
  const rows = []
  for (const scenario of chosen) rows.push(await measure(scenario, ready))
  return {
    machine: { cpus: cpus().length, cpu: cpus()[0]?.model, kernel: release(), node: process.version },
    commit: execFileSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).trim(),
    builders: ready.map(({ name, versionText }) => ({ name, version: versionText })),
    missing,
    scenarios: rows,
  }
}

/** Measures one scenario: all builders are prepared, then take turns, so that a busy minute hits every one of them. */
async function measure(scenario, ready) {
  console.error(`\n${scenario.title}`)
  const benches = []
  const measurements = new Map()
  for (const builder of ready) {
    const bench = makeBench(scenario, builder)
    measurements.set(builder.name, { seconds: [] })
    const failed = await attempt(() => scenario.prepare(bench), builder, measurements)
    if (!failed) benches.push(bench)
  }
  for (let round = 0; round < scenario.runs; round += 1) {
    for (const bench of benches) {
      const record = measurements.get(bench.builder.name)
      if (record.failure !== undefined || record.cannot) continue
      await attempt(
        async () => {
          await scenario.change?.(bench, String(round))
          const commands = scenario.measured(bench, String(round))
          if (commands === undefined) record.cannot = true
          else record.seconds.push(await timeCommands(commands, scenario.secondsOf))
        },
        bench.builder,
        measurements,
      )
    }
  }
  if (scenario.forgets) for (const builder of ready) await builder.prepareAgain()
  const row = { name: scenario.name, title: scenario.title, ...summarise(measurements) }
  for (const { name, median, failure } of row.builders) {
    console.error(
      `  ${name.padEnd(16)} ${failure ?? (median === undefined ? 'cannot' : `${median.toFixed(3)} s`)}`,
    )
  }
  return row
}

async function attempt(action, builder, measurements) {
  try {
    await action()
    return false
  } catch (error) {
    measurements.get(builder.name).failure = error.message.slice(0, 400)
    return true
  }
}

function makeBench(scenario, builder) {
  const own = makeFolder(`${scenario.name}-${builder.name.replace(/\W+/g, '-')}`)
  const context = join(own, 'context')
  mkdirSync(context)
  return {
    builder,
    context,
    folder: own,
    tag: `bench-${scenario.name}:latest`,
    registry: registry.host,
    run: runCommand,
  }
}

function makeFolder(name) {
  const path = join(folder, name)
  mkdirSync(path, { recursive: true })
  return path
}

/** Debian's docker-registry on a loopback port, for what is pushed and pulled. */
async function startRegistry(data) {
  mkdirSync(data, { recursive: true })
  const port = await new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
  const config = join(data, 'config.yml')
  writeFileSync(
    config,
    JSON.stringify({
      version: 0.1,
      log: { level: 'error', accesslog: { disabled: true } },
      storage: { filesystem: { rootdirectory: join(data, 'data') } },
      http: { addr: `127.0.0.1:${port}` },
    }),
  )
  const child = spawn('docker-registry', ['serve', config], { stdio: 'ignore' })
  for (let attempt = 0; attempt < 100; attempt += 1) {
    if (
      await fetch(`http://127.0.0.1:${port}/v2/`).then(
        () => true,
        () => false,
      )
    )
      break
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { host: `127.0.0.1:${port}`, stop: () => child.kill() }
}
