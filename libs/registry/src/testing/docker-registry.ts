import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

const program = '/usr/bin/docker-registry'

/** A running `docker-registry`, the reference implementation of the protocol. */
export interface RealRegistry {
  /** As in references: `127.0.0.1:41234`. */
  readonly host: string
  /** Where it keeps what it was given. */
  readonly directory: string
  /** Access log lines so far, for example `PUT /v2/app/manifests/1.0 201`. */
  readonly requests: readonly string[]
  stop(): Promise<void>
}

/** For {@link startDockerRegistry}. */
export interface RealRegistryOptions {
  /** Lines of an htpasswd file; only bcrypt is known to it. */
  readonly htpasswd?: string | undefined
}

/** Whether Debian's package `docker-registry` is installed. */
export function hasDockerRegistry(): boolean {
  return existsSync(program)
}

/** Starts a registry on a free port of 127.0.0.1, with its data in a new temporary directory. Resolves when it listens. */
export async function startDockerRegistry(options: RealRegistryOptions = {}): Promise<RealRegistry> {
  const directory = await mkdtemp(join(tmpdir(), 'tsbuild-registry-'))
  await writeFile(join(directory, 'config.yml'), await configText(directory, options))
  const child = spawn(program, ['serve', join(directory, 'config.yml')], {
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  const exited = once(child, 'exit')
  const requests: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    const match = /"(\w+) (\S+) HTTP\/[\d.]+" (\d+)/.exec(line)
    if (match !== null) requests.push(`${match[1]} ${match[2]} ${match[3]}`)
  })
  const stop = async () => {
    child.kill('SIGKILL')
    await exited
    await rm(directory, { recursive: true, force: true })
  }
  try {
    return { host: await listening(child), directory, requests, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function configText(directory: string, options: RealRegistryOptions): Promise<string> {
  const lines = [
    'version: 0.1',
    'log: { level: info, formatter: text, accesslog: { disabled: false } }',
    `storage: { filesystem: { rootdirectory: ${JSON.stringify(join(directory, 'data'))} }, delete: { enabled: true } }`,
    'http: { addr: "127.0.0.1:0" }',
  ]
  if (options.htpasswd !== undefined) {
    const path = join(directory, 'htpasswd')
    await writeFile(path, options.htpasswd)
    lines.push(`auth: { htpasswd: { realm: test, path: ${JSON.stringify(path)} } }`)
  }
  return `${lines.join('\n')}\n`
}

/** Where it listens, which it says in its log; an exit before that is an error with the last lines. */
function listening(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    const seen: string[] = []
    const { stderr } = child
    if (stderr === null) return reject(new Error('docker-registry has no standard error'))
    createInterface({ input: stderr }).on('line', (line) => {
      seen.push(line)
      const [, host] = /listening on (127\.0\.0\.1:\d+)/.exec(line) ?? []
      if (host !== undefined) resolve(host)
    })
    child.once('error', reject)
    child.once('exit', () => reject(new Error(`docker-registry ended:\n${seen.slice(-5).join('\n')}`)))
  })
}
