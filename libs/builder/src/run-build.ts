import { createLocalCache } from '@tsbuild/cache'
import { type DockerfileText, openTreeContext, type SecretSource } from '@tsbuild/context'
import type { KeyValue } from '@tsbuild/digest'
import { isBuildError, redact, withDetails } from '@tsbuild/errors'
import type { EventSink } from '@tsbuild/events'
import { createExecutor, type Executor } from '@tsbuild/executor'
import type { BuildRecorder } from '@tsbuild/history'
import { createOps, digestSecrets, type FailureKeeping, isAtHand, type OpResult } from '@tsbuild/ops'
import { createSnapshotter, emptyFilesystem, type Snapshotter } from '@tsbuild/snapshot'
import { type SolverOp, solve } from '@tsbuild/solver'
import { withStoreSpace } from '@tsbuild/store'
import { createAttestations } from './attestations/create-attestations.ts'
import { createMaterialLog, type MaterialLog } from './attestations/materials.ts'
import type { BuildCaches, BuildExports } from './caches.ts'
import { checkEngines } from './check-engines.ts'
import { checkOutputs } from './check-outputs.ts'
import { type Collector, createCollector } from './collector.ts'
import { mainContextSource } from './contexts/context-source.ts'
import { loadMainContext } from './contexts/main-context.ts'
import { executionOptions } from './execution-options.ts'
import { withPlatformHints } from './foreign-platform.ts'
import { holderName } from './holder-name.ts'
import { withInlineCacheArgument } from './inline-cache-argument.ts'
import { createInternalVertices, type InternalVertices } from './internal-vertex.ts'
import { type LayersElsewhere, storedLayersOnly } from './layers-elsewhere.ts'
import { type Definition, loadDefinition } from './load-definition.ts'
import type { Machine } from './machine.ts'
import { tagsOf } from './output-names.ts'
import { writeOutputs } from './outputs.ts'
import { createRemote, fetchRemote, type Remote } from './remote.ts'
import { createSecretSource } from './secret-source.ts'
import { openPushSigner, type PushSigner } from './sign-pushed.ts'
import type { SshAgents } from './ssh.ts'
import type { BuildOptions, BuildResult } from './types.ts'
import { wantedLayers } from './wanted-layers.ts'

/** Steps wait for the network as often as for a processor, so more run at once than there are processors. */
const maxParallelSteps = 8

/** One build under way. */
export interface BuildRun {
  readonly machine: Machine
  readonly ref: string
  readonly options: BuildOptions
  readonly events: EventSink
  readonly signal: AbortSignal
  readonly ssh: SshAgents
  /** Absent where nothing is built. */
  readonly recorder?: BuildRecorder | undefined
  /** When it began, Unix ms; absent where nothing is built. */
  readonly startedAt?: number | undefined
  /** What it is made of; only where that is to be told. */
  readonly materials?: MaterialLog | undefined
}

/** Runs a build from the Dockerfile's text to its last output. See `Builder.build` for what it throws. */
export async function runBuild(asked: BuildRun): Promise<BuildResult> {
  const given = { ...asked, options: withInlineCacheArgument(asked.options) }
  const { machine, options, signal } = given
  const materials = options.attestations?.provenance === undefined ? undefined : createMaterialLog()
  const run = { ...given, startedAt: machine.now(), materials }
  const internal = createInternalVertices(run.ref, run.events, machine.now)
  const stored = storedLayersOnly(machine.store)
  const tags = tagsOf(options)
  await checkOutputs(options, machine.store.root)
  await checkEngines(run)
  const signer = await openPushSigner(options)
  const caches = await cachesOf(run, internal)
  const snapshotter = createSnapshotter({
    store: machine.store,
    native: machine.native,
    fetch: machine.images.fetchLayer,
    cached: (caches ?? stored).cached,
  })
  const secrets = createSecretSource(options)
  const remote = createRemote(run, secrets)
  const tools = { run, internal, remote }
  const collector = collectorOf(run, internal)
  const main = await loadMainContext(tools)
  try {
    const definition = await loadDefinition(tools, main)
    signal.throwIfAborted()
    const { file } = main
    const layers = caches ?? stored
    const solving = {
      run,
      internal,
      snapshotter,
      remote,
      secrets,
      tags,
      collector,
      file,
      signer,
      caches,
      layers,
    }
    return await solveUntilWhole(solving, definition)
  } catch (error) {
    throw withText(withStoreSpace(withPlatformHints(error), machine.store.root), main.file)
  } finally {
    await snapshotter.close()
    await caches?.close()
    // Also after a failure: it may have been for want of room.
    if (!signal.aborted) await collector.afterBuild()
  }
}

