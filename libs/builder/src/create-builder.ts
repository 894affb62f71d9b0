import { setMaxListeners } from 'node:events'
import { EnvironmentError, isBuildError, redact, UserError } from '@tsbuild/errors'
import { createEventQueue, type EventSink, teeSinks } from '@tsbuild/events'
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
import type { NamedImage } from '@tsbuild/store'
import { createInUse } from './in-use.ts'
import { imagesOf } from './local-image.ts'
import { type Machine, openMachine, randomId } from './machine.ts'
import { runBuild } from './run-build.ts'
import { runImage } from './run-image.ts'
import { withSshAgents } from './ssh.ts'
import { startTimeLimit } from './time-limit.ts'
import type { Builder, BuilderOptions, BuildHandle, BuildOptions, BuildResult, LocalImage } from './types.ts'

type StartOptions = Parameters<Builder['build']>[0]

/**
 * Opens a builder over a store. Several builders, of this and of other processes, may share one store.
 *
 * @throws {EnvironmentError} `ERR_HELPER_MISSING`, `ERR_STORE_OPEN`, `ERR_STORE_FORMAT`, `ERR_PERMISSION`
 */
export async function createBuilder(options: BuilderOptions): Promise<Builder> {
  const machine = await openMachine(options)
  const { during } = createInUse(machine.store)
  return {
    build: (build) =>
      startBuild(build, machine.now, (started) =>
        during(() => withSshAgents({ machine, ...started }, runBuild)),
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
    check: async (call) => (await frontendCalls()).check(machine, call),
    outline: async (call) => (await frontendCalls()).outline(machine, call),
    targets: async (call) => (await frontendCalls()).targets(machine, call),
    runImage: (run) => during(() => runImage(machine, run)),
    shell: async (options) => {
      const { shell } = await import('./shell.ts')
      return await during(() => shell(machine, options))
    },
    failures: async () => (await import('./shell.ts')).failedSteps(machine),
    async bootstrap(bootstrap) {
      const { bootstrapImage } = await import('./bootstrap.ts')
      const host = hostPlatform(process.arch)
      const { platform } = bootstrap
      const wanted = platform === undefined ? host : parsePlatform(platform, host)
      return await during(async () =>
        describeImage(machine, await bootstrapImage(machine, bootstrap), wanted),
      )
    },
    async doctor() {
      const { doctor } = await import('./doctor.ts')
      return await doctor(machine)
    },
    close: () => machine.close(),
  }
}

const frontendCalls = () => import('./frontend-calls.ts')

/** Opens a builder, builds once and closes it. */
export function build(options: BuilderOptions & StartOptions): BuildHandle {
  return startBuild(options, Date.now, async (started) => {
    const machine = await openMachine(options)
    try {
      return await withSshAgents({ machine, ...started }, runBuild)
    } finally {
      await machine.close()
    }
  })
}

interface Started {
  readonly ref: string
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
  const result = watch({ ref, options, events: teeSinks(...sinks), signal }, now, perform).finally(() =>
    limit?.stop(),
  )
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
  const { ref, options, events, signal } = started
  const name = options.tags?.[0] ?? redact(options.context)
  events({ type: 'build.started', ref, name, at: now() })
  try {
    signal.throwIfAborted()
    const result = await perform(started)
    events({ type: 'build.completed', ref, at: now() })
    return result
  } catch (error) {
    const failure = signal.aborted ? whyStopped(signal) : error
    const code = isBuildError(failure) ? failure.code : 'ERR_INTERNAL'
    const message = failure instanceof Error ? failure.message : String(failure)
    events({ type: 'build.failed', ref, code, message, at: now() })
    throw failure
  }
}

/** The end of its time comes with its own error. */
function whyStopped({ reason }: AbortSignal): Error {
  return isBuildError(reason) ? reason : new UserError('ERR_CANCELLED', 'The build was cancelled')
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
