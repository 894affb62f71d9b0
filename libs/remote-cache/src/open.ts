import { InternalError } from '@tsbuild/errors'
import { sleepFor } from '@tsbuild/http'
import { parseReference } from '@tsbuild/oci'
import type { RegistryClient } from '@tsbuild/registry'
import { buildkitPartOf } from './buildkit-part.ts'
import { createIndexExporter } from './index-format/exporter.ts'
import { localImporter, localPlace } from './local/local-cache.ts'
import { registryImporter, registryPlace } from './registry/registry-cache.ts'
import { openServerExporter } from './server/server-exporter.ts'
import { openServerImporter } from './server/server-importer.ts'
import type { CacheExporter, CacheImporter, CacheOpeners, CacheSource, OpenTools } from './types.ts'

/** See `cacheOpeners`, which loads this where a build has a cache elsewhere. */
export const openers: CacheOpeners = {
  async importer(source, tools): Promise<CacheImporter> {
    switch (source.type) {
      case 'registry':
        return registryImporter(clientFor(source, tools), source.ref, tools.buildkit)
      case 'local':
        return localImporter(source, tools.buildkit)
      case 'server':
        return openServerImporter(source, tools)
    }
  },
  async exporter(target, { now, ...tools }, using): Promise<CacheExporter> {
    // Docker 20.10 knows no cache that is an image manifest.
    const isIndex = (target.type === 'registry' || target.type === 'local') && target.imageManifest === false
    const exporting = { tools: using, buildkitPart: buildkitPartOf(tools.buildkit, isIndex), now }
    switch (target.type) {
      case 'registry': {
        const clock = { now, random: Math.random, sleep: sleepFor }
        const client = clientFor(target, { now, ...tools })
        const place = registryPlace(client, target.ref, { clock, status: using.status })
        return createIndexExporter({ ...exporting, place, target })
      }
      case 'local':
        return createIndexExporter({ ...exporting, place: localPlace({ ...target, now }), target })
      case 'server':
        return openServerExporter(target, { now, ...tools }, using)
      case 'inline':
        throw new InternalError('ERR_INTERNAL', 'an inline cache is written with its image')
    }
  },
}

function clientFor(
  { ref, insecure }: Extract<CacheSource, { type: 'registry' }>,
  { registry }: OpenTools,
): () => RegistryClient {
  const { registry: host } = parseReference(ref)
  return () => registry(insecure === true ? [host] : [])
}
