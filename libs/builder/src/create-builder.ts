import { setMaxListeners } from 'node:events'
import { EnvironmentError, isBuildError, redact, UserError } from '@tsbuild/errors'
import { createEventQueue, type EventSink, teeSinks } from '@tsbuild/events'
import type { VerifyReport } from '@tsbuild/fsck'
import {
  formatPlatform,
  formatReference,
  hostPlatform,
  type Platform,
  parsePlatform,
  parseReference,
  samePlatform,
  withDefaultTag,
} from '@tsbuild/oci'
import type { KeyPairFiles } from '@tsbuild/signature'
import type { NamedImage } from '@tsbuild/store'
import type { ImageCalls } from './image-types.ts'
import { createInUse, type InUse } from './in-use.ts'
import { imagesOf } from './local-image.ts'
import { type Machine, openMachine, randomId } from './machine.ts'
import { recordBuild } from './record-build.ts'
import { type BuildRun, runBuild } from './run-build.ts'
import { runImage } from './run-image.ts'
import { withSshAgents } from './ssh.ts'
import { startTimeLimit } from './time-limit.ts'
import type {
  Builder,
  BuilderOptions,
  BuildHandle,
  BuildOptions,
  BuildResult,
  LocalImage,
  VerifyOptions,
} from './types.ts'
import { whyEnded } from './why-ended.ts'

type StartOptions = Parameters<Builder['build']>[0]

/**
 * Opens a builder over a store. Several builders, of this and of other processes, may share one store.
 *
 * @throws {EnvironmentError} `ERR_HELPER_MISSING`, `ERR_STORE_OPEN`, `ERR_STORE_FORMAT`, `ERR_PERMISSION`
 */
export async function createBuilder(options: BuilderOptions): Promise<Builder> {
  const machine = await openMachine(options)
  const { during } = createInUse(machine.store)
  const signatures = async () => (await import('./signature-calls.ts')).signaturesOf(machine)
  const history = async () => (await import('./history-calls.ts')).historyOf(machine)
  return {
    build: (build) =>
      startBuild(build, machine.now, (started) =>
        during(() => recordBuild({ machine, ...started }, runWithAgents)),
      ),
    images: async () =>
      await Promise.all((await machine.store.images.list()).map((image) => describeImage(machine, image))),
    async removeImage(name) {
      const full = formatReference(withDefaultTag(parseReference(name)))
      if (await machine.store.images.remove(full)) return
      throw new UserError(
        'ERR_IMAGE_NOT_FOUND',
        `Cannot remove image "${name}": there is no local image of this name`,
        { hints: ['`tsbuild images` lists them.'] },
      )
    },
    check: (call) => during(async () => (await frontendCalls()).check(machine, call)),
    outline: (call) => during(async () => (await frontendCalls()).outline(machine, call)),
    targets: (call) => during(async () => (await frontendCalls()).targets(machine, call)),
    runImage: (run) => during(() => runImage(machine, run)),
    shell: async (options) => {
      const { shell } = await import('./shell.ts')
      return await during(() => shell(machine, options))
    },
    failures: async () => (await import('./shell.ts')).failedSteps(machine),
    diskUsage: async (request) => (await import('./space.ts')).usage(machine, request),
    prune: async (request) => (await import('./space.ts')).pruneStore(machine, request),
    builds: async () => (await history()).builds(),
    compareImages: async (options) => {
      const { compareImages } = await import('./compare-images.ts')
      return await during(() => compareImages(machine, options))
    },
    explain: async (options) => (await import('./explain.ts')).explainBuild(machine, options),
    buildRecord: async (...args) => await (await history()).buildRecord(...args),
    buildExplanation: async (...args) => await (await history()).buildExplanation(...args),
    buildLog: async (...args) => await (await history()).buildLog(...args),
    removeBuilds: async (...args) => await (await history()).removeBuilds(...args),
    signImage: async (options) => (await signatures()).signImage(options),
    attestImage: async (options) => (await signatures()).attestImage(options),
    verifyImage: async (options) => (await signatures()).verifyImage(options),
    async bootstrap(bootstrap) {
      const { bootstrapImage } = await import('./bootstrap.ts')
      const host = hostPlatform(process.arch)
      const { platform } = bootstrap
      const wanted = platform === undefined ? host : parsePlatform(platform, host)
      return await during(async () =>
        describeImage(machine, await bootstrapImage(machine, bootstrap), wanted),
      )
    },
    ...imageCallsOf(machine, during),
    async doctor() {
      const { doctor } = await import('./doctor.ts')
      return await doctor(machine)
    },
    close: () => machine.close(),
  }
}

/** The calls about images that exist; a plain build loads none of their modules. */
function imageCallsOf(machine: Machine, during: InUse['during']): ImageCalls {
  const calls = () => import('./image-calls.ts')
  const list = () => import('./image-list.ts')
  return {
    pullImage: (options) => during(async () => (await calls()).pullImage(machine, options)),
    pushImage: (options) => during(async () => (await calls()).pushImage(machine, options)),
    copyImage: (options) => during(async () => (await calls()).copyImage(machine, options)),
    tagImage: (source, target) => during(async () => (await calls()).tagImage(machine, source, target)),
    saveImages: (options) => during(async () => (await calls()).saveImages(machine, options)),
    loadImages: (options) => during(async () => (await calls()).loadImages(machine, options)),
    listImages: (options) => during(async () => (await list()).listImages(machine, options)),
    removeImages: (options) => during(async () => (await list()).removeImages(machine, options)),
    inspectImage: (options) =>
      during(async () => (await import('./inspect-image.ts')).inspectImage(machine, options)),
    createIndex: (options) =>
      during(async () => (await import('./index-calls.ts')).createIndex(machine, options)),
  }
}

