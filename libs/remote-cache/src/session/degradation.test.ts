import { digestBytes } from '@tsbuild/digest'
import { createRegistryClient } from '@tsbuild/registry'
import { type Fault, fault, type Misdeed, startFakeRegistry } from '@tsbuild/registry/testing'
import type { CacheStore } from '@tsbuild/solver'
import type { Store } from '@tsbuild/store'
import { afterEach, describe, expect, it } from 'vitest'
import { registryImporter, registryPlace } from '../registry/registry-cache.ts'
import { exportBuild } from '../testing/export-build.ts'
import { sampleBuild } from '../testing/sample-build.ts'
import { createGuard } from './guard.ts'
import { openCaches } from './open-caches.ts'

const cleanups: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup()
})

const names = ['a', 'b', 'c']
const signal = new AbortController().signal
const always = { times: 1_000 }
const answer = (status: number, code?: string): Misdeed => ({ type: 'answer', status, ...(code && { code }) })
const on = (path: RegExp, misdeed: Misdeed): Fault => fault({ path, ...always }, misdeed)
const manifests = /\/manifests\//
const blobs = /\/blobs\/sha256/

/** What may be wrong with a cache that is read. */
const readFaults: readonly (readonly [what: string, fault: Fault])[] = [
  ['says nothing', on(/./, { type: 'silence' })],
  ['hangs up', on(/./, { type: 'cut-request', after: 0 })],
  ['answers 401', on(/./, answer(401, 'UNAUTHORIZED'))],
  ['answers 403', on(manifests, answer(403, 'DENIED'))],
  ['answers 404', on(manifests, answer(404, 'MANIFEST_UNKNOWN'))],
  ['answers 429', on(/./, answer(429, 'TOOMANYREQUESTS'))],
  ['answers 500', on(/./, answer(500))],
  ['is full', on(/./, answer(507))],
  [
    'leads in circles',
    on(/./, { type: 'answer', status: 307, headers: { location: '/v2/app/manifests/cache' } }),
  ],
  [
    'answers with a page',
    on(manifests, {
      type: 'answer',
      status: 200,
      headers: { 'content-type': 'text/html' },
      body: '<p>login',
    }),
  ],
  [
    'has garbage for a manifest',
    on(manifests, {
      type: 'answer',
      status: 200,
      headers: { 'content-type': 'application/vnd.oci.image.manifest.v1+json' },
      body: '{',
    }),
  ],
  ['cuts the manifest off', on(manifests, { type: 'cut-answer', after: 20, how: 'close' })],
  [
    'sends a manifest without an end',
    on(manifests, { type: 'answer', status: 200, body: Buffer.alloc(5 * 1024 * 1024, ' ') }),
  ],
  ['has no config', on(blobs, answer(404, 'BLOB_UNKNOWN'))],
  ['cuts the config off', on(blobs, { type: 'cut-answer', after: 20, how: 'reset' })],
  ['stops in the config', on(blobs, { type: 'silence', after: 20 })],
  [
    'has another config',
    on(blobs, {
      type: 'change',
      change: (given) => ({ ...given, body: Buffer.alloc(given.body.length, 'x') }),
    }),
  ],
]

async function setUp() {
  const registry = await startFakeRegistry()
  const client = createRegistryClient({ sleep: async () => undefined })
  cleanups.push(registry.stop, () => client.close())
  const ref = `${registry.host}/app:cache`
  const exportSteps = async () => {
    const build = sampleBuild(names)
    const clock = { now: () => 1_000, random: () => 0, sleep: async () => {} }
    const place = registryPlace(() => client, ref, { clock, status: () => {} })
    await exportBuild(build, place)
  }
  const lookUp = async (required: boolean) => {
    const warnings: string[] = []
    const importers = [registryImporter(() => client, ref)]
    const warn = (message: string) => void warnings.push(message)
    const caches = openCaches({ importers, store: {} as Store, now: Date.now, warn, required })
    const local = { load: () => undefined } as unknown as CacheStore
    const cache = caches.over(local, () => false)
    const { planned } = sampleBuild(names)
    await cache.prepare?.(planned, signal)
    // Asked again, as for steps whose keys are known later.
    const [first] = planned
    if (first === undefined) throw new Error('no step')
    const wanted = { ...first, inputs: [], key: digestBytes('later') }
    await cache.ask?.(wanted, signal)
    const found = sampleBuild(names).steps.filter((step) => step.keys.some((key) => cache.load(key)))
    return { warnings, found: found.length }
  }
  return { registry, ref, exportSteps, lookUp }
}

describe('a cache that', () => {
  it('works gives all steps and no warning', async () => {
    const { exportSteps, lookUp } = await setUp()
    await exportSteps()
    expect(await lookUp(false)).toEqual({ warnings: [], found: 3 })
  })

  it.each(readFaults)('%s costs one warning; with --cache-required it is an error', async (_, broken) => {
    const { registry, ref, exportSteps, lookUp } = await setUp()
    await exportSteps()
    registry.fault(broken)
    const { warnings, found } = await lookUp(false)
    expect(found).toBe(0)
    expect(warnings).toEqual([expect.stringContaining(`Cache "${ref}" is not used any further: `)])
    await expect(lookUp(true)).rejects.toMatchObject({ code: 'ERR_CACHE', kind: 'environment' })
  })

  it.each([['is down costs one warning', async (stop: () => Promise<void>) => await stop()]])(
    '%s',
    async (_, breakIt) => {
      const { registry, exportSteps, lookUp } = await setUp()
      await exportSteps()
      await breakIt(registry.stop)
      cleanups.splice(0, 1)
      expect(await lookUp(false)).toMatchObject({
        found: 0,
        warnings: [expect.stringContaining('does not answer')],
      })
      await expect(lookUp(true)).rejects.toMatchObject({ code: 'ERR_CACHE' })
    },
  )

  it.each([
    ['takes no blob', on(/\/blobs\/uploads/, answer(403, 'DENIED'))],
    ['is full', on(/\/blobs\/uploads/, answer(507))],
    ['takes no manifest', fault({ method: 'PUT', path: manifests, ...always }, answer(403, 'DENIED'))],
    ['wants a login', on(/./, answer(401, 'UNAUTHORIZED'))],
  ])('%s fails an export with one error, which is a warning unless it is required', async (_, broken) => {
    const { registry, ref, exportSteps } = await setUp()
    registry.fault(broken)
    const error = await exportSteps().then(
      () => undefined,
      (reason: unknown) => reason,
    )
    expect(error).toMatchObject({ kind: 'environment' })
    const warnings: string[] = []
    createGuard(ref, 'to', { warn: (message) => void warnings.push(message), required: false }).fail(error)
    expect(warnings).toEqual([expect.stringContaining(`Cache export to "${ref}" is given up: `)])
    const strict = createGuard(ref, 'to', { warn: () => {}, required: true })
    expect(() => strict.fail(error)).toThrow(expect.objectContaining({ code: 'ERR_CACHE' }))
  })

  it('loses every answer to what it takes fails no export: what its tag means is asked', async () => {
    const { registry, exportSteps, lookUp } = await setUp()
    registry.fault(fault({ method: 'PUT', path: manifests, ...always }, { type: 'lose-answer' }))
    await exportSteps()
    expect(await lookUp(false)).toEqual({ warnings: [], found: 3 })
  })
})
