import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type CacheInstance, startCacheInstance } from '../support/cache-instance.ts'
import { repository } from '../support/repository.ts'

let folder: string
let server: CacheInstance
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tsbuild-metrics-'))
  server = await startCacheInstance(folder)
})
afterAll(async () => {
  await server?.close()
  rmSync(folder, { recursive: true, force: true })
})

it('every metric of the cache-server is in the documents, and none besides', async () => {
  const text = await (await fetch(`${server.url}/metrics`)).text()
  const shown = [...text.matchAll(/^# TYPE (cache_server_\w+)/gm)].map(([, name]) => name)
  const page = readFileSync(join(repository, 'docs/reference/cache-server-metrics.md'), 'utf8')
  const rows = page.split('\n').filter((line) => line.startsWith('| `cache_server_'))
  const written = rows.flatMap((row) =>
    [...(row.split('|')[1] ?? '').matchAll(/`(\w+)`/g)].map(([, name]) => name),
  )
  expect(shown.length).toBeGreaterThan(15)
  expect(written.toSorted()).toEqual(shown.toSorted())
})
