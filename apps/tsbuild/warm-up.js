import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

const here = (path) => fileURLToPath(new URL(path, import.meta.url))

/**
 * Makes the code caches of the bundle's chunks. They hold the functions that were called in the process which makes them, and V8 reads
 * all of them, so only commands run there whose time is mostly start-up: what fills the caches runs in processes before.
 *
 * What the machine lacks (the helper, the cache-server's bundle) makes the caches poorer, and that is all.
 */
export async function warmUp() {
  const scratch = mkdtempSync(join(tmpdir(), 'tsbuild-warm-up-'))
  const server = existsSync(here('../cache-server/dist/bundle'))
    ? await startServer(join(scratch, 'server'))
    : undefined
  try {
    makeCodeCaches(scratch, server?.url)
  } finally {
    if (server !== undefined) await server.stop()
    rmSync(scratch, { recursive: true, force: true })
  }
}

function makeCodeCaches(scratch, serverUrl) {
  mkdirSync(join(scratch, 'upper'))
  writeFileSync(join(scratch, 'Dockerfile'), 'FROM scratch AS a\nARG B=1\nENV C=$B\nCOPY Dockerfile /x\n')
  const lines = [
    ['-t', 'a', '.'],
    ['-o', 'type=oci,dest=a.tar', '.'],
    ['images'],
    ['run'],
    ['build', '--help'],
    ['--unknown'],
  ]
  const fills = [['-t', 'a', '.']]
  if (serverUrl !== undefined) {
    const { host } = new URL(serverUrl)
    const cache = `type=server,url=${serverUrl}`
    const build = ['--cache-from', cache, '--cache-to', cache, '-t', `${host}/b:1`, '--push', 'upper']
    writeFileSync(join(scratch, 'upper/Dockerfile'), `FROM ${host}/a:1\nCOPY Dockerfile /y\n`)
    fills.push(['-t', `${host}/a:1`, '--push', '.'], build)
    // A second agent: its store is empty.
    lines.push(['--root', join(scratch, 'agent'), ...build])
  }
  const env = { PATH: process.env.PATH, HOME: scratch, TSBUILD_ROOT: join(scratch, 'store') }
  const options = { cwd: scratch, env, encoding: 'utf8', timeout: 60_000 }
  for (const line of fills) spawnSync(process.execPath, ['--', here('bin/tsbuild.js'), ...line], options)
  const made = spawnSync(process.execPath, [here('make-code-cache.cjs'), JSON.stringify(lines)], options)
  if (made.status !== 0) throw new Error(`Cannot make the code caches: ${made.stderr}`)
}

/** Starts a cache-server that also is the registry. */
async function startServer(dir) {
  const child = spawn(
    process.execPath,
    [here('../cache-server/bin/cache-server.js'), '--dir', dir, '--listen', '127.0.0.1:0'],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  const ended = once(child, 'exit')
  for await (const line of createInterface({ input: child.stderr })) {
    const { message, listen } = JSON.parse(line)
    if (message !== 'ready') continue
    child.stderr.resume()
    const stop = async () => {
      child.kill()
      await ended
    }
    return { url: listen[0], stop }
  }
  throw new Error('Cannot make the code caches: the cache-server ended')
}
