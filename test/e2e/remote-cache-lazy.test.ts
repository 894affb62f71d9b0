import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createMemoryCache, type MemoryCache } from '../../libs/remote-cache/src/testing/memory-cache.ts'
import { type CacheMachine, type MachineOptions, openMachine } from '../support/cache-machines.ts'
import { needs } from '../support/capabilities.ts'
import { startCountingPort } from '../support/counting-proxy.ts'
import { startRegistry } from '../support/registry-process.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
const machines: CacheMachine[] = []

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('remote-cache-lazy')
}, 120_000)

afterAll(async () => {
  await Promise.all(machines.map((machine) => machine.close()))
  await workspace.remove()
})

const open = async (name: string, options: MachineOptions) => {
  const opened = await openMachine(workspace, name, options)
  machines.push(opened)
  return opened
}

const machine = (name: string, caches: readonly MemoryCache[]) => open(name, { caches })

const from = (...names: readonly string[]) => names.map((src) => ({ type: 'local', src }) as const)
const to = (name: string, mode: 'min' | 'max' = 'max') => [{ type: 'local', dest: name, mode } as const]

/** Whiteouts, opaque directories, links to files below, times: all that a layer can say of what is under it. */
const project = {
  Dockerfile: [
    'FROM busybox:test AS tools',
    'RUN mkdir -p /opt/tools && head -c 300000 /dev/urandom > /opt/tools/blob && echo tool > /opt/tools/run',
    'RUN head -c 100000 /dev/urandom > /opt/unused && date +%s%N > /opt/when',
    'FROM busybox:test',
    'RUN mkdir -p /app/sub/deep && echo one > /app/one && echo two > /app/sub/two && head -c 200000 /dev/urandom > /app/random',
    'RUN rm -r /app/sub && mkdir /app/sub && echo new > /app/sub/new && ln /app/one /app/linked && chmod 700 /app && rm /etc/passwd',
    'COPY --from=tools /opt/tools /app/tools',
    'COPY file.txt /app/file.txt',
    'RUN mv /app/one /app/moved && touch -d @1500000000 /app/old && ls -la /app > /app/listing',
  ].join('\n'),
  'file.txt': 'a file\n',
}

