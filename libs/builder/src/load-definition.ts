import { type Dockerfile, parseDockerfile } from '@tsbuild/dockerfile'
import { didYouMean } from '@tsbuild/errors'
import { type FrontendOptions, type FrontendResult, type ImageResolver, toGraph } from '@tsbuild/frontend'
import { type MergedGraph, mergeGraphs } from '@tsbuild/graph'
import {
  formatPlatform,
  formatReference,
  hostPlatform,
  type Platform,
  parseReference,
  withDefaultTag,
} from '@tsbuild/oci'
import type { ContextTools } from './contexts/fetch-context.ts'
import type { MainContext } from './contexts/main-context.ts'
import { type BuildContexts, createContexts } from './contexts/open-contexts.ts'
import type { InternalVertices } from './internal-vertex.ts'
import { judgeFrontend } from './judge-frontend.ts'
import { isLayoutReference } from './oci-layout.ts'
import { parseExtraHosts } from './parse-extra-hosts.ts'
import { wantedPlatforms } from './platforms.ts'
import { fetchRemote } from './remote.ts'
import type { BuildRun } from './run-build.ts'
import type { BuildOptions } from './types.ts'

/** A build as values: its graph, and where its files come from. */
export interface Definition {
  readonly graph: MergedGraph
  /** What is made of each target of the graph: one for each platform, in the order asked for. */
  readonly images: readonly FrontendResult[]
  readonly contexts: BuildContexts
}

/**
 * Judges and parses the Dockerfile, resolves the base images, and makes the graph. For several platforms it is one graph: what
 * runs on the machine's own platform whatever is built for is in it once.
 */
export async function loadDefinition(tools: ContextTools, main: MainContext): Promise<Definition> {
  const { contexts, ...options } = frontendOptions(tools, main)
  const platforms = wantedPlatforms(tools.run.options, options.buildPlatform)
  const warn = onceEach(options.warn)
  const isOneOfSeveral = platforms.length > 1
  const asked = await Promise.allSettled(
    platforms.map((platform) => toGraph({ ...options, platform, isOneOfSeveral, warn })),
  )
  // Nobody is at work any more when a build has failed, and of several failures it is that of the first platform.
  const images = asked.map((answer) => {
    if (answer.status === 'rejected') throw answer.reason
    return answer.value
  })
  return { graph: mergeGraphs(images.map(({ graph }) => graph)), images, contexts }
}

/** What is found in a Dockerfile is found for each platform. */
function onceEach(warn: FrontendOptions['warn']): FrontendOptions['warn'] {
  const said = new Set<string>()
  return (warning) => {
    const text = JSON.stringify(warning)
    if (!said.has(text)) warn(warning)
    said.add(text)
  }
}

/** What the frontend is called with: for a build, and for what is asked of a Dockerfile without one. Of several platforms the first. */
export interface FrontendCall extends FrontendOptions {
  readonly contexts: BuildContexts
}

/**
 * Judges and parses the Dockerfile; nothing is resolved yet.
 *
 * @throws {UserError} `ERR_DOCKERFILE_…`, `ERR_UNSUPPORTED` for a foreign frontend, `ERR_PLATFORM_INVALID`
 */
export function frontendOptions(tools: ContextTools, main: MainContext): FrontendCall {
  const { run, internal, remote } = tools
  const { options, signal } = run
  const contexts = createContexts(tools, main)
  const { file } = main
  const { BUILDKIT_SYNTAX: override } = options.buildArgs ?? {}
  judgeFrontend({ text: file.text, file: file.shown, override, warn: internal.warn })
  const dockerfile = parseDockerfile(file.text, file.shown)
  warnOfUnknownStages(dockerfile, options, internal)
  const buildPlatform = hostPlatform(process.arch)
  const platforms = wantedPlatforms(options, buildPlatform)
  // Whether their programs can run here is not asked: a build may need none, or only some that run anywhere.
  for (const each of platforms) warnOfUnknownArchitecture(each, internal)
  const [platform = buildPlatform] = platforms
  return {
    contexts,
    dockerfile,
    target: options.target,
    buildArgs: options.buildArgs ?? {},
    labels: options.labels ?? {},
    platform,
    buildPlatform,
    isOneOfSeveral: false,
    noCache: options.noCache === true ? true : (options.noCacheFilter ?? false),
    network: options.network ?? 'default',
    allow: options.allow ?? [],
    ulimits: options.ulimits ?? [],
    shmSizeBytes: options.shmSizeBytes,
    cgroupParent: options.cgroupParent,
    extraHosts: parseExtraHosts(options.addHosts ?? [], options.network ?? 'default'),
    resolveImage: imageResolver(run, internal),
    namedContexts: contexts.named,
    context: {
      sourceDate: async (name) => (await contexts.open(name)).sourceDate(),
      remoteDate: async (source) => (await fetchRemote(remote.forSteps, source, { signal })).sourceDate,
      hiddenBy: async (path) => (await contexts.open('context')).hiddenBy(path, signal),
    },
    warn: internal.warn,
  }
}

/** A stage that is not there would be built from the cache without a word. */
function warnOfUnknownStages(
  { stages }: Dockerfile,
  { noCacheFilter = [] }: BuildOptions,
  internal: InternalVertices,
): void {
  const names = stages.flatMap(({ name }) => name ?? [])
  for (const wanted of noCacheFilter) {
    if (names.includes(wanted.toLowerCase()) || stages.some(({ index }) => String(index) === wanted)) continue
    const message = [`--no-cache-filter "${wanted}" names no stage.`, ...didYouMean(wanted, names)].join(' ')
    internal.warn({ rule: 'UnknownStage', message, source: null })
  }
}

/** Those that Go has for Linux, which images are named after. */
const architectures = [
  ...['386', 'amd64', 'arm', 'arm64', 'loong64', 'mips', 'mipsle', 'mips64', 'mips64le'],
  ...['ppc64', 'ppc64le', 'riscv64', 's390x'],
]

/** An image without base images can be built for anything, a mistyped name too. */
function warnOfUnknownArchitecture(platform: Platform, internal: InternalVertices): void {
  if (architectures.includes(platform.architecture)) return
  const meant = didYouMean(platform.architecture, architectures)
  const message = [`No images are known for ${formatPlatform(platform)}.`, ...meant].join(' ')
  internal.warn({ rule: 'UnknownPlatform', message, source: null })
}

/** The same image is asked for once in a build, so that a moving tag means one thing. */
function imageResolver(
  { machine, options, signal, materials }: BuildRun,
  internal: InternalVertices,
): ImageResolver {
  const known = new Map<string, ReturnType<ImageResolver>>()
  const pull = options.pull === true
  return (name, platform, stop) => {
    const key = `${name} ${formatPlatform(platform)}`
    const shown = isLayoutReference(name) ? name : formatReference(withDefaultTag(parseReference(name)))
    const found =
      known.get(key) ??
      internal
        .run(`[internal] load metadata for ${shown}`, () =>
          machine.images.resolve(name, platform, {
            pull,
            signal: stop === undefined ? signal : AbortSignal.any([signal, stop]),
          }),
        )
        .then((image) => {
          materials?.image(image.reference, image.manifest, platform)
          return image
        })
    known.set(key, found)
    return found
  }
}