const frontendCalls = () => import('./frontend-calls.ts')

/**
 * Makes a key pair for signatures, the private key encrypted with the password, as `cosign generate-key-pair` does.
 * @see docs/reference/generate-key-pair.md
 */
export async function generateSigningKeyPair(password: string): Promise<KeyPairFiles> {
  const { generateSigningKeyPair: generate } = await import('./signature-calls.ts')
  return await generate(password)
}

/** Opens a builder, builds once and closes it. */
export function build(options: BuilderOptions & StartOptions): BuildHandle {
  return startBuild(options, Date.now, async (started) => {
    const machine = await openMachine(options)
    try {
      return await recordBuild({ machine, ...started }, runWithAgents)
    } finally {
      await machine.close()
    }
  })
}

const runWithAgents = (run: Omit<BuildRun, 'ssh'>) => withSshAgents(run, runBuild)

/**
 * Reads everything in a store and says what is damaged; with `repair`, mends it. A function of its own, because a store may be
 * too damaged to be opened, and because it writes nothing without `repair`. Safe beside builds.
 *
 * @throws {EnvironmentError} `ERR_STORE_OPEN` where there is no store, `ERR_STORE_FORMAT`, `ERR_PERMISSION`, `ERR_STORE_IO`
 * @throws {UserError} `ERR_CANCELLED`
 * @see docs/reference/verify.md
 */
export async function verify(options: VerifyOptions): Promise<VerifyReport> {
  const { verifyWith } = await import('./verify.ts')
  try {
    return await verifyWith(options)
  } catch (error) {
    if (options.signal?.aborted !== true) throw error
    throw new UserError('ERR_CANCELLED', 'The verification was cancelled', { cause: options.signal.reason })
  }
}

interface Started {
  readonly ref: string
  readonly name: string
  readonly startedAt: number
  readonly options: BuildOptions
  readonly events: EventSink
  readonly signal: AbortSignal
}

/** Makes the handle of a build whose work is `perform`. */
function startBuild(
  options: StartOptions,
  now: () => number,
  perform: (started: Started) => Promise<BuildResult>,
): BuildHandle {
  const ref = randomId().slice(0, 24)
  const abort = new AbortController()
  const queue = createEventQueue()
  const limit = options.timeoutMs === undefined ? undefined : startTimeLimit(options.timeoutMs)
  const sinks = [queue.push, options.onEvent, limit?.note].filter((sink) => sink !== undefined)
  const signal = composed([abort.signal, options.signal, limit?.signal])
  const name = options.tags?.[0] ?? redact(options.context)
  const started = { ref, name, startedAt: now(), options, events: teeSinks(...sinks), signal }
  const result = watch(started, now, perform).finally(() => limit?.stop())
  result.catch(() => {})
  return { ref, events: queue.events, result, cancel: () => abort.abort() }
}

/** A signal that fires when one of them does. Any number of steps may listen: more than Node's ten are no leak. */
function composed(signals: readonly (AbortSignal | undefined)[]): AbortSignal {
  const signal = AbortSignal.any(signals.filter((one) => one !== undefined))
  setMaxListeners(0, signal)
  return signal
}

/** Frames a build with its first and its last event. */
async function watch(
  started: Started,
  now: () => number,
  perform: (started: Started) => Promise<BuildResult>,
): Promise<BuildResult> {
  const { ref, name, startedAt, events, signal } = started
  events({ type: 'build.started', ref, name, at: startedAt })
  try {
    signal.throwIfAborted()
    const result = await perform(started)
    events({ type: 'build.completed', ref, at: now() })
    return result
  } catch (error) {
    const failure = whyEnded(error, signal)
    const code = isBuildError(failure) ? failure.code : 'ERR_INTERNAL'
    const message = failure instanceof Error ? failure.message : String(failure)
    events({ type: 'build.failed', ref, code, message, at: now() })
    throw failure
  }
}

/** Of a name for images of several platforms what is said is of the wanted one, else of the first. */
async function describeImage(
  { store }: Machine,
  { name, descriptor }: NamedImage,
  wanted: Platform = hostPlatform(process.arch),
): Promise<LocalImage> {
  const images = await imagesOf(store, descriptor)
  const image = images.find(({ config }) => samePlatform(config.platform, wanted)) ?? images[0]
  if (image === undefined)
    throw new EnvironmentError('ERR_STORE_CORRUPT', `Cannot read image "${name}": its index names no image`)
  const { manifest, config } = image
  return {
    name,
    descriptor,
    configDigest: manifest.config.digest,
    sizeBytes: manifest.layers.reduce((sum, layer) => sum + layer.size, 0),
    created: config.created,
    platform: images.map((each) => formatPlatform(each.config.platform)).join(', '),
  }
}