describe('a build with caches elsewhere', { timeout: 120_000 }, () => {
  it('finds all steps on a machine that has none of them, and gives the same image', async () => {
    const context = workspace.context('whole', project)
    const cache = createMemoryCache('/cache')
    const one = await machine('one', [cache])
    const cold = await one.build({ context, tags: ['app:1'], cacheTo: to('/cache') })
    expect(one.ran()).toHaveLength(7)
    const other = await machine('other', [cache])
    const warm = await other.build({ context, tags: ['app:1'], cacheFrom: from('/cache') })
    expect(other.ran()).toEqual([])
    expect(other.found()).toHaveLength(5)
    expect(warm.image?.digest).toBe(cold.image?.digest)
    expect(cache.calls.filter((call) => call === 'plan')).toHaveLength(1)
    expect(cache.calls.filter((call) => call === 'find')).toHaveLength(0)
    // Again, and without the cache: what was found is this machine's own.
    const again = await other.build({ context, tags: ['app:1'] })
    expect([other.ran(), again.image?.digest]).toEqual([[], cold.image?.digest])
  })

  it('gives the same image when half of the steps run here, with clamped times and without', async () => {
    for (const [name, buildArgs] of [
      ['plain', {}],
      ['clamped', { SOURCE_DATE_EPOCH: '1600000000' }],
    ] as const) {
      const cache = createMemoryCache('/cache')
      const steady = {
        Dockerfile: [
          'FROM busybox:test',
          'RUN mkdir -p /app/sub && echo one > /app/one && echo two > /app/sub/two && touch -d @1500000000 /app/one',
          'RUN rm -r /app/sub && mkdir /app/sub && echo new > /app/sub/new && ln /app/one /app/linked && rm /etc/passwd',
          'COPY file.txt /app/file.txt',
          'RUN chmod 700 /app && ls /app > /app/listing',
        ].join('\n'),
        'file.txt': 'a file\n',
      }
      const context = workspace.context(`half-${name}`, steady)
      const options = { context, buildArgs, tags: ['app:1'] }
      const one = await machine(`${name}-one`, [cache])
      const cold = await one.build({ ...options, cacheTo: to('/cache') })
      const warm = await one.build(options)
      expect(warm.image?.digest).toBe(cold.image?.digest)
      // Of the last step nothing is known elsewhere.
      const last = [...cache.results.values()].filter((result) => result.name.includes('listing'))
      expect(last.length).toBeGreaterThan(0)
      for (const { keys } of last) for (const key of keys) cache.results.delete(key)
      const half = await machine(`${name}-half`, [cache])
      const mixed = await half.build({ ...options, cacheFrom: from('/cache') })
      expect(half.ran().map((step) => step.includes('listing'))).toEqual([true])
      const whole = await machine(`${name}-whole`, [cache])
      await one.build({ ...options, cacheTo: to('/cache') })
      const remote = await whole.build({ ...options, cacheFrom: from('/cache') })
      expect(whole.ran()).toEqual([])
      expect(remote.image?.digest).toBe(cold.image?.digest)
      // Without clamped times the time of the step that ran is in the image.
      if (name === 'clamped') expect(mixed.image?.digest).toBe(cold.image?.digest)
      // In another form all layers are made from what was unpacked, and are those of the machine that made it.
      const zstd = {
        ...options,
        outputs: [{ type: 'image', compression: { type: 'zstd', level: 3 } }] as const,
      }
      const [made, again] = [await one.build(zstd), await whole.build(zstd)]
      expect(again.image?.digest).toBe(made.image?.digest)
    }
  })

  it('runs a step whose layer the cache has lost, and says so once', async () => {
    const context = workspace.context('lost', project)
    const cache = createMemoryCache('/cache')
    const one = await machine('lost-one', [cache])
    await one.build({ context, tags: ['app:1'], cacheTo: to('/cache') })
    const step = [...cache.results.values()].find(({ name }) => name.includes('/app/sub/deep'))
    const lost = step?.layer[0]?.digest
    if (lost === undefined) throw new Error('the step was not exported')
    const bytes = cache.blobs.get(lost) ?? Buffer.alloc(0)
    const faults: Record<string, () => void> = {
      gone: () => cache.blobs.delete(lost),
      wrong: () => cache.blobs.set(lost, Buffer.alloc(bytes.length, 7)),
      short: () => cache.blobs.set(lost, bytes.subarray(0, bytes.length - 1)),
    }
    for (const [fault, spoil] of Object.entries(faults)) {
      spoil()
      const other = await machine(`lost-${fault}`, [cache])
      const built = await other.build({ context, tags: ['app:1'], cacheFrom: from('/cache') })
      expect(
        other.ran().some((name) => name.includes('/app/sub/deep')),
        fault,
      ).toBe(true)
      expect(other.warnings(), fault).toHaveLength(1)
      expect(other.warnings()[0]).toMatch(
        /^RemoteCache: Cache "\/cache:latest" is not what it says: layer sha256:/,
      )
      expect(other.events.filter(({ type }) => type === 'vertex.failed')).toEqual([])
      const again = await other.build({ context, tags: ['app:1'], noCache: false })
      expect([other.ran(), again.image?.digest]).toEqual([[], built.image?.digest])
    }
  })

  it('goes on without a cache that fails or does not answer, and says so once', async () => {
    const context = workspace.context('down', project)
    for (const [fault, answer] of [
      ['down', () => Promise.reject(new Error('connection refused'))],
      ['slow', () => new Promise<never>(() => {})],
    ] as const) {
      const cache = createMemoryCache('/cache')
      cache.fault = answer
      const one = await machine(fault, [cache])
      await one.build({ context, tags: ['app:1'], cacheFrom: from('/cache'), cacheTo: to('/cache') })
      expect(one.ran(), fault).toHaveLength(7)
      expect(
        one.warnings().map((text) => text.split('"')[0]),
        fault,
      ).toEqual(['RemoteCache: Cache ', 'RemoteCache: Cache export to '])
      const failing = one.build({ context, cacheFrom: from('/cache'), cacheRequired: true })
      await expect(failing).rejects.toMatchObject({ code: 'ERR_CACHE', kind: 'environment' })
    }
  })

  it('says why a step missed although a cache was asked', async () => {
    const context = workspace.context('why', project)
    const cache = createMemoryCache('/cache')
    const reasons = ({ events }: CacheMachine) => [
      ...new Set(events.flatMap((event) => (event.type === 'vertex.missed' ? [event.reason.text] : []))),
    ]
    const one = await machine('why-one', [cache])
    await one.build({ context, cacheFrom: from('/cache'), cacheTo: to('/cache') })
    expect(reasons(one)).toEqual(['not in the cache, nor built here'])
    const other = await machine('why-other', [cache])
    await other.build({ context, cacheFrom: from('/cache') })
    expect(reasons(other)).toEqual([])
    writeFileSync(join(context, 'file.txt'), 'changed\n')
    await other.build({ context, cacheFrom: from('/cache') })
    // What was found elsewhere is what the next miss is compared with.
    expect(reasons(other)[0]).toContain('file.txt')
  })

  it('puts two caches together, step by step', async () => {
    const [left, right] = [createMemoryCache('/left'), createMemoryCache('/right')]
    const context = workspace.context('two', project)
    const one = await machine('two-one', [left, right])
    const cold = await one.build({ context, tags: ['app:1'], cacheTo: to('/left') })
    // Every second step is in the other cache only, and so is its layer.
    for (const [index, result] of [...new Set(left.results.values())].entries()) {
      for (const { digest } of result.layer)
        right.blobs.set(digest, left.blobs.get(digest) ?? Buffer.alloc(0))
      if (index % 2 === 0) continue
      for (const key of result.keys) {
        right.results.set(key, result)
        left.results.delete(key)
      }
      for (const { digest } of result.layer) left.blobs.delete(digest)
    }
    const other = await machine('two-other', [left, right])
    const warm = await other.build({ context, tags: ['app:1'], cacheFrom: from('/left', '/right') })
    expect([other.ran(), warm.image?.digest]).toEqual([[], cold.image?.digest])
    expect(new Set(other.found().map((found) => found.split(' from ').at(-1)))).toEqual(
      new Set(['/left', '/right']),
    )
    expect(other.warnings()).toEqual([])
  })

  it('sends nothing of steps that were found in the very same cache, and skips an empty export', async () => {
    const context = workspace.context('same', project)
    const cache = createMemoryCache('/cache')
    const one = await machine('same-one', [cache])
    await one.build({ context, cacheTo: to('/cache') })
    const other = await machine('same-other', [cache])
    cache.calls.length = 0
    await other.build({ context, cacheFrom: from('/cache'), cacheTo: to('/cache') })
    expect(cache.calls).toEqual(['plan', 'finish'])
    const empty = workspace.context('empty', { Dockerfile: 'FROM busybox:test' })
    await other.build({ context: empty, cacheTo: to('/cache') })
    const lines = other.events.flatMap((event) => (event.type === 'vertex.status' ? [event.id] : []))
    expect(lines).toContain('skipping cache export for empty result')
    expect(cache.calls).toEqual(['plan', 'finish', 'abort'])
  })

  it('fetches only the layers that a step needs which has to run', async () => {
    const context = workspace.context('needed', project)
    const cache = createMemoryCache('/cache')
    const one = await machine('needed-one', [cache])
    await one.build({ context, tags: ['app:1'], cacheTo: to('/cache') })
    const other = await machine('needed-other', [cache])
    cache.calls.length = 0
    writeFileSync(workspace.path('needed', 'file.txt'), 'another file\n')
    await other.build({ context, tags: ['app:1'], cacheFrom: from('/cache') })
    expect(other.ran()).toHaveLength(2)
    const fetched = cache.calls.flatMap((call) => (call.startsWith('blob ') ? [call.split(' ')[1]] : []))
    const digestOf = (text: string) =>
      [...cache.results.values()].find(({ name }) => name.includes(text))?.layer[0]?.digest
    const needed = ['mkdir -p /app/sub/deep', 'rm -r /app/sub', 'COPY --from=tools'].map(digestOf)
    expect(new Set(fetched)).toEqual(new Set(needed))
    expect(cache.calls.filter((call) => call === 'plan')).toHaveLength(1)
  })

  it('moves no layer from a registry to the same registry', async (test) => {
    needs(test, 'program docker-registry')
    const process = await startRegistry(workspace.path('registry'))
    const proxy = await startCountingPort(process.host)
    try {
      const base = workspace.context('base', { Dockerfile: 'FROM busybox:test' })
      const one = await open('registry-one', {})
      const pushTo = (name: string) => [{ type: 'registry', names: [`${proxy.host}/${name}`] } as const]
      await one.build({ context: base, outputs: pushTo('base:1') })
      const files = {
        ...project,
        Dockerfile: project.Dockerfile.replaceAll('busybox:test', `${proxy.host}/base:1`),
      }
      const context = workspace.context('registry-app', files)
      const cacheRef = { type: 'registry', ref: `${proxy.host}/cache:app` } as const
      const cold = await one.build({
        context,
        outputs: pushTo('app:1'),
        cacheTo: [{ ...cacheRef, mode: 'max' }],
      })
      expect(one.ran()).toHaveLength(7)
      expect(one.warnings()).toEqual([])
      // Nobody knows the image under the new name; all of its layers are in the cache's repository.
      process.forget()
      proxy.take()
      const other = await open('registry-other', { isEmpty: true })
      const warm = await other.build({ context, outputs: pushTo('moved:1'), cacheFrom: [cacheRef] })
      expect([other.ran(), other.warnings()]).toEqual([[], []])
      expect(warm.image?.digest).toBe(cold.image?.digest)
      expect(proxy.take()).toBeLessThan(100_000)
      const layers = process.requests().filter((request) => /^(PATCH|GET \S+blobs)/.test(request))
      // Two configs, the cache's and the base's, and the new image's.
      expect(layers.length).toBeLessThanOrEqual(4)
    } finally {
      await proxy.stop()
      await process.stop()
    }
  })

  it('puts layers that were found upon those that are here, as the step left them', async () => {
    const steps = (last: string) => ({
      Dockerfile: [
        'FROM busybox:test AS lower',
        'RUN mkdir -p /app/sub/deep && echo one > /app/one && echo two > /app/sub/two && touch -d @1500000000 /app/one /app/sub/two',
        'FROM lower AS upper',
        'RUN rm -r /app/sub && mkdir -m 2750 /app/sub && echo new > /app/sub/new && ln /app/one /app/linked && chown 1:2 /app',
        'RUN rm /etc/passwd && mkdir /app/sub/deep && ln /app/one /app/third && touch -d @1400000000 /app/sub && chmod 600 /app/linked',
        'FROM upper',
        `RUN (find /app /etc | sort | xargs stat -c '%n %F %a %u:%g %h %s'; stat -c '%n %Y' /app/one /app/sub) > /tree # ${last}`,
      ].join('\n'),
    })
    const context = workspace.context('upon', steps('first'))
    const cache = createMemoryCache('/cache')
    const treeOf = async (from: CacheMachine, more: object = {}) => {
      const dest = workspace.path('tree-of')
      rmSync(dest, { recursive: true, force: true })
      await from.build({ context, outputs: [{ type: 'local', dest }], ...more })
      return readFileSync(join(dest, 'tree'), 'utf8')
    }
    const one = await machine('upon-one', [cache])
    const made = await treeOf(one, { cacheTo: to('/cache') })
    const other = await machine('upon-other', [cache])
    // The lower layer is this machine's own.
    await other.build({ context, target: 'lower' })
    expect(other.ran()).toHaveLength(1)
    writeFileSync(join(context, 'Dockerfile'), steps('second').Dockerfile)
    expect(await treeOf(other, { cacheFrom: from('/cache') })).toBe(made)
    expect(other.ran()).toHaveLength(1)
    expect(other.found()).toHaveLength(2)
    expect(made).toContain('/app/third regular file 644 0:0 2 4')
    expect(made).not.toContain('passwd')
    // What was unpacked is kept as this machine's own.
    writeFileSync(join(context, 'Dockerfile'), steps('third').Dockerfile)
    expect(await treeOf(other)).toBe(made)
    expect(other.ran()).toHaveLength(1)
  })
})
