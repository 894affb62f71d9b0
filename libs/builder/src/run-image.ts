import { realpath } from 'node:fs/promises'
import { sizeText, UserError } from '@tsbuild/errors'
import { createExecutor, type ExceededLimit } from '@tsbuild/executor'
import type { Mount } from '@tsbuild/native'
import { hostPlatform, normalizePlatform, parsePlatform, type RuntimeConfig } from '@tsbuild/oci'
import { createSnapshotter } from '@tsbuild/snapshot'
import { executionOptions } from './execution-options.ts'
import { withPlatformHints } from './foreign-platform.ts'
import type { Machine } from './machine.ts'
import { parseExtraHosts } from './parse-extra-hosts.ts'
import { tryPorts } from './published-ports.ts'
import type { RunImageOptions, Volume } from './run-types.ts'

/** What a program may take to end after SIGTERM, as long as `docker stop` gives. */
const stopGraceMs = 10_000

/**
 * Runs the program of an image in a snapshot that is thrown away afterwards.
 *
 * @returns its exit code
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`; `ERR_USAGE` if there is nothing to run; `ERR_MOUNT_SOURCE_INVALID` for a
 * volume that is not there; `ERR_PORT`
 */
export async function runImage(machine: Machine, options: RunImageOptions): Promise<number> {
  const signal = options.signal ?? new AbortController().signal
  const mounts = await volumeMounts(options.volumes ?? [])
  const extraHosts = parseExtraHosts(options.addHosts ?? [])
  await tryPorts(options.ports ?? [])
  const image = await machine.images.resolve(options.image, platformOf(options), { pull: false, signal })
  const program = { ...programOf(image.config.config, options), mounts, extraHosts }
  const snapshotter = createSnapshotter({
    store: machine.store,
    native: machine.native,
    fetch: machine.images.fetchLayer,
  })
  const executor = createExecutor({
    native: machine.native,
    randomId: machine.randomId,
    trustCa: machine.options.trustCa ?? [],
    proxyEnv: [],
    ...executionOptions(options),
    ports: options.ports ?? [],
    onNotice: (_rule, message) => options.onNotice?.(message),
  })
  const layers = image.layers.map(
    (layer) => ({ kind: 'image', reference: image.reference, ...layer }) as const,
  )
  try {
    const snapshot = await snapshotter.prepare({ layers }, signal)
    try {
      const [stdin, stdout, stderr] = options.stdio ?? [0, 1, 2]
      const output = { kind: 'fds', stdin, stdout, stderr } as const
      const process = { ...program, root: snapshot.root }
      const { outcome, finished } = executor.run(process, output, { signal, signals: options.signals })
      await finished
      const { exitCode, exceeded } = await outcome
      if (exitCode !== 0 && exceeded !== null) options.onNotice?.(limitMet(executor.limitOf(exceeded)))
      return exitCode
    } finally {
      await snapshot.release()
    }
  } catch (error) {
    throw withPlatformHints(error)
  } finally {
    await Promise.all([executor.close(), snapshotter.close()])
  }
}

/** An exit code does not tell that it was a limit that ended the program. */
export function limitMet({ resource, amount, owner }: ExceededLimit): string {
  const [what, flag] = resource === 'memory' ? ['memory', '--memory'] : ['processes', '--pids-limit']
  const shown = resource === 'memory' && amount !== null ? sizeText(amount) : amount
  const limit =
    owner === 'machine' || shown === null
      ? 'the machine or its container has'
      : `the ${owner === 'default' ? 'default ' : ''}limit of ${shown} (${flag})`
  return `The program wanted more ${what} than ${limit}.`
}

function platformOf({ platform }: RunImageOptions) {
  const host = hostPlatform(process.arch)
  return normalizePlatform(platform === undefined ? host : parsePlatform(platform, host))
}

function programOf(config: RuntimeConfig, options: RunImageOptions) {
  const terminal = options.terminal === true
  return {
    args: commandOf(config, options),
    env: environment(config, options),
    cwd: options.workdir ?? (config.workingDir || '/'),
    user: options.user ?? config.user ?? '',
    network: options.network ?? 'default',
    hostname: options.hostname ?? 'tsbuild',
    security: options.allow?.includes('security.insecure') === true ? 'insecure' : 'sandbox',
    ulimits: (options.ulimits ?? []).map(({ name, soft = null, hard = null }) => ({ name, soft, hard })),
    shmSizeBytes: options.shmSizeBytes ?? null,
    readOnly: options.readOnly === true,
    terminal,
    stopGraceMs,
  } as const
}

/** Each name once: the caller's value, else the image's. */
function environment(config: RuntimeConfig, { env, terminal, term }: RunImageOptions): readonly string[] {
  const values = new Map<string, string>(terminal === true ? [['TERM', term ?? 'xterm']] : [])
  for (const entry of config.env ?? []) {
    const equals = entry.indexOf('=')
    if (equals > 0) values.set(entry.slice(0, equals), entry.slice(equals + 1))
  }
  for (const [name, value] of Object.entries(env ?? {})) values.set(name, value)
  return [...values].map(([name, value]) => `${name}=${value}`)
}

/** Parents first, as the helper wants them. A symlink is followed here: the helper follows none of the machine's. */
async function volumeMounts(volumes: readonly Volume[]): Promise<readonly Mount[]> {
  const mounts = volumes.map(async ({ source, target, readOnly: readonly }): Promise<Mount> => {
    return { kind: 'bind', source: await sourceOf(source), inside: '', target, readonly }
  })
  return (await Promise.all(mounts)).sort((a, b) => a.target.split('/').length - b.target.split('/').length)
}

async function sourceOf(path: string): Promise<string> {
  try {
    return await realpath(path)
  } catch (cause) {
    throw new UserError('ERR_MOUNT_SOURCE_INVALID', `Cannot mount volume "${path}": it cannot be opened`, {
      cause,
      hints: [`Where it is missing, docker makes a directory. tsbuild makes none: \`mkdir -p ${path}\`.`],
    })
  }
}

function commandOf(config: RuntimeConfig, { image, args, entrypoint }: RunImageOptions): readonly string[] {
  const front = entrypoint ?? config.entrypoint ?? []
  const inherited = entrypoint === undefined ? (config.cmd ?? []) : []
  const command = [...front, ...(args !== undefined && args.length > 0 ? args : inherited)]
  if (command.length > 0) return command
  throw new UserError('ERR_USAGE', `Cannot run image "${image}": it has neither ENTRYPOINT nor CMD`, {
    hints: [`Name a program: \`tsbuild run ${image} PROGRAM\`.`],
  })
}
