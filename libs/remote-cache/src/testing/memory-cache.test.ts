import { describeCache } from './contract.ts'
import { createMemoryCache } from './memory-cache.ts'

describeCache('a cache in memory', async () => {
  const cache = createMemoryCache('/memory')
  return {
    importer: async () => cache.importer(),
    exporter: async (tools) => cache.exporter(tools),
    lose: async ({ digest }) => void cache.blobs.delete(digest),
  }
})
