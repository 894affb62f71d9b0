import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Steps } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('cache-control')
})
afterAll(() => workspace?.remove())

const build = (context: string, ...flags: readonly string[]) => workspace.tsbuild.build([...flags, context])
const instruction = (name: string) => /(RUN|COPY|ADD|WORKDIR) .*/.exec(name)?.[0] ?? name
const ran = (steps: Steps) => steps.executed.map(instruction)

/** Another text in each run. */
const uuid = 'cat /proc/sys/kernel/random/uuid'

describe('--no-cache and --no-cache-filter', () => {
  it('give what a forced step made now, however many steps lie between it and the result', async () => {
    const context = workspace.context('hole', {
      Dockerfile: [
        'FROM busybox:test AS b',
        'FROM b AS s1',
        `RUN ${uuid} > /f`,
        'FROM s1 AS s2',
        'RUN echo dep',
        'RUN echo dep2',
        'FROM scratch',
        'COPY --from=s2 /f /',
      ].join('\n'),
    })
    const made = new Set<string>()
    for (let round = 0; round < 3; round++) {
      const out = workspace.path(`hole-${round}`)
      const steps = await build(context, '--no-cache-filter', 's1', '-o', out)
      const all = [`RUN ${uuid} > /f`, 'RUN echo dep', 'RUN echo dep2', 'COPY --from=s2 /f /']
      // They are told of when they are durable, in whatever order that is.
      expect(ran(steps).toSorted()).toEqual(all.toSorted())
      made.add(readLine(join(out, 'f')))
    }
    expect(made.size).toBe(3)
    const out = workspace.path('hole-after')
    expect(ran(await build(context, '-o', out))).toEqual([])
    expect(readLine(join(out, 'f'))).toBe([...made].at(-1))
  })

  it('force WORKDIR too, and show a later step what an earlier one made in this build', async () => {
    const context = workspace.context('workdirs', {
      Dockerfile: [
        'FROM busybox:test',
        `RUN ${uuid} > /f`,
        'WORKDIR /a',
        'WORKDIR /b',
        'RUN cp /f /seen',
        'FROM scratch',
        'COPY --from=0 /f /seen /',
      ].join('\n'),
    })
    const seen: string[] = []
    for (let round = 0; round < 2; round++) {
      const out = workspace.path(`workdirs-${round}`)
      const steps = await build(context, '--no-cache', '-o', out)
      expect(steps.cached).toEqual([])
      expect(ran(steps)).toHaveLength(5)
      expect(readLine(join(out, 'seen'))).toBe(readLine(join(out, 'f')))
      seen.push(readLine(join(out, 'seen')))
    }
    expect(seen[0]).not.toBe(seen[1])
    expect(ran(await build(context))).toEqual([])
  })

  it('say of a copy that it made what was there before', async () => {
    const context = workspace.context('unchanged', {
      Dockerfile: 'FROM busybox:test\nCOPY a /a\nRUN cat /a',
      a: 'a',
    })
    await build(context)
    const { stderr } = await workspace.tsbuild.run(['--progress', 'plain', '--no-cache', context])
    expect(stderr).toMatch(/COPY a \/a\n(#\d+ MISS.*\n)?#\d+ UNCHANGED/)
    expect(stderr).toMatch(/RUN cat \/a\n(#\d+ .*\n)*#\d+ DONE/)
  })

  it('name the stage that was meant where there is none of the name', async () => {
    const context = workspace.context('unknown', { Dockerfile: 'FROM busybox:test AS builder\nRUN echo x' })
    const { events } = await build(context, '--no-cache-filter', 'bilder')
    const warnings = events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))
    expect(warnings).toEqual(['--no-cache-filter "bilder" names no stage. Did you mean `builder`?'])
  })
})

describe('RUN --cache', () => {
  const dockerfile = (mode: string) =>
    [
      '# tsbuild=cache-control',
      'FROM busybox:test',
      'RUN echo before',
      `RUN --cache=${mode} ${uuid} > /f`,
      'RUN cp /f /g',
      'FROM scratch',
      'COPY --from=0 /g /',
    ].join('\n')

  it('off runs the step in each build, and all that stands upon it', async () => {
    const context = workspace.context('off', { Dockerfile: dockerfile('off') })
    await build(context)
    const out = workspace.path('off-out')
    const steps = await build(context, '-o', out)
    expect(steps.cached.map(instruction)).toEqual(['RUN echo before'])
    expect(ran(steps)).toHaveLength(3)
    // The same step without the flag is this one, and was recorded.
    writeFileSync(join(context, 'Dockerfile'), dockerfile('off').replace('--cache=off ', ''))
    expect(ran(await build(context, '-o', workspace.path('off-kept')))).toEqual([])
    expect(readLine(workspace.path('off-kept', 'g'))).toBe(readLine(join(out, 'g')))
  })

  it('ttl takes a record that is young enough, and no older one', async () => {
    const context = workspace.context('ttl', { Dockerfile: dockerfile('ttl=24h') })
    await build(context)
    expect(ran(await build(context))).toEqual([])
    // Any record is older than a millisecond.
    writeFileSync(join(context, 'Dockerfile'), dockerfile('ttl=1ms'))
    const steps = await build(context)
    expect(ran(steps)).toHaveLength(3)
    const reasons = steps.events.flatMap((event) =>
      event.type === 'vertex.missed' ? [event.reason.code] : [],
    )
    expect(reasons).toContain('expired')
  })

  it('is refused without the directive, with the line to add', async () => {
    const context = workspace.context('refused', { Dockerfile: 'FROM busybox:test\nRUN --cache=off true' })
    const outcome = await workspace.tsbuild.run([context])
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain('--cache is an extension of tsbuild')
    expect(outcome.stderr).toContain('Add the line `# tsbuild=cache-control`')
  })
})

describe('secrets and the cache', () => {
  const secretBuild = async (context: string, value: string | undefined, ...flags: readonly string[]) => {
    const file = workspace.path('secret')
    if (value !== undefined) writeFileSync(file, value)
    return await build(
      context,
      ...(value === undefined ? [] : ['--secret', `id=token,src=${file}`]),
      ...flags,
    )
  }
  const warned = ({ events }: Steps) =>
    events.flatMap((event) => (event.type === 'warning' ? [`${event.rule} ${event.source?.startLine}`] : []))

  it('cache=content runs a step again for another value and for none, and finds it for the first one', async () => {
    const context = workspace.context('secret-content', {
      Dockerfile:
        'FROM busybox:test\nRUN --mount=type=secret,id=token,cache=content cat /run/secrets/token > /dev/null || true',
    })
    const rounds = ['one', 'two', undefined, 'one', 'two', undefined]
    const counts: number[] = []
    for (const value of rounds) {
      const steps = await secretBuild(context, value)
      counts.push(steps.executed.length)
      expect(warned(steps)).toEqual([])
    }
    expect(counts).toEqual([1, 1, 1, 0, 0, 0])
  })

  it('warns where a step is cached although its secret changed, and nowhere else', async () => {
    const context = workspace.context('secret-changed', {
      Dockerfile: 'FROM busybox:test\nRUN --mount=type=secret,id=token echo quiet',
    })
    await secretBuild(context, 'first value of it')
    const rounds = [
      ['first value of it', []],
      ['second value of it', ['SecretChanged 2']],
      [undefined, []],
    ] as const
    for (const [value, expected] of rounds) {
      const steps = await secretBuild(context, value)
      expect(steps.executed).toEqual([])
      expect(warned(steps)).toEqual(expected)
    }
  })

  it('keeps no value and no plain digest of one anywhere in the store', async () => {
    const value = 'canary-5d0f3c-of-a-secret'
    const context = workspace.context('secret-canary', {
      Dockerfile: 'FROM busybox:test\nRUN --mount=type=secret,id=token,cache=content echo canary',
    })
    await secretBuild(context, value)
    const plain = (await import('node:crypto')).createHash('sha256').update(value).digest('hex')
    for (const text of [value, plain]) {
      const { stdout } = await (await import('../support/tsbuild.ts')).run('grep', [
        '-rla',
        text,
        workspace.tsbuild.root,
      ])
      expect(stdout).toBe('')
    }
    const key = readFileSync(join(workspace.tsbuild.root, 'v1', 'secret-key'))
    expect(key).toHaveLength(32)
  })
})