function collectorOf({ machine, events }: BuildRun, internal: InternalVertices): Collector {
  return createCollector(machine, {
    show: (body) =>
      internal.run('[internal] free disk space', (vertex) =>
        body((line) => {
          const status = { id: line, currentBytes: 0, totalBytes: null, done: true }
          events({ type: 'vertex.status', vertex, ...status, at: machine.now() })
        }),
      ),
    onFailure(error) {
      const message = `Disk space could not be freed: ${error instanceof Error ? error.message : String(error)}`
      internal.warn({ rule: 'DiskSpace', message, source: null })
    },
  })
}

/** What the second half of a build works with. */
interface Solving {
  readonly run: BuildRun
  readonly internal: InternalVertices
  readonly snapshotter: Snapshotter
  readonly remote: Remote
  readonly secrets: SecretSource
  readonly tags: readonly string[]
  readonly collector: Collector
  readonly file: DockerfileText
  readonly signer: PushSigner | undefined
  /** Undefined: the build has none. */
  readonly caches: BuildCaches | undefined
  readonly layers: LayersElsewhere
}

/** A build that has no cache elsewhere loads nothing for it. */
async function cachesOf(run: BuildRun, internal: InternalVertices): Promise<BuildCaches | undefined> {
  const { cacheFrom = [], cacheTo = [] } = run.options
  if (cacheFrom.length === 0 && cacheTo.length === 0) return undefined
  const { openBuildCaches } = await import('./caches.ts')
  return openBuildCaches({ run, internal })
}

/** What a cache promised and did not give is taken out of account, so often; then all that was found is. */
const attemptsWithFound = 3

/** A layer that cannot be had after all counts as gone: all is looked up once more, and its step runs. */
async function solveUntilWhole(solving: Solving, definition: Definition): Promise<BuildResult> {
  const { run, caches } = solving
  if (caches !== undefined) await describeTo(caches, run, definition)
  const exports = exportsOf(solving, definition)
  for (let attempt = 1; ; attempt++) {
    const events = attempt === 1 ? run.events : withoutPlans(run.events)
    try {
      return await solveAndWrite({ ...solving, run: { ...run, events } }, definition, exports)
    } catch (error) {
      if (!isPassing(error) || run.signal.aborted || attempt > attemptsWithFound) {
        await exports?.abort()
        throw error
      }
      if (attempt === attemptsWithFound) caches?.refuseAll()
    }
  }
}

async function describeTo(
  caches: BuildCaches,
  run: BuildRun,
  { graph, contexts }: Definition,
): Promise<void> {
  const { buildkitFacts } = await import('./buildkit-facts.ts')
  caches.describe(buildkitFacts({ graph, contexts: contexts.open, native: run.machine.native }))
}

function isPassing(error: unknown): boolean {
  return isBuildError(error) && error.code === 'ERR_CACHE_LAYER'
}

/** Each vertex is planned once, however often it is solved. */
function withoutPlans(events: EventSink): EventSink {
  return (event) => {
    if (event.type !== 'vertex.planned' || event.role === 'internal') events(event)
  }
}

function exportsOf(
  { run, caches, snapshotter }: Solving,
  { graph, images }: Definition,
): BuildExports | undefined {
  const layerOf = wantedLayers(graph, images, run.options)
  const { fetchLayer } = run.machine.images
  return caches?.export({
    snapshotter,
    graph,
    layerOf,
    fetch: (layer, signal) =>
      layer.kind === 'image' ? fetchLayer(layer, signal) : caches.cached.fetch(layer, signal),
  })
}

async function solveAndWrite(
  solving: Solving,
  definition: Definition,
  exports: BuildExports | undefined,
): Promise<BuildResult> {
  const { run, internal, snapshotter, tags, file, signer, layers } = solving
  // They come from the build arguments, whatever the platform is.
  const proxyEnv = definition.images[0]?.proxyEnv ?? []
  const executor = executorOf(run, proxyEnv, internal)
  let written: Promise<unknown> | undefined
  try {
    const solution = await solveGraph(solving, definition, executor, exports)
    written = solution.durable.catch(() => {})
    // Nothing runs any more: what the steps shared ends while the outputs are written.
    solution.durable.then(() => executor.close()).catch(() => {})
    const platforms = definition.images.map((frontend, index) => {
      const result = solution.results[index]
      return { frontend, filesystem: result?.kind === 'filesystem' ? result.filesystem : emptyFilesystem }
    })
    const attestations = createAttestations({ run, internal, snapshotter, platforms, file })
    const exporting = solution.durable.then(() => exports?.finish(solution.steps))
    exporting.catch(() => {})
    const { cached: cachedLayers } = layers
    const configMembers = exports?.inline(solution.steps)
    const parts = {
      run,
      internal,
      snapshotter,
      platforms,
      attestations,
      signer,
      cached: cachedLayers,
      configMembers,
    }
    const outputs = await writeOutputs(parts)
    const provenances = await attestations?.provenances()
    await solution.durable
    await exporting
    await solution.keepFound()
    const { cached, executed } = solution
    const steps = { total: cached + executed, cached, executed }
    return { ref: run.ref, ...outputs, tags, provenances, steps }
  } finally {
    // An output may fail first: a step that is written down while the store closes would be found later without its files.
    await written
    await executor.close()
  }
}

