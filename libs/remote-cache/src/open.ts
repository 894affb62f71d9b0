import { formatReference, parseReference } from '@tsbuild/oci'
import type { RegistryClient } from '@tsbuild/registry'
import { type BuildkitPart, createIndexExporter } from './index-format/exporter.ts'
import { localImporter, localPlace, nameOf } from './local/local-cache.ts'
import { registryImporter, registryPlace } from './registry/registry-cache.ts'
import type { UpdateClock } from './registry/update-tag.ts'
import type { CacheExporter, CacheImporter, CacheSource, CacheTarget, ExportTools } from './types.ts'

/** What caches are opened with. */
export interface OpenCacheOptions {
  /** @param insecureHosts besides those of the build: may be spoken to in plain HTTP, or with a certificate that proves nothing */
  readonly registry: (insecureHosts?: readonly string[]) => RegistryClient
  readonly clock: UpdateClock
  /** BuildKit's records of a build. */
  readonly buildkitPart: BuildkitPart
  /** For caches of `type=server`; loaded where there is one. */
  readonly openServer: {
    readonly importer: (source: Extract<CacheSource, { type: 'server' }>) => Promise<CacheImporter>
    readonly exporter: (
      target: Extract<CacheTarget, { type: 'server' }>,
      tools: ExportTools,
    ) => Promise<CacheExporter>
  }
}

/** A cache that layers of a build are sent to; one within an image is written with the image. */
export type SentTarget = Exclude<CacheTarget, { type: 'inline' }>

/** How the user is told of a cache: importers and exporters of one place have one name. */
export function cacheName(cache: CacheSource | SentTarget): string {
  switch (cache.type) {
    case 'registry':
      return formatReference(parseReference(cache.ref))
    case 'local':
      return 'dest' in cache
        ? nameOf(cache.dest, cache.tag)
        : cache.digest === undefined
          ? nameOf(cache.src, cache.tag)
          : `${cache.src}@${cache.digest}`
    case 'server':
      return cache.url
  }
}

/** Opens one of `--cache-from`. Nothing is asked before the first look-up. */
export async function openCacheSource(
  source: CacheSource,
  options: OpenCacheOptions,
): Promise<CacheImporter> {
  switch (source.type) {
    case 'registry':
      return registryImporter(clientFor(source, options), source.ref)
    case 'local':
      return localImporter(source)
    case 'server':
      return await options.openServer.importer(source)
  }
}

/** Opens one of `--cache-to`. Nothing is sent before the first step is added. */
export async function openCacheTarget(
  target: SentTarget,
  options: OpenCacheOptions,
  tools: ExportTools,
): Promise<CacheExporter> {
  if (target.type === 'server') return await options.openServer.exporter(target, tools)
  const { clock, buildkitPart } = options
  const place =
    target.type === 'registry'
      ? registryPlace(clientFor(target, options), target.ref, { clock, status: tools.status })
      : localPlace({ ...target, now: clock.now })
  return createIndexExporter({ place, target, tools, buildkitPart, now: clock.now })
}

/** Whether an export has steps whose layers are in no image, too. */
export function exportMode(target: CacheTarget): 'min' | 'max' {
  return target.mode ?? (target.type === 'server' ? 'max' : 'min')
}

function clientFor(
  { ref, insecure }: Extract<CacheSource, { type: 'registry' }>,
  { registry }: OpenCacheOptions,
): () => RegistryClient {
  const { registry: host } = parseReference(ref)
  return () => registry(insecure === true ? [host] : [])
}
