import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import type { ServerResponse } from 'node:http'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { digestBytes } from '@tsbuild/digest'
import { openStore } from '@tsbuild/store'
import { storeOptions } from '@tsbuild/store/testing'
import { buildSync } from 'esbuild'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type FileServer, serving, startFileServer } from '../testing/file-server.ts'
import { fileOf, keptOf, setUp } from '../testing/http-set-up.ts'

/** Serves `/a` up to its middle; the promise gives the answer that is under way. */
function servingHalf(server: FileServer): Promise<ServerResponse> {
  return new Promise((resolve) => {
    server.on('/a', (_nth, _request, response) => {
      response.writeHead(200, { 'content-length': 8, etag: '"1"' })
      response.write('half', () => resolve(response))
    })
  })
}

describe('the same URL at once', () => {
  it('is fetched once for all who ask in one process', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    const half = servingHalf(server)
    const progress: number[] = []
    const all = Array.from({ length: 8 }, () =>
      fetch(server.url('/a'), { onProgress: (received) => progress.push(received) }),
    )
    ;(await half).end('half')
    const found = await Promise.all(all)
    expect(new Set(found.map(({ pinned }) => pinned))).toEqual(new Set([digestBytes('halfhalf')]))
    expect(server.requests).toHaveLength(1)
    expect(progress.filter((received) => received === 8)).toHaveLength(8)
  })

  it('is downloaded once by two processes: the second revalidates', async () => {
    const [server, first] = [await startFileServer(), await setUp()]
    const second = await setUp({ root: first.root })
    const half = servingHalf(server)
    const both = [first.fetch(server.url('/a')), second.fetch(server.url('/a'))]
    const response = await half
    server.on('/a', serving('never', { etag: '"1"' }))
    response.end('half')
    const [one, other] = await Promise.all(both)
    expect(one).toEqual(other)
    expect(server.requests.map(({ headers }) => headers['if-none-match'])).toEqual([undefined, '"1"'])
  })

  it('with a checksum is asked for once by two processes', async () => {
    const [server, first] = [await startFileServer(), await setUp()]
    const second = await setUp({ root: first.root })
    const half = servingHalf(server)
    const checksum = digestBytes('halfhalf')
    const both = [first, second].map(({ fetch }) => fetch(server.url('/a'), { checksum }))
    ;(await half).end('half')
    await Promise.all(both)
    expect(server.requests).toHaveLength(1)
  })

  it('under another name or checksum is another call, and fails on its own', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    server.on('/a', serving('text'))
    const [good, bad] = await Promise.allSettled([
      fetch(server.url('/a')),
      fetch(server.url('/a'), { checksum: digestBytes('other') }),
    ])
    expect(good.status).toBe('fulfilled')
    expect(bad).toMatchObject({ reason: { code: 'ERR_DIGEST_MISMATCH' } })
  })

  it('a failure is everybody’s, and nobody’s who asks afterwards', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    const both = await Promise.allSettled([fetch(server.url('/a')), fetch(server.url('/a'))])
    expect(both).toMatchObject([
      { reason: { code: 'ERR_HTTP_STATUS' } },
      { reason: { code: 'ERR_HTTP_STATUS' } },
    ])
    expect(server.requests).toHaveLength(1)
    server.on('/a', serving('text'))
    expect(fileOf(await fetch(server.url('/a'))).text).toBe('text')
  })
})

describe('cancelling', () => {
  it('ends the request, and leaves nothing', async () => {
    const [server, { fetch, store }] = [await startFileServer(), await setUp()]
    const half = servingHalf(server)
    const abort = new AbortController()
    const fetched = fetch(server.url('/a'), { signal: abort.signal })
    const closed = once(await half, 'close')
    abort.abort()
    await expect(fetched).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    await closed
    expect(keptOf(store).paths).toEqual([])
    server.on('/a', serving('text'))
    expect(fileOf(await fetch(server.url('/a'))).text).toBe('text')
  })

  it('before it begins asks nobody', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    const fetched = fetch(server.url('/a'), { signal: AbortSignal.abort() })
    await expect(fetched).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    expect(server.requests).toEqual([])
  })

  it('of one who asked does not end it for the other', async () => {
    const [server, { fetch }] = [await startFileServer(), await setUp()]
    const half = servingHalf(server)
    const abort = new AbortController()
    const [leaving, staying] = [fetch(server.url('/a'), { signal: abort.signal }), fetch(server.url('/a'))]
    const response = await half
    abort.abort()
    await expect(leaving).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    response.end('half')
    expect(fileOf(await staying).text).toBe('halfhalf')
    expect(server.requests).toHaveLength(1)
  })
})

/** Node 20 runs no TypeScript. The program lies in `dist`, from where its native dependency is found. */
function bundleFetcher(): string {
  const dist = fileURLToPath(new URL('../../dist/', import.meta.url))
  mkdirSync(dist, { recursive: true })
  const directory = mkdtempSync(join(dist, 'fetcher-'))
  onTestFinished(() => rmSync(directory, { recursive: true }))
  const libs = fileURLToPath(new URL('../../../', import.meta.url))
  const outfile = join(directory, 'fetch-process.mjs')
  buildSync({
    entryPoints: [fileURLToPath(new URL('../testing/fetch-process.ts', import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    banner: {
      js: "import { createRequire as makeRequire } from 'node:module'; const require = makeRequire(import.meta.url)",
    },
    alias: Object.fromEntries(
      readdirSync(libs).map((lib) => [`@tsbuild/${lib}`, join(libs, lib, 'src', 'index.ts')]),
    ),
  })
  return outfile
}

describe('kill in the middle', () => {
  it('leaves nothing under a final name, and the next build fetches it', async () => {
    const [server, { root, fetch }] = [await startFileServer(), await setUp()]
    const half = servingHalf(server)
    const child = spawn(process.execPath, [bundleFetcher(), root, server.url('/a')], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    onTestFinished(() => {
      child.kill('SIGKILL')
    })
    const ended = once(child, 'exit')
    // It says how many bytes it has written.
    await Promise.race([Promise.all([half, once(child.stdout, 'data')]), ended])
    child.kill('SIGKILL')
    expect(await ended).toEqual([null, 'SIGKILL'])
    const left = keptOf({ root }).paths
    expect(left).toEqual([expect.stringMatching(/\/ingest\/\w+\/scratch-\w+\/body$/)])
    await (await openStore(storeOptions(root))).close()
    expect(keptOf({ root }).paths).toEqual([])
    server.on('/a', serving('text', { etag: '"1"' }))
    expect(fileOf(await fetch(server.url('/a'))).text).toBe('text')
    expect(server.requests.at(-1)?.headers['if-none-match']).toBeUndefined()
  }, 30_000)
})
