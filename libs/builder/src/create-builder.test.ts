import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { BuildEvent } from '@tsbuild/events'
import { realHelper } from '@tsbuild/native/testing'
import { temporaryDirectory } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it } from 'vitest'
import { type BuildHandle, type BuildOptions, build, createBuilder } from './index.ts'

let cwd: string
beforeEach(() => {
  cwd = temporaryDirectory()
  mkdirSync(join(cwd, 'context'))
})

/** Asked for nothing by the builds of these tests that fail before their first step. */
const helperPath = '/nowhere/tsbuild-helper'
const root = () => join(cwd, 'store')
/** Nothing is counted at their ends. */
const space = { maxUsed: 'unlimited', minFree: 'unlimited' } as const
const options = () =>
  ({ root: root(), helperPath, durability: 'none', cwd, context: 'context', space }) as const
const dockerfile = (text: string) => writeFileSync(join(cwd, 'context/Dockerfile'), text)

async function collect(handle: BuildHandle): Promise<readonly BuildEvent[]> {
  const events: BuildEvent[] = []
  for await (const event of handle.events) events.push(event)
  return events
}

describe('build()', () => {
  it('has its ref from the start: that of its events and of another build than the next', async () => {
    const handles = [build(options()), build(options())]
    const refs = handles.map(({ ref }) => ref)
    expect(new Set(refs).size).toBe(2)
    for (const [index, handle] of handles.entries()) {
      expect(refs[index]).toMatch(/^[0-9a-f]{24}$/)
      expect((await collect(handle))[0]).toMatchObject({ type: 'build.started', ref: refs[index] })
    }
  })

  it('ends its events with the failure that it rejects with', async () => {
    const handle = build({ ...options(), context: 'missing', tags: ['app:1'] })
    const events = await collect(handle)
    await expect(handle.result).rejects.toMatchObject({ code: 'ERR_CONTEXT_NOT_FOUND' })
    expect(events[0]).toMatchObject({ type: 'build.started', name: 'app:1' })
    expect(events.at(-1)).toMatchObject({
      type: 'build.failed',
      ref: handle.ref,
      code: 'ERR_CONTEXT_NOT_FOUND',
    })
    const planned = events.flatMap((event) => (event.type === 'vertex.planned' ? [event.vertex] : []))
    const failed = events.flatMap((event) => (event.type === 'vertex.failed' ? [event.vertex] : []))
    expect(failed).toEqual(planned)
  })

  it('ends its events when the store cannot be opened', async () => {
    writeFileSync(root(), 'a file')
    const handle = build(options())
    const events = await collect(handle)
    await expect(handle.result).rejects.toMatchObject({ kind: 'environment' })
    expect(events.map(({ type }) => type)).toEqual(['build.started', 'build.failed'])
  })

  it('gives every event to onEvent too', async () => {
    const seen: BuildEvent[] = []
    const handle = build({ ...options(), onEvent: (event) => seen.push(event) })
    expect(await collect(handle)).toEqual(seen)
  })

  it('makes no store when it is cancelled before it starts', async () => {
    const handle = build({ ...options(), signal: AbortSignal.abort() })
    await expect(handle.result).rejects.toMatchObject({ kind: 'user', code: 'ERR_CANCELLED' })
    expect((await collect(handle)).at(-1)).toMatchObject({ type: 'build.failed', code: 'ERR_CANCELLED' })
    expect(existsSync(root())).toBe(false)
  })

  it('rejects with ERR_CANCELLED after cancel(), however often it is called', async () => {
    dockerfile('FROM scratch')
    const handle = build(options())
    handle.cancel()
    handle.cancel()
    await expect(handle.result).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    handle.cancel()
  })

  it('lets go of the store: it can be used by another build', async () => {
    dockerfile('FROM scratch\nENV a=b\n')
    for (const _ of ['first', 'second']) {
      expect(await build({ ...options(), outputs: [{ type: 'cacheonly' }] }).result).toMatchObject({
        tags: [],
      })
    }
  })

  it('leaves the failure to the result alone when nobody reads it', async () => {
    const unhandled: unknown[] = []
    const note = (reason: unknown) => unhandled.push(reason)
    process.on('unhandledRejection', note)
    await collect(build({ ...options(), context: 'missing' }))
    await new Promise((resume) => setImmediate(resume))
    process.off('unhandledRejection', note)
    expect(unhandled).toEqual([])
  })
})

