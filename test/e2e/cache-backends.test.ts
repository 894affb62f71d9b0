import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BuildOptions } from '@tsbuild/builder'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type CacheMachine, openMachine } from '../support/cache-machines.ts'
import { needs } from '../support/capabilities.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { check } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let registry: RegistryProcess | undefined
const machines: CacheMachine[] = []

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('cache-backends')
}, 120_000)

afterAll(async () => {
  await Promise.all(machines.map((machine) => machine.close()))
  await registry?.stop()
  await workspace.remove()
})

const open = async (name: string) => {
  const opened = await openMachine(workspace, name)
  machines.push(opened)
  return opened
}

const host = async () => {
  registry ??= await startRegistry(workspace.path('registry'))
  return registry.host
}

const project = (name: string, last = 'date +%N > /last') =>
  workspace.context(name, {
    Dockerfile: [
      'FROM busybox:test AS tools',
      'RUN mkdir /opt && head -c 100000 /dev/urandom > /opt/tool && date +%N > /opt/when',
      'FROM busybox:test',
      'RUN head -c 50000 /dev/urandom > /random',
      'COPY --from=tools /opt/tool /tool',
      'COPY file.txt /file.txt',
      `RUN ${last}`,
    ].join('\n'),
    'file.txt': 'a file\n',
  })

type Caches = Pick<BuildOptions, 'cacheFrom' | 'cacheTo'>
const steps = 5

const places: readonly (readonly [
  what: string,
  (name: string, mode: 'min' | 'max') => Promise<Required<Caches>>,
])[] = [
  [
    'registry',
    async (name, mode) => {
      const ref = `${await host()}/${name}:cache`
      return { cacheFrom: [{ type: 'registry', ref }], cacheTo: [{ type: 'registry', ref, mode }] }
    },
  ],
  [
    'registry, in the old form',
    async (name, mode) => {
      const ref = `${await host()}/${name}-old:cache`
      return {
        cacheFrom: [{ type: 'registry', ref }],
        cacheTo: [{ type: 'registry', ref, mode, imageManifest: false, ociMediaTypes: false }],
      }
    },
  ],
  [
    'directory',
    async (name, mode) => {
      const path = workspace.path(`cache-${name}`)
      return { cacheFrom: [{ type: 'local', src: path }], cacheTo: [{ type: 'local', dest: path, mode }] }
    },
  ],
]

