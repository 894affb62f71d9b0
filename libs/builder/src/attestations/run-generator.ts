import { chmod, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { createExecutor } from '@tsbuild/executor'
import type { Attestation } from '@tsbuild/exporter'
import type { Mount, Native, Root, Tree } from '@tsbuild/native'
import { hostPlatform, maxStatementBytes, type RuntimeConfig } from '@tsbuild/oci'
import { isRecord, parseJson } from '@tsbuild/shape'
import { executionOptions } from '../execution-options.ts'
import type { PlatformResult } from '../image-outputs.ts'
import type { AttestationSource } from './create-attestations.ts'

const sourcePath = '/run/src/core/sbom'
const destinationPath = '/run/out'

/** What a generator writes for the result itself. */
const coreName = 'sbom.spdx.json'

/** More lists than this of one file system nobody makes. */
const maxFiles = 100

/** A generator that was asked for, and over what it is run. */
export interface GeneratorRun {
  readonly source: AttestationSource
  readonly result: PlatformResult
  readonly generator: string
  /** Takes what it writes. */
  readonly onOutput: (stream: 'stdout' | 'stderr', data: Buffer) => void
}

/**
 * Runs an image over the files of a result, and takes the statements that it leaves: BuildKit's protocol for programs that make
 * SBOMs. It sees the files read-only, in the sandbox of steps and with their network, and runs in each build. What it writes is
 * untrusted.
 *
 * @throws {UserError} `ERR_STEP_FAILED` where it fails, or leaves no statement; `ERR_IMAGE_NOT_FOUND`; what steps throw
 * @see https://github.com/moby/buildkit/blob/master/docs/attestations/sbom-protocol.md
 */
export async function runGenerator(run: GeneratorRun): Promise<readonly Attestation[]> {
  const { run: build, snapshotter } = run.source
  const { machine, signal, options } = build
  const platform = hostPlatform(process.arch)
  const image = await machine.images.resolve(run.generator, platform, { pull: options.pull === true, signal })
  const layers = image.layers.map(
    (layer) => ({ kind: 'image', reference: image.reference, ...layer }) as const,
  )
  const destination = join(await machine.store.sources.scratch(), `sbom-${machine.randomId()}`)
  await mkdir(destination)
  // Whoever the program runs as.
  await chmod(destination, 0o777)
  const snapshot = await snapshotter.prepare({ layers }, signal)
  try {
    const files = await snapshotter.view(run.result.filesystem, signal)
    await runProgram(run, image.config.config, { root: snapshot.root, mounts: mountsOf(files, destination) })
    return await readStatements(machine.native, destination, run.generator, signal)
  } finally {
    await snapshot.release()
    await machine.native.remove([destination])
  }
}

function mountsOf(root: Root, destination: string): readonly Mount[] {
  return [
    { kind: 'tmpfs', target: '/tmp', sizeBytes: null, readonly: false },
    { kind: 'bind', source: destination, inside: '', target: destinationPath, readonly: false },
    { kind: 'snapshot', root, inside: '', target: sourcePath },
  ]
}

async function runProgram(
  { source, generator, onOutput }: GeneratorRun,
  config: RuntimeConfig,
  place: { readonly root: Root; readonly mounts: readonly Mount[] },
): Promise<void> {
  const { run, internal } = source
  const { machine, options, signal } = run
  const executor = createExecutor({
    ...executionOptions(options),
    native: machine.native,
    randomId: machine.randomId,
    trustCa: machine.options.trustCa ?? [],
    proxyEnv: source.platforms[0]?.frontend.proxyEnv ?? [],
    ports: [],
    onNotice: (rule, message) => internal.warn({ rule, message, source: null }),
  })
  const process = {
    ...place,
    args: commandOf(config, generator),
    env: environmentOf(config),
    cwd: config.workingDir || '/',
    user: config.user ?? '',
    network: options.network ?? 'default',
    security: 'sandbox',
    hostname: 'buildkitsandbox',
    extraHosts: [],
    ulimits: [],
    shmSizeBytes: null,
    readOnly: false,
    terminal: false,
  } as const
  try {
    const onStdout = (data: Buffer) => onOutput('stdout', data)
    const onStderr = (data: Buffer) => onOutput('stderr', data)
    const { outcome, finished } = executor.run(process, { kind: 'callbacks', onStdout, onStderr }, { signal })
    await finished
    const { exitCode } = await outcome
    if (exitCode !== 0) throw generatorFailed(generator, `it ended with exit code ${exitCode}`)
  } finally {
    await executor.close()
  }
}

function commandOf({ entrypoint = [], cmd = [] }: RuntimeConfig, generator: string): readonly string[] {
  const command = [...entrypoint, ...cmd]
  if (command.length > 0) return command
  throw generatorFailed(generator, 'it has neither ENTRYPOINT nor CMD')
}

function environmentOf({ env = [] }: RuntimeConfig): readonly string[] {
  const own = env.filter((entry) => !entry.startsWith('BUILDKIT_SCAN_'))
  return [...own, `BUILDKIT_SCAN_SOURCE=${sourcePath}`, `BUILDKIT_SCAN_DESTINATION=${destinationPath}/`]
}

async function readStatements(
  native: Native,
  path: string,
  generator: string,
  signal: AbortSignal,
): Promise<readonly Attestation[]> {
  const tree: Tree = { kind: 'directory', path, ignore: [], fingerprints: null, checkoutUmask: null }
  const wanted = { patterns: ['*.json'], sections: [], maxFiles, maxSectionBytes: 0 }
  const { files } = await native.find(tree, wanted, { signal })
  const names = files.map((file) => file.path).sort(coreFirst)
  if (!names.includes(coreName)) throw generatorFailed(generator, `it left no "${coreName}"`)
  const contents: (Buffer | null)[] = []
  // One at a time: each may be large.
  for (const name of names)
    contents.push(...(await native.read(tree, [name], { maxBytes: maxStatementBytes, signal })))
  return names.map((name, index) => {
    const value = parseJson(contents[index]?.toString('utf8') ?? '')
    const { predicateType, predicate } = isRecord(value) ? value : {}
    if (typeof predicateType === 'string' && isRecord(predicate)) return { predicateType, predicate }
    throw generatorFailed(generator, `"${name}" is no in-toto statement`)
  })
}

function coreFirst(one: string, other: string): number {
  if (one === other) return 0
  return one === coreName || (other !== coreName && one < other) ? -1 : 1
}

function generatorFailed(generator: string, why: string): UserError {
  return new UserError('ERR_STEP_FAILED', `Cannot make an SBOM with the generator "${generator}": ${why}`)
}
