import { spawn } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { connect } from 'node:net'
import { join } from 'node:path'
import { findProgram } from './capabilities.ts'
import { stopProcess } from './registry-process.ts'
import { check } from './tsbuild.ts'

/** A running `podman system service` with a store of its own. */
export interface PodmanService {
  /** The path of its socket. */
  readonly socket: string
  /** Runs `podman` on the same store; must succeed. Gives standard output. */
  readonly podman: (args: readonly string[]) => Promise<string>
  readonly stop: () => Promise<void>
}

/** Starts one with everything it writes in `folder`; resolves when its socket takes connections. */
export async function startPodmanService(folder: string): Promise<PodmanService> {
  const program = findProgram('podman')
  if (program === undefined) throw new Error('podman is not installed')
  mkdirSync(folder, { recursive: true })
  const socket = join(folder, 'socket')
  const store = ['--root', join(folder, 'root'), '--runroot', join(folder, 'run'), '--runtime', 'runc']
  const service = ['system', 'service', '--time', '0', `unix://${socket}`]
  const child = spawn(program, [...store, ...service], { stdio: ['ignore', 'ignore', 'pipe'] })
  let log = ''
  child.stderr.setEncoding('utf8').on('data', (text) => {
    log += text
  })
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (child.exitCode !== null) break
    if (await takesConnections(socket)) {
      return {
        socket,
        podman: (args) => check(program, [...store, ...args]),
        stop: () => stopProcess(child),
      }
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`podman system service does not answer\n${log.slice(-4000)}`)
}

function takesConnections(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    socket.once('error', () => resolve(false))
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
  })
}