function executorOf(
  { machine, options }: BuildRun,
  proxyEnv: readonly string[],
  internal: InternalVertices,
): Executor {
  return createExecutor({
    ...executionOptions(options),
    native: machine.native,
    randomId: machine.randomId,
    trustCa: machine.options.trustCa ?? [],
    proxyEnv,
    ports: [],
    onNotice: (rule, message) => internal.warn({ rule, message, source: null }),
  })
}

/** So that the lines of the error can be shown: the text may be no file, or by now another one. */
function withText(error: unknown, { shown, text }: DockerfileText): unknown {
  const isOfText = isBuildError(error) && error.source?.file === shown
  return isOfText ? withDetails(error, { sourceText: text }) : error
}

async function solveGraph(
  { run, snapshotter, remote, secrets, collector, caches, layers }: Solving,
  { graph, images, contexts }: Definition,
  executor: Executor,
  exports: BuildExports | undefined,
) {
  const { machine, events, signal } = run
  const { store } = machine
  const cache = createLocalCache(store, {
    vertices: graph.vertices,
    forcedBy: run.options.noCache === true ? '--no-cache' : '--no-cache-filter',
    now: machine.now,
    elsewhere: caches?.nothingFound,
    onExplained: (vertex, explanation) => run.recorder?.explain(vertex, explanation as unknown as KeyValue),
  })
  const op = createOps({
    native: machine.native,
    snapshotter,
    executor,
    hasSnapshot: (id) => store.snapshots.has(id),
    hasCached: (layer) => layers.has(layer),
    layerOf: wantedLayers(graph, images, run.options),
    contexts: contexts.open,
    fetch: async (source, fetching) =>
      openTreeContext(await fetchRemote(remote.forSteps, source, fetching), machine),
    scratch: () => store.sources.scratch(),
    failure: keepingOf(run),
    putFileList: (digest, list) => store.putFileList(digest, list),
    build: placeOfBuild(run.options),
    cacheMounts: store.cacheMounts,
    scope: machine.options.scope ?? 'main',
    secrets,
    secretDigests: await digestSecrets(graph, { secrets }, () => store.secretKey()),
    ssh: run.ssh.forStep,
    now: machine.now,
  })
  const solution = await solve<OpResult>({
    graph,
    op: (vertex) => withRoom(op(vertex), collector),
    cache:
      caches?.over(cache, (stored) =>
        isAtHand(stored, {
          hasSnapshot: (id) => store.snapshots.has(id),
          hasCached: (layer) => layers.has(layer),
        }),
      ) ?? cache,
    onStep: exports?.onStep,
    isPassing,
    exclusive: (key, body, onWait, aborted) =>
      store.locks.withLock(`step ${key}`, body, {
        onWait: (holder) => onWait(holderName(holder)),
        label: run.ref,
        signal: aborted,
      }),
    events,
    now: machine.now,
    signal,
    parallelism: maxParallelSteps,
  })
  const durable = Promise.all([solution.durable, cache.settled()]).then(() => undefined)
  // An output may fail first, and then nobody waits for it.
  durable.catch(() => {})
  return {
    ...solution,
    durable,
    keepFound: async () => await exports?.keepFound(await solution.steps(), cache),
  }
}

/** A step begins when there is room for it, where there can be any, and again where that was not enough. */
function withRoom<R>(op: SolverOp<R>, collector: Collector): SolverOp<R> {
  if (op.kind !== 'step') return op
  return {
    ...op,
    async execute(inputs, context) {
      await collector.beforeStep()
      try {
        return await op.execute(inputs, context)
      } catch (error) {
        const isFull = isBuildError(error) && error.code === 'ERR_STORE_NO_SPACE'
        if (!isFull || context.signal.aborted || !(await collector.afterFull())) throw error
        return await op.execute(inputs, context)
      }
    },
  }
}

/** What is built, whatever its arguments and targets are: the steps of it are compared with each other. */
function placeOfBuild({ context, dockerfile = 'Dockerfile', cwd }: BuildOptions) {
  const source = mainContextSource(context, cwd)
  return {
    context: source.kind === 'directory' ? source.path : redact(context),
    dockerfile: redact(dockerfile),
  }
}

/** What looks at a failed step may take this long where steps have no limit of their own. */
const onErrorTimeoutMs = 5 * 60_000

function keepingOf({ ref, options }: BuildRun): FailureKeeping {
  const { onError: command, stepTimeoutMs: timeoutMs = onErrorTimeoutMs } = options
  const { security, noNewPrivileges, userns, limits, stepLimits } = options
  const walls = { security, noNewPrivileges, userns, limits: { ...limits }, stepLimits: { ...stepLimits } }
  return { ref, walls, onError: command === undefined ? undefined : { command, timeoutMs } }
}
