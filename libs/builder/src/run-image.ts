import { UserError } from '@tsbuild/errors'
import { createExecutor } from '@tsbuild/executor'
import { hostPlatform, type RuntimeConfig } from '@tsbuild/oci'
import { createSnapshotter } from '@tsbuild/snapshot'
import { executionOptions } from './execution-options.ts'
import type { Machine } from './machine.ts'
import type { RunImageOptions } from './types.ts'

/**
 * Runs the program of an image in a snapshot that is thrown away afterwards.
 *
 * @returns its exit code
 * @throws {UserError} `ERR_IMAGE_NOT_FOUND`; `ERR_USAGE` if there is nothing to run
 */
export async function runImage(machine: Machine, options: RunImageOptions): Promise<number> {
  const signal = options.signal ?? new AbortController().signal
  const image = await machine.images.resolve(options.image, hostPlatform(process.arch), {
    pull: false,
    signal,
  })
  const { config } = image.config
  const args = commandOf(config, options)
  const snapshotter = createSnapshotter({
    store: machine.store,
    native: machine.native,
    fetch: (layer, aborted) => machine.images.fetchLayer(layer, aborted),
  })
  const executor = createExecutor({
    ...executionOptions(options),
    native: machine.native,
    randomId: machine.randomId,
    trustCa: machine.options.trustCa ?? [],
    proxyEnv: [],
    ports: options.ports ?? [],
    onNotice: () => {},
  })
  const layers = image.layers.map(
    (layer) => ({ kind: 'image', reference: image.reference, ...layer }) as const,
  )
  const snapshot = await snapshotter.prepare({ layers }, signal)
  const [stdin, stdout, stderr] = options.stdio ?? [0, 1, 2]
  const program = {
    root: snapshot.root,
    args,
    env: [
      ...(config.env ?? []),
      ...Object.entries(options.env ?? {}).map(([name, value]) => `${name}=${value}`),
    ],
    cwd: options.workdir ?? (config.workingDir || '/'),
    user: options.user ?? config.user ?? '',
    network: options.network ?? 'default',
    hostname: 'tsbuild',
    extraHosts: [],
    security: 'sandbox',
    mounts: [],
    ulimits: [],
    shmSizeBytes: null,
    readOnly: false,
    terminal: false,
  } as const
  try {
    const { outcome, finished } = executor.run(program, { kind: 'fds', stdin, stdout, stderr }, { signal })
    await finished
    return (await outcome).exitCode
  } finally {
    await executor.close()
    await snapshot.release()
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
