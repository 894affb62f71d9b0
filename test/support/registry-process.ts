import { type ChildProcess, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { findProgram } from './capabilities.ts'
import { freePort } from './free-port.ts'

/** Who may use a registry. */
export type RegistryAuth =
  | { readonly type: 'basic'; readonly htpasswd: string }
  | {
      readonly type: 'token'
      readonly realm: string
      readonly service: string
      readonly issuer: string
      readonly certificates: string
    }

/** A running `docker-registry`. */
export interface RegistryProcess {
  /** `127.0.0.1:port`. */
  readonly host: string
  /** The requests since the start or the last call of `forget`, as `METHOD path status`. */
  readonly requests: () => readonly string[]
  readonly forget: () => void
  /** Ends it with `SIGKILL` and starts it anew on the same port and data. */
  readonly crash: () => Promise<void>
  readonly stop: () => Promise<void>
}

/** Starts Debian's `docker-registry` on a loopback port with its data in `folder`; resolves when it answers. */
export async function startRegistry(folder: string, auth?: RegistryAuth): Promise<RegistryProcess> {
  const program = findProgram('docker-registry')
  if (program === undefined) throw new Error('docker-registry is not installed')
  mkdirSync(folder, { recursive: true })
  const host = `127.0.0.1:${await freePort()}`
  const config = join(folder, 'config.yml')
  writeFileSync(config, JSON.stringify(configuration(folder, host, auth)))
  let log = ''
  const begin = async () => {
    const child = spawn(program, ['serve', config], { stdio: ['ignore', 'pipe', 'pipe'] })
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text) => {
        log += text
      })
    }
    await answers(`http://${host}/v2/`, child, () => log)
    return child
  }
  let child = await begin()
  return {
    host,
    requests: () =>
      [...log.matchAll(/"(GET|HEAD|PUT|POST|PATCH|DELETE) (\S+) HTTP\/[\d.]+" (\d+)/g)].map(
        ([, method, path, status]) => `${method} ${path} ${status}`,
      ),
    forget: () => {
      log = ''
    },
    crash: async () => {
      await stopProcess(child, 'SIGKILL')
      child = await begin()
    },
    stop: () => stopProcess(child),
  }
}

function configuration(folder: string, host: string, auth: RegistryAuth | undefined): object {
  return {
    version: 0.1,
    log: { level: 'warn', accesslog: { disabled: false } },
    storage: { filesystem: { rootdirectory: join(folder, 'data') } },
    // Uploads under way are known again after a restart: their addresses are signed with the secret.
    http: { addr: host, secret: 'of a test' },
    ...(auth === undefined ? {} : { auth: authConfiguration(folder, auth) }),
  }
}

function authConfiguration(folder: string, auth: RegistryAuth): object {
  if (auth.type === 'basic') {
    writeFileSync(join(folder, 'htpasswd'), auth.htpasswd)
    return { htpasswd: { realm: 'tests', path: join(folder, 'htpasswd') } }
  }
  const { realm, service, issuer, certificates } = auth
  return { token: { realm, service, issuer, rootcertbundle: certificates } }
}

async function answers(url: string, child: ChildProcess, log: () => string): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    if (child.exitCode !== null)
      throw new Error(`docker-registry ended with exit code ${child.exitCode}\n${log()}`)
    const response = await fetch(url).catch(() => undefined)
    await response?.arrayBuffer()
    if (response !== undefined) return
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  throw new Error(`docker-registry does not answer\n${log()}`)
}

/** Ends a process and waits until it is gone. */
export function stopProcess(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  return new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) return resolve()
    child.once('exit', () => resolve())
    child.kill(signal)
  })
}

const sha256 = (bytes: Uint8Array) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** One layer of an image made by hand. */
export interface RawLayer {
  readonly tar: Uint8Array
  /** What is stored instead of the gzip of `tar`. */
  readonly stored?: Uint8Array
}

/** Puts an image made by hand into a registry without authentication, whatever is in its layers. */
export async function pushRaw(
  host: string,
  name: string,
  tag: string,
  layers: readonly RawLayer[],
): Promise<void> {
  const stored = layers.map((layer) => layer.stored ?? gzipSync(layer.tar))
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      config: {},
      rootfs: { type: 'layers', diff_ids: layers.map((layer) => sha256(layer.tar)) },
    }),
  )
  const descriptor = (mediaType: string, bytes: Uint8Array) => ({
    mediaType,
    digest: sha256(bytes),
    size: bytes.length,
  })
  const manifest = JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: descriptor('application/vnd.oci.image.config.v1+json', config),
    layers: stored.map((bytes) => descriptor('application/vnd.oci.image.layer.v1.tar+gzip', bytes)),
  })
  for (const bytes of [config, ...stored]) await pushBlob(host, name, bytes)
  await succeed(
    await fetch(`http://${host}/v2/${name}/manifests/${tag}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
      body: manifest,
    }),
  )
}

async function pushBlob(host: string, name: string, bytes: Uint8Array): Promise<void> {
  const begun = await succeed(await fetch(`http://${host}/v2/${name}/blobs/uploads/`, { method: 'POST' }))
  const location = new URL(begun.headers.get('location') ?? '', `http://${host}`)
  location.searchParams.set('digest', sha256(bytes))
  await succeed(await fetch(location, { method: 'PUT', body: Buffer.from(bytes) }))
}

async function succeed(response: Response): Promise<Response> {
  const text = await response.text()
  if (!response.ok) throw new Error(`${response.url}: ${response.status} ${text}`)
  return response
}