describe('a cache elsewhere', { timeout: 120_000 }, () => {
  beforeEach((context) => needs(context, 'program docker-registry', 'program skopeo'))

  it.each(places)(
    'in a %s: another machine runs nothing, and makes the same image',
    async (what, placeOf) => {
      const name = `whole${places.findIndex(([one]) => one === what)}`
      const context = project(name)
      const { cacheFrom, cacheTo } = await placeOf(name, 'max')
      const one = await open(`${name}-1`)
      const cold = await one.build({ context, tags: ['app:1'], cacheTo })
      expect(one.ran()).toHaveLength(steps)
      const other = await open(`${name}-2`)
      const warm = await other.build({ context, tags: ['app:1'], cacheFrom, cacheTo })
      expect([other.ran(), other.warnings()]).toEqual([[], []])
      expect(warm.image?.digest).toBe(cold.image?.digest)
    },
  )

  it.each(places)('in a %s with mode=min holds the steps of the image alone', async (what, placeOf) => {
    const name = `min${places.findIndex(([one]) => one === what)}`
    const context = project(name)
    const { cacheFrom, cacheTo } = await placeOf(name, 'min')
    const one = await open(`${name}-1`)
    await one.build({ context, tags: ['app:1'], cacheTo })
    const other = await open(`${name}-2`)
    await other.build({ context, tags: ['app:1'], cacheFrom, noCacheFilter: [] })
    // The stage that only gives a file runs again, and so does what is made of what it gave.
    expect(other.ran().some((step) => step.includes('/opt/tool'))).toBe(true)
    expect(other.found().some((step) => step.includes('/random'))).toBe(true)
  })

  it('within an image is found by its name, and the image is the same bytes wherever it is made', async () => {
    const ref = `${await host()}/inline:1`
    const context = workspace.context('inline', {
      Dockerfile: 'FROM busybox:test\nRUN mkdir /a && touch -d @5 /a/x /a\nRUN touch -d @6 /b',
    })
    const buildArgs = { SOURCE_DATE_EPOCH: '1000000000' }
    const options = {
      context,
      tags: [ref],
      buildArgs,
      outputs: [{ type: 'registry' }],
      cacheTo: [{ type: 'inline' }],
    } as const
    const one = await open('inline-1')
    const cold = await one.build(options)
    const two = await open('inline-2')
    const again = await two.build(options)
    expect(two.ran()).toHaveLength(2)
    expect(again.image?.digest).toBe(cold.image?.digest)
    const other = await open('inline-3')
    const warm = await other.build({ ...options, cacheFrom: [{ type: 'registry', ref }] })
    expect([other.ran(), other.warnings()]).toEqual([[], []])
    expect(warm.image?.digest).toBe(cold.image?.digest)
  })

  it('of two caches what each has is put together', async () => {
    const [early, late] = [
      project('merged', 'echo early > /last'),
      project('merged-late', 'echo late > /last'),
    ]
    const ref = `${await host()}/merged:cache`
    const path = workspace.path('merged-cache')
    const one = await open('merged-1')
    await one.build({ context: early, cacheTo: [{ type: 'registry', ref, mode: 'max' }] })
    const two = await open('merged-2')
    const cacheFrom = [{ type: 'registry', ref }] as const
    await two.build({
      context: late,
      cacheFrom,
      cacheTo: [{ type: 'local', dest: path, mode: 'max', reset: true }],
    })
    expect(two.ran()).toHaveLength(1)
    const other = await open('merged-3')
    await other.build({
      context: late,
      tags: ['app:1'],
      cacheFrom: [...cacheFrom, { type: 'local', src: path }],
    })
    expect([other.ran(), other.warnings()]).toEqual([[], []])
  })

  it('keeps what machines side by side send to one tag', async () => {
    const ref = `${await host()}/parallel:cache`
    const names = ['p1', 'p2', 'p3']
    await Promise.all(
      names.map(async (name) => {
        const machine = await open(`${name}-1`)
        const context = project(name, `echo ${name} > /last`)
        await machine.build({ context, cacheTo: [{ type: 'registry', ref, mode: 'max' }] })
        expect(machine.warnings()).toEqual([])
      }),
    )
    for (const name of names) {
      const other = await open(`${name}-2`)
      const context = workspace.path(name)
      await other.build({ context, tags: ['app:1'], cacheFrom: [{ type: 'registry', ref }] })
      expect([name, other.ran()]).toEqual([name, []])
    }
  })

  it('can be read by skopeo', async () => {
    const context = project('skopeo')
    const ref = `${await host()}/skopeo:cache`
    const dest = workspace.path('skopeo-cache')
    const machine = await open('skopeo-1')
    const layers = { mode: 'max', compression: { format: 'zstd', level: 3 }, forceCompression: true } as const
    await machine.build({
      context,
      cacheTo: [
        { type: 'registry', ref, ...layers },
        { type: 'local', dest, ...layers },
      ],
    })
    for (const place of [`docker://${ref}`, `oci:${dest}:latest`]) {
      const raw = await check('skopeo', ['inspect', '--raw', '--tls-verify=false', place])
      const manifest = JSON.parse(raw)
      expect(manifest.config.mediaType).toBe('application/vnd.buildkit.cacheconfig.v0')
      const own = manifest.layers.filter(({ mediaType }: { mediaType: string }) =>
        mediaType.endsWith('+zstd'),
      )
      expect(own.length).toBeGreaterThanOrEqual(steps)
    }
  })

  it('that is an image is not written over: a warning, or an error where it is required', async () => {
    const ref = `${await host()}/image:1`
    const context = project('image')
    const machine = await open('image-1')
    const built = await machine.build({ context, tags: [ref], outputs: [{ type: 'registry' }] })
    const cacheTo = [{ type: 'registry', ref, mode: 'max' }] as const
    await machine.build({ context, tags: ['app:1'], cacheTo })
    expect(machine.warnings()).toEqual([expect.stringContaining('RemoteCache: Cache export to')])
    await expect(
      machine.build({ context, tags: ['app:1'], cacheTo, cacheRequired: true }),
    ).rejects.toMatchObject({
      code: 'ERR_CACHE',
    })
    const ignored = [{ ...cacheTo[0], ignoreError: true }]
    await machine.build({ context, tags: ['app:1'], cacheTo: ignored, cacheRequired: true })
    const raw = await check('skopeo', ['inspect', '--tls-verify=false', `docker://${ref}`])
    expect(JSON.parse(raw).Digest).toBe(built.image?.digest)
  })

  it('that is down or broken costs one warning, and an error where it is required', async () => {
    const context = project('down')
    const src = workspace.path('no-cache')
    const machine = await open('down-1')
    const cacheFrom = [
      { type: 'registry', ref: '127.0.0.1:1/app:cache' },
      { type: 'local', src },
    ] as const
    await machine.build({ context, tags: ['app:1'], cacheFrom })
    // Which of the two fails first is nobody's promise.
    const warnings = machine.warnings()
    expect(warnings).toHaveLength(2)
    for (const name of ['127.0.0.1:1/app:cache', `${src}:latest`])
      expect(warnings.filter((one) => one.includes(`"${name}" is not used any further`))).toHaveLength(1)
    await expect(machine.build({ context, cacheFrom, cacheRequired: true })).rejects.toMatchObject({
      code: 'ERR_CACHE',
    })
  })

  it('in a directory whose layer was changed is not believed', async () => {
    const context = project('changed')
    const dest = workspace.path('changed-cache')
    const one = await open('changed-1')
    await one.build({ context, tags: ['app:1'], cacheTo: [{ type: 'local', dest, mode: 'max' }] })
    const { manifests } = JSON.parse(readFileSync(join(dest, 'index.json'), 'utf8'))
    const blob = (digest: string) => join(dest, 'blobs/sha256', digest.slice('sha256:'.length))
    const { layers } = JSON.parse(readFileSync(blob(manifests[0].digest), 'utf8'))
    for (const { digest, size } of layers) writeFileSync(blob(digest), Buffer.alloc(size, 'x'))
    const other = await open('changed-2')
    rmSync(workspace.path('changed-out'), { recursive: true, force: true })
    const outputs = [{ type: 'local', dest: workspace.path('changed-out') }] as const
    await other.build({ context, outputs, cacheFrom: [{ type: 'local', src: dest }] })
    expect(other.ran().length).toBeGreaterThan(0)
    expect(readFileSync(join(workspace.path('changed-out'), 'file.txt'), 'utf8')).toBe('a file\n')
  })
})
