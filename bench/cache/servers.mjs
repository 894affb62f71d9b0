// The servers that are compared, each with its data in a folder of its own on the same disk.
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const program = fileURLToPath(new URL('../../node_modules/.bin/cache-server', import.meta.url))

/** Every server: `start(folder)` gives its address, its memory and its end. Logs of requests are on, into /dev/null. */
export const servers = [
  {
    name: 'cache-server',
    isOurs: true,
    start: (folder) =>
      startServer((port) => {
        // One token's quota is not for the load of a whole bench.
        const quota = ['--quota-requests-per-second', '1000000', '--quota-burst', '1000000000']
        return [program, ['--dir', join(folder, 'data'), '--listen', `127.0.0.1:${port}`, ...quota]]
      }),
  },
  {
    name: 'docker-registry',
    start: (folder) =>
      startServer((port) => {
        const config = join(folder, 'config.yml')
        mkdirSync(folder, { recursive: true })
        writeFileSync(
          config,
          JSON.stringify({
            version: 0.1,
            log: { level: 'info', accesslog: { disabled: false } },
            storage: { filesystem: { rootdirectory: join(folder, 'data') } },
            http: { addr: `127.0.0.1:${port}`, secret: 'of a benchmark' },
          }),
        )
        return ['docker-registry', ['serve', config]]
      }),
  },
]

async function startServer(commandOf) {
  const port = await freePort()
  const [path, args] = commandOf(port)
  const nodeOptions = process.env.BENCH_SERVER_NODE_OPTIONS
  const child = spawn(path, args, {
    stdio: ['ignore', 'ignore', process.env.BENCH_SERVER_LOG === undefined ? 'ignore' : 'inherit'],
    env: { ...process.env, ...(nodeOptions === undefined ? {} : { NODE_OPTIONS: nodeOptions }) },
  })
  const base = `http://127.0.0.1:${port}`
  for (let attempt = 0; ; attempt += 1) {
    const answer = await fetch(`${base}/v2/`).catch(() => undefined)
    await answer?.arrayBuffer()
    if (answer !== undefined) break
    if (attempt === 200 || child.exitCode !== null) throw new Error(`${path} does not answer`)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return {
    base,
    rssBytes: () =>
      Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${child.pid}/status`, 'utf8'))?.[1]) * 1024,
    /** Of the processor, so far: what a busy machine does not change. */
    cpuSeconds: () => {
      const fields = readFileSync(`/proc/${child.pid}/stat`, 'utf8')
        .replace(/^.*\) /, '')
        .split(' ')
      return (Number(fields[11]) + Number(fields[12])) / 100
    },
    stop: () =>
      new Promise((resolve) => {
        if (child.exitCode !== null || child.signalCode !== null) return resolve()
        child.once('exit', resolve)
        child.kill('SIGTERM')
      }),
  }
}

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address()
      server.close(() => resolve(port))
    })
  })
}
