import { resolve } from 'node:path'
import { createLocalCache } from '@tsbuild/cache'
import { assertDirectory, type BuildContext, openDirectoryContext, readDockerfile } from '@tsbuild/context'
import type { Digest } from '@tsbuild/digest'
import { parseDockerfile } from '@tsbuild/dockerfile'
import { UserError } from '@tsbuild/errors'
import type { EventSink } from '@tsbuild/events'
import { createExecutor } from '@tsbuild/executor'
import { assertOutputPlace } from '@tsbuild/exporter'
import { type FrontendResult, toGraph } from '@tsbuild/frontend'
import type { Graph, Vertex } from '@tsbuild/graph'
import type { Compression } from '@tsbuild/native'
import {
  formatPlatform,
  formatReference,
  hostPlatform,
  parsePlatform,
  parseReference,
  samePlatform,
  withDefaultTag,
} from '@tsbuild/oci'
import { createOps, type OpResult } from '@tsbuild/ops'
import { createSnapshotter, emptyFilesystem, type Snapshotter } from '@tsbuild/snapshot'
import { solve } from '@tsbuild/solver'
import { createInternalVertices, type InternalVertices } from './internal-vertex.ts'
import type { Machine } from './machine.ts'
import { compressionOf, hasLayers, outputPlaces, outputsOf, writeOutputs } from './outputs.ts'
import { parseExtraHosts } from './parse-extra-hosts.ts'
import type { BuildOptions, BuildResult, OutputSpec } from './types.ts'

/** Steps wait for the network as often as for a processor, so more run at once than there are processors. */
const maxParallelSteps = 8

/** One build under way. */
export interface BuildRun {
  readonly machine: Machine
  readonly ref: string
  readonly options: BuildOptions
  readonly events: EventSink
  readonly signal: AbortSignal
}

/** Runs a build from the Dockerfile's text to its last output. See `Builder.build` for what it throws. */
export async function runBuild(run: BuildRun): Promise<BuildResult> {
  const { machine, options, signal } = run
  const internal = createInternalVertices(run.ref, run.events, machine.now)
  const tags = (options.tags ?? []).map((tag) => formatReference(withDefaultTag(parseReference(tag))))
  for (const place of outputPlaces(options)) await assertOutputPlace(place.path, place.kind)
  const snapshotter = createSnapshotter({
    store: machine.store,
    native: machine.native,
    fetch: (layer, aborted) => machine.images.fetchLayer(layer, aborted),
  })
  const { frontend, context } = await loadDefinition(run, internal)
  signal.throwIfAborted()
  const solution = await solveGraph(run, { frontend, context, snapshotter })
  const filesystem = solution.result?.kind === 'filesystem' ? solution.result.filesystem : emptyFilesystem
  const image = await writeOutputs({ run, internal, snapshotter, draft: frontend.image, filesystem, tags })
  await solution.durable
  return {
    ref: run.ref,
    image: image?.manifest,
    configDigest: image?.config.digest,
    tags,
    steps: {
      total: solution.cached + solution.executed,
      cached: solution.cached,
      executed: solution.executed,
    },
  }
}

interface Definition {
  readonly frontend: FrontendResult
  readonly context: BuildContext
}