describe('Builder.build()', () => {
  it('refuses a tag that is no name', async () => {
    const builder = await createBuilder(options())
    const { result } = builder.build({ cwd, context: 'context', tags: ['App:1'] })
    await expect(result).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_USAGE',
      message: expect.stringMatching(/^Cannot use --tag "App:1": (?!Cannot)/),
    })
    await builder.close()
  })

  it.for<[string, Partial<BuildOptions>, string, string]>([
    ['', {}, 'ERR_DOCKERFILE_EMPTY', 'Cannot read the build context from standard input: it is empty'],
    [
      '',
      { context: 'context', dockerfile: '-' },
      'ERR_DOCKERFILE_EMPTY',
      'Cannot read the Dockerfile from standard input: it is empty',
    ],
    [
      'x',
      { context: 'htp://x.test/a.tar' },
      'ERR_URL_INVALID',
      'Cannot use the build context "htp://x.test/a.tar": no context is fetched by "htp"',
    ],
    [
      'x',
      { context: 'docker-image://x' },
      'ERR_URL_INVALID',
      'Cannot use the build context "docker-image://x": no context is fetched by "docker-image"',
    ],
  ])('says what is wrong with a context: %j, %j', async ([input, given, code, message], test) => {
    const { helperPath } = realHelper(test)
    dockerfile('FROM scratch')
    const builder = await createBuilder({ ...options(), helperPath })
    const { result } = builder.build({
      cwd,
      context: '-',
      stdin: Readable.from([Buffer.from(input)]),
      ...given,
    })
    await expect(result).rejects.toMatchObject({ kind: 'user', code, message })
    await builder.close()
  })

  it('refuses a named context that is a missing directory, whether a step asks for it or not', async () => {
    dockerfile('FROM scratch')
    const builder = await createBuilder(options())
    const { result } = builder.build({ cwd, context: 'context', buildContexts: { other: 'missing' } })
    await expect(result).rejects.toMatchObject({
      code: 'ERR_CONTEXT_NOT_FOUND',
      message: `Cannot use --build-context "other" "${join(cwd, 'missing')}": there is no such directory`,
    })
    await builder.close()
  })

  it('refuses a platform that is no Linux', async () => {
    dockerfile('FROM scratch')
    const builder = await createBuilder(options())
    const { result } = builder.build({ cwd, context: 'context', platforms: ['windows/amd64'] })
    await expect(result).rejects.toMatchObject({ kind: 'user', code: 'ERR_PLATFORM_INVALID' })
    await builder.close()
  })

  it.each([
    ['linux/arm46', ['No images are known for linux/arm46. Did you mean `arm64`?']],
    ['linux/riscv64', []],
  ])('builds for %s and says %j', async (platform, messages) => {
    dockerfile('FROM scratch')
    const builder = await createBuilder(options())
    const said: string[] = []
    const onEvent = (event: BuildEvent) => {
      if (event.type === 'warning') said.push(event.message)
    }
    await builder.build({ cwd, context: 'context', platforms: [platform], onEvent }).result
    expect(said).toEqual(messages)
    await builder.close()
  })

  it('refuses a push without a name', async () => {
    dockerfile('FROM scratch')
    const builder = await createBuilder(options())
    const { result } = builder.build({ cwd, context: 'context', outputs: [{ type: 'registry' }] })
    await expect(result).rejects.toMatchObject({ kind: 'user', code: 'ERR_USAGE' })
    await builder.close()
  })

  it('builds, tells every vertex to its end, and gives the same image again out of the cache', async (test) => {
    const helper = realHelper(test)
    dockerfile('FROM scratch\nCOPY a b /\nWORKDIR /c\n')
    for (const name of ['a', 'b']) writeFileSync(join(cwd, 'context', name), name)
    const builder = await createBuilder({ ...options(), helperPath: helper.helperPath })
    const start = () => builder.build({ cwd, context: 'context', tags: ['app:1'] })
    const first = start()
    const events = await collect(first)
    const made = await first.result
    expect(made).toMatchObject({ ref: first.ref, tags: ['docker.io/library/app:1'] })
    expect(made.steps.executed).toBeGreaterThan(0)
    const vertices = (...types: readonly string[]) =>
      events
        .flatMap((event) => ('vertex' in event && types.includes(event.type) ? [event.vertex] : []))
        .toSorted()
    expect(vertices('vertex.completed', 'vertex.cached')).toEqual(vertices('vertex.planned'))
    const said = events.flatMap((event) => (event.type === 'vertex.status' && event.done ? [event.id] : []))
    expect(said.slice(-2)).toEqual([
      `writing image ${made.configDigest}`,
      'naming to docker.io/library/app:1',
    ])
    const again = await start().result
    expect(again.steps).toMatchObject({ executed: 0, total: made.steps.total })
    expect(again.image).toEqual(made.image)
    expect(await builder.images()).toMatchObject([
      { name: 'docker.io/library/app:1', descriptor: made.image, configDigest: made.configDigest },
    ])
    await builder.close()
  })

  it('runs more than ten steps at a time without a warning of Node', async (test) => {
    const helper = realHelper(test)
    const stages = Array.from({ length: 24 }, (_, index) => `FROM scratch AS s${index}\nCOPY a /a${index}\n`)
    const last = `FROM scratch\n${stages.map((_, index) => `COPY --from=s${index} / /\n`).join('')}`
    dockerfile(`${stages.join('')}${last}`)
    writeFileSync(join(cwd, 'context/a'), 'a')
    const warnings: string[] = []
    const note = ({ name }: Error) => warnings.push(name)
    process.on('warning', note)
    await build({ ...options(), helperPath: helper.helperPath, outputs: [{ type: 'cacheonly' }] }).result
    await new Promise((resume) => setImmediate(resume))
    process.off('warning', note)
    expect(warnings).toEqual([])
  })
})

describe('Builder.removeImage()', () => {
  it('throws ERR_IMAGE_NOT_FOUND when there is no such name', async () => {
    const builder = await createBuilder(options())
    await expect(builder.removeImage('app')).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_IMAGE_NOT_FOUND',
      message: 'Cannot remove image "app": there is no local image of this name',
    })
    await builder.close()
  })
})
