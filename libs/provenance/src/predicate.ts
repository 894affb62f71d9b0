import type { Graph } from '@tsbuild/graph'
import { formatPlatform } from '@tsbuild/oci'
import { type Definition, definitionOf, present, stepIds } from './definition.ts'
import { layersOf } from './layers.ts'
import { createScrubber, type Scrubber } from './secret-values.ts'
import type { BuildDescription, Material, ProvenanceOptions } from './types.ts'

/**
 * What the members of a predicate mean: docs/reference/attestations.md. That of `v0.2` is BuildKit's own, because its extension
 * fields are named after it.
 */
export const buildTypes = {
  v1: 'tag:tsbuild,2026:dockerfile/v1',
  'v0.2': 'https://mobyproject.org/buildkit@v1',
} as const

/** What both versions say, in their common words. */
export interface Facts {
  readonly configSource: {
    readonly uri?: string
    readonly digest?: Material['digest']
    readonly path: string
  }
  readonly request: Readonly<Record<string, unknown>>
  readonly buildConfig: Definition | undefined
  readonly builderPlatform: string
  readonly materials: readonly Material[]
  readonly builderId: string
  readonly invocationId: string | undefined
  readonly startedOn: string | undefined
  readonly finishedOn: string | undefined
  /** `source` and `layers`; undefined where there is nothing to say. */
  readonly metadata: Readonly<Record<string, unknown>> | undefined
  readonly hermetic: boolean
  readonly complete: { readonly request: boolean; readonly materials: boolean }
  readonly reproducible: boolean
}

/** Gathers what is to be said; nothing of it is secret any more. */
export function factsOf(build: BuildDescription, options: ProvenanceOptions): Facts {
  const scrubber = createScrubber(build)
  const isMax = options.mode === 'max'
  const hasAllMaterials = build.locals.length === 0
  const args = argumentsOf(build, scrubber)
  const told = isMax ? args : args.filter(([name]) => name === 'target')
  const path = scrubber.scrub(build.dockerfile.name)
  return {
    configSource: { ...(build.source === undefined ? {} : scrubber.scrub(build.source)), path },
    request: present({
      frontend: 'dockerfile.v0',
      args: told.length === 0 ? undefined : Object.fromEntries(told),
      ...(isMax ? usesOf(build.graph) : {}),
      locals:
        build.locals.length === 0 ? undefined : build.locals.map((name) => ({ name: scrubber.scrub(name) })),
    }),
    buildConfig: isMax ? definitionOf(build.graph, scrubber) : undefined,
    builderPlatform: formatPlatform(build.builderPlatform),
    materials: distinct(build.materials.map((material) => scrubber.scrub(material))),
    builderId: scrubber.scrub(options.builderId ?? ''),
    ...momentsOf(build, options),
    metadata: isMax ? metadataOf(build, scrubber) : undefined,
    hermetic: hasAllMaterials && !reachesNetwork(build.graph),
    complete: { request: isMax || told.length === args.length, materials: hasAllMaterials },
    reproducible: options.reproducible === true,
  }
}

/** Under BuildKit's names of frontend options, sorted. */
function argumentsOf(build: BuildDescription, { scrub, argument }: Scrubber) {
  const { target, buildArgs, labels, contexts } = build
  return [
    ...Object.entries(buildArgs).map(
      ([name, value]) => [`build-arg:${name}`, argument(name, value)] as const,
    ),
    ...Object.entries(labels).map(
      ([name, value]) => [`label:${scrub(name)}`, argument(name, value)] as const,
    ),
    ...Object.entries(contexts).map(([name, value]) => [`context:${name}`, scrub(value)] as const),
    ...(target === undefined ? [] : [['target', scrub(target)] as const]),
  ].sort(([one], [other]) => (one < other ? -1 : 1))
}

/** Which secrets and agents the steps asked for; never what was in them. */
function usesOf({ vertices }: Graph) {
  const uses = { secret: new Map<string, boolean>(), ssh: new Map<string, boolean>() }
  for (const { op } of vertices) {
    for (const mount of op.kind === 'exec' ? op.mounts : []) {
      if (mount.kind !== 'secret' && mount.kind !== 'ssh') continue
      const known = uses[mount.kind]
      known.set(mount.id, (known.get(mount.id) ?? true) && !mount.required)
    }
  }
  const list = (ids: ReadonlyMap<string, boolean>) =>
    ids.size === 0
      ? undefined
      : [...ids].sort().map(([id, isOptional]) => (isOptional ? { id, optional: true } : { id }))
  return { secrets: list(uses.secret), ssh: list(uses.ssh) }
}

function momentsOf(build: BuildDescription, { timeless }: ProvenanceOptions) {
  if (timeless === true) return { invocationId: undefined, startedOn: undefined, finishedOn: undefined }
  const { invocationId, startedAt, finishedAt } = build
  const moment = (unixMs: number) => new Date(unixMs).toISOString()
  return { invocationId, startedOn: moment(startedAt), finishedOn: moment(finishedAt) }
}

function metadataOf({ graph, dockerfile, layers }: BuildDescription, scrubber: Scrubber) {
  const ids = stepIds(graph.vertices)
  const locations = graph.vertices.flatMap(({ digest, source }) => {
    if (source === null) return []
    const ranges = [{ start: { line: source.startLine }, end: { line: source.endLine } }]
    return [[`${ids.get(digest)}`, { locations: [{ ranges }] }] as const]
  })
  const data = Buffer.from(scrubber.scrub(dockerfile.text)).toString('base64')
  const info = { filename: scrubber.scrub(dockerfile.name), language: 'Dockerfile', data }
  return present({
    source: { locations: Object.fromEntries(locations), infos: [info] },
    layers: layersOf(graph, layers),
  })
}

function reachesNetwork({ vertices }: Graph): boolean {
  return vertices.some(({ op }) => op.kind === 'exec' && op.network !== 'none')
}

function distinct(materials: readonly Material[]): readonly Material[] {
  return [...new Map(materials.map((material) => [JSON.stringify(material), material])).values()]
}