async function loadDefinition(run: BuildRun, internal: InternalVertices): Promise<Definition> {
  const { machine, options, signal } = run
  const contextPath = resolve(options.cwd, options.context)
  const file = await internal.run(
    `[internal] load build definition from ${options.dockerfile ?? 'Dockerfile'}`,
    async () => {
      assertDirectory(contextPath)
      const { path, shown, text } = await readDockerfile(contextPath, options.dockerfile, options.cwd)
      return { path, dockerfile: parseDockerfile(text, shown) }
    },
  )
  const context = await internal.run('[internal] load .dockerignore', () =>
    openDirectoryContext({
      path: contextPath,
      dockerfilePath: file.path,
      cwd: options.cwd,
      native: machine.native,
      store: machine.store,
    }),
  )
  for (const { rule, message, source } of file.dockerfile.warnings) internal.warn({ rule, message, source })
  const buildPlatform = hostPlatform(process.arch)
  const platform =
    options.platform === undefined ? buildPlatform : parsePlatform(options.platform, buildPlatform)
  if (!samePlatform(platform, buildPlatform)) {
    const message = `Cannot build for ${formatPlatform(platform)}: only ${formatPlatform(buildPlatform)}, this machine's own, is supported yet`
    throw new UserError('ERR_PLATFORM_INVALID', message)
  }
  const pull = options.pull === true
  const frontend = await toGraph({
    dockerfile: file.dockerfile,
    target: options.target,
    buildArgs: options.buildArgs ?? {},
    labels: options.labels ?? {},
    platform,
    buildPlatform,
    noCache: options.noCache === true ? true : (options.noCacheFilter ?? false),
    network: options.network ?? 'default',
    extraHosts: parseExtraHosts(options.addHosts ?? []),
    resolveImage: once((name) =>
      internal.run(
        `[internal] load metadata for ${formatReference(withDefaultTag(parseReference(name)))}`,
        () => machine.images.resolve(name, platform, { pull, signal }),
      ),
    ),
    namedContexts: new Map(),
    context: {
      sourceDate: () => context.sourceDate(),
      // Until the remote sources are wired, there is none to ask.
      remoteDate: async () => undefined,
      hiddenBy: (path) => context.hiddenBy(path, signal),
    },
    warn: internal.warn,
  })
  return { frontend, context }
}

/** The same image is asked for once in a build, so that a moving tag means one thing. */
function once<T>(look: (name: string) => Promise<T>): (name: string) => Promise<T> {
  const known = new Map<string, Promise<T>>()
  return (name) => {
    const found = known.get(name) ?? look(name)
    known.set(name, found)
    return found
  }
}

async function solveGraph(
  run: BuildRun,
  parts: {
    readonly frontend: FrontendResult
    readonly context: BuildContext
    readonly snapshotter: Snapshotter
  },
) {
  const { machine, events, signal } = run
  const { store } = machine
  const cache = createLocalCache(store)
  const executor = createExecutor({
    native: machine.native,
    randomId: machine.randomId,
    trustCa: machine.options.trustCa ?? [],
    proxyEnv: parts.frontend.proxyEnv,
  })
  const op = createOps({
    native: machine.native,
    snapshotter: parts.snapshotter,
    executor,
    hasSnapshot: (id) => store.snapshots.has(id),
    layerOf: wantedLayers(parts.frontend.graph, outputsOf(run.options)),
    contexts: async () => parts.context,
    fetch: (source) => {
      const message = `Cannot fetch "${source.kind === 'git' ? source.remote : source.url}": this is not built yet`
      throw new UserError('ERR_UNSUPPORTED', message)
    },
    scratch: () => store.sources.scratch(),
    now: machine.now,
  })
  const solution = await solve<OpResult>({
    graph: parts.frontend.graph,
    op,
    cache,
    exclusive: (key, body, onWait, aborted) =>
      store.locks.withLock(`step ${key}`, body, { onWait, signal: aborted }),
    events,
    now: machine.now,
    signal,
    parallelism: maxParallelSteps,
  })
  const durable = Promise.all([solution.durable, cache.settled()]).then(() => undefined)
  // An output may fail first, and then nobody waits for it.
  durable.catch(() => {})
  return { ...solution, durable }
}

/**
 * The layers that the first output with layers is going to need: those of the target's own stack. They are compressed
 * while later steps run.
 */
function wantedLayers(
  graph: Graph,
  outputs: readonly OutputSpec[],
): (vertex: Vertex) => Compression | undefined {
  const wanted = new Set<Digest>()
  const vertices = new Map(graph.vertices.map((vertex) => [vertex.digest, vertex]))
  for (let vertex = graph.target && vertices.get(graph.target); vertex !== undefined; ) {
    wanted.add(vertex.digest)
    const base = vertex.op.kind === 'exec' || vertex.op.kind === 'file' ? vertex.op.rootfs : undefined
    const input = base === undefined ? undefined : vertex.inputs[base]
    vertex = input === undefined ? undefined : vertices.get(input)
  }
  const output = outputs.find(hasLayers)
  if (output === undefined) return () => undefined
  const compression = compressionOf(output.compression)
  return ({ digest }) => (wanted.has(digest) ? compression : undefined)
}
