import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { digestHex } from '@tsbuild/digest'
import { createRegistryClient } from '@tsbuild/registry'
import { startFakeRegistry } from '@tsbuild/registry/testing'
import { afterEach } from 'vitest'
import { localImporter, localPlace } from '../local/local-cache.ts'
import { registryImporter, registryPlace } from '../registry/registry-cache.ts'
import { describeCache } from '../testing/contract.ts'
import { createIndexExporter } from './exporter.ts'
import { emptyIndex } from './types.ts'

const cleanups: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const now = () => Date.now()
const exporting = { target: { mode: 'max' as const }, buildkitPart: async () => emptyIndex.buildkit, now }

describeCache('a cache in a registry', async () => {
  const registry = await startFakeRegistry()
  const client = createRegistryClient({ sleep: async () => undefined })
  cleanups.push(registry.stop, () => client.close())
  const ref = `${registry.host}/app:cache`
  const clock = { now, random: () => 0, sleep: async () => {} }
  return {
    importer: async () => registryImporter(() => client, ref),
    exporter: async (tools) => {
      const place = registryPlace(() => client, ref, { clock, status: tools.status })
      return createIndexExporter({ ...exporting, place, tools })
    },
    lose: async ({ digest }) => void registry.blobs.delete(`app@${digest}`),
  }
})

describeCache('a cache in a directory', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'tsb-backends-contract-'))
  cleanups.push(() => rm(folder, { recursive: true }))
  const dest = join(folder, 'cache')
  return {
    importer: async () => localImporter({ src: dest }),
    exporter: async (tools) => createIndexExporter({ ...exporting, place: localPlace({ dest, now }), tools }),
    lose: ({ digest }) => rm(join(dest, 'blobs/sha256', digestHex(digest))),
  }
})
