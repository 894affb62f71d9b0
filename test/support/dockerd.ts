import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { findProgram } from './capabilities.ts'
import { stopProcess } from './registry-process.ts'
import { check, run } from './tsbuild.ts'

/** A running `dockerd` of the test's own. */
export interface Dockerd {
  /** Runs `docker` on it; must succeed. Gives standard output. */
  readonly docker: (args: readonly string[]) => Promise<string>
  readonly stop: () => Promise<void>
}

/** Starts `dockerd` with everything it writes in `folder` and without touching the network; resolves when it answers. */
export async function startDockerd(folder: string): Promise<Dockerd> {
  const program = findProgram('dockerd')
  // Debian's own client: one that is newer may not speak to Debian's daemon.
  const client = '/usr/bin/docker'
  if (program === undefined) throw new Error('dockerd is not installed')
  mkdirSync(folder, { recursive: true })
  const socket = `unix://${join(folder, 'socket')}`
  const child = spawn(
    program,
    [
      ...['--data-root', join(folder, 'data'), '--exec-root', join(folder, 'exec')],
      ...['--pidfile', join(folder, 'pid'), '--host', socket],
      ...['--bridge', 'none', '--iptables=false', '--ip6tables=false'],
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  )
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log += text
  })
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (child.exitCode !== null)
      throw new Error(`dockerd ended with exit code ${child.exitCode}\n${log.slice(-4000)}`)
    if ((await run(client, ['--host', socket, 'version'])).code === 0) {
      return {
        docker: (args) => check(client, ['--host', socket, ...args]),
        stop: () => stopProcess(child),
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`dockerd does not answer\n${log.slice(-4000)}`)
}
