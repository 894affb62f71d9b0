import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeTree } from '../support/tree.ts'
import type { RunOptions } from '../support/tsbuild.ts'
import { makeCanary, openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('mounts')
})
afterAll(() => workspace?.remove())

const header = 'FROM busybox:test'
let contexts = 0

/** A context with this Dockerfile, of which every RUN is offline. */
function project(dockerfile: readonly string[], files: Readonly<Record<string, string>> = {}): string {
  contexts += 1
  return workspace.context(`context-${contexts}`, { Dockerfile: `${dockerfile.join('\n')}\n`, ...files })
}

/** Builds offline; gives what the steps wrote to standard output, in lines. */
async function build(
  dockerfile: readonly string[],
  { files, args = [], env }: BuildInput = {},
): Promise<readonly string[]> {
  const { events } = await workspace.tsbuild.build(
    ['--network', 'none', ...args, project(dockerfile, files)],
    env === undefined ? {} : { env },
  )
  return linesOf(events)
}

interface BuildInput {
  readonly files?: Readonly<Record<string, string>>
  readonly args?: readonly string[]
  readonly env?: RunOptions['env']
}

function linesOf(events: Awaited<ReturnType<Workspace['tsbuild']['build']>>['events']): readonly string[] {
  const data = events.flatMap((event) => {
    if (event.type !== 'vertex.log' || event.stream !== 'stdout') return []
    return [Buffer.from(String(event.data), 'base64')]
  })
  return Buffer.concat(data).toString().split('\n').slice(0, -1)
}

/** Builds what must fail; gives what was said. */
async function failure(dockerfile: readonly string[], input: BuildInput = {}): Promise<string> {
  const { code, stderr } = await workspace.tsbuild.run([
    ...['--progress', 'plain', '--network', 'none', ...(input.args ?? [])],
    project(dockerfile, input.files),
  ])
  expect(code, stderr).toBe(1)
  return stderr
}

/** Builds and exports the files of the image. */
async function exported(dockerfile: readonly string[], input: BuildInput = {}): Promise<string> {
  const out = workspace.path(`out-${contexts}`)
  await build(dockerfile, { ...input, args: [...(input.args ?? []), '-o', out] })
  return out
}

describe('RUN --mount=type=bind', () => {
  it('shows the build context without what .dockerignore hides, a file of it, and a directory of it', async () => {
    const files = { a: 'a\n', 'dir/b': 'b\n', hidden: 'no\n', '.dockerignore': 'hidden\n' }
    const mounts = '--mount=target=/all --mount=source=a,target=/file --mount=source=dir,target=/dir'
    const lines = await build(
      [header, `RUN ${mounts} ls -A /all && cat /file /dir/b && touch /all/x || echo refused`],
      {
        files,
      },
    )
    expect(lines).toEqual(['.dockerignore', 'Dockerfile', 'a', 'dir', 'a', 'b', 'refused'])
  })

  it('shows a path of a stage, and its image keeps nothing of it', async () => {
    const stage = ['FROM busybox:test AS made', 'RUN mkdir -p /out/sub && echo made > /out/sub/file']
    const out = await exported([
      ...stage,
      'FROM scratch',
      'COPY --from=busybox:test /bin /bin',
      'RUN --mount=from=made,source=/out,target=/mnt/in cp /mnt/in/sub/file /copied',
    ])
    expect(readdirSync(out).toSorted()).toEqual(['bin', 'copied'])
    expect(readFileSync(join(out, 'copied'), 'utf8')).toBe('made\n')
  })

  it('with rw takes writes and throws them away, from the step and from the stage', async () => {
    const stage = ['FROM busybox:test AS made', 'RUN mkdir /out && echo made > /out/file']
    const step = 'echo more >> /in/file && rm -f /in/none && echo new > /in/new && cat /in/file && ls /in'
    const lines = await build([
      ...stage,
      header,
      `RUN --mount=from=made,source=/out,target=/in,rw ${step}`,
      'RUN --mount=from=made,source=/out,target=/in,rw ls /in && cat /in/file && test ! -e /in/new',
    ])
    expect(lines).toEqual(['made', 'more', 'file', 'new', 'file', 'made'])
    expect(readdirSync(join(workspace.tsbuild.root, 'v1', 'ingest'))).toEqual([])
  })

  it('runs again when the content of its source changed, and not when anything else did', async () => {
    const dockerfile = [header, 'RUN --mount=source=dir,target=/in cat /in/file']
    const run = async (files: Readonly<Record<string, string>>) => {
      const { executed, cached } = await workspace.tsbuild.build([
        '--network',
        'none',
        project(dockerfile, files),
      ])
      return [executed.length, cached.length]
    }
    expect(await run({ 'dir/file': 'one', other: '1' })).toEqual([1, 0])
    expect(await run({ 'dir/file': 'one', other: '2' })).toEqual([0, 1])
    expect(await run({ 'dir/file': 'two', other: '2' })).toEqual([1, 0])
  })

  it('does not run again when its stage did and made the same', async () => {
    const dockerfile = (noise: string) => [
      'FROM busybox:test AS made',
      `RUN echo ${noise} > /noise && mkdir /out && echo same > /out/file`,
      header,
      'RUN --mount=from=made,source=/out,target=/in cat /in/file',
    ]
    expect(await build(dockerfile('one'))).toEqual(['same'])
    expect(await build(dockerfile('two'))).toEqual([])
  })

  it('MNT-02: a source that is a symlink shows the root of the stage, not that of the host', async () => {
    const canary = makeCanary()
    const lines = await build([
      'FROM busybox:test AS base',
      'RUN ln -s / /rootdir && ln -s ../../../../.. /up && echo stage > /marker',
      header,
      `RUN --mount=type=bind,from=base,source=/rootdir,target=/exploit,rw cat /exploit/marker && touch /exploit/BIND_BREAKOUT && test ! -e /exploit${canary}`,
      'RUN --mount=type=bind,from=base,source=/up,target=/exploit cat /exploit/marker',
    ])
    expect(lines).toEqual(['stage', 'stage'])
    expect(existsSync('/BIND_BREAKOUT')).toBe(false)
    rmSync(canary, { recursive: true })
  })

  it('says which source is missing', async () => {
    const stderr = await failure([
      'FROM busybox:test AS base',
      header,
      'RUN --mount=from=base,source=/none,target=/in true',
    ])
    expect(stderr).toContain('[ERR_MOUNT_SOURCE_INVALID]')
    expect(stderr).toContain('Cannot mount "/none"')
    expect(stderr).toMatch(/>>> RUN --mount/)
  })
})

describe('RUN --mount=type=tmpfs', () => {
  it('is empty, has its size, and is gone after the step', async () => {
    const out = await exported([
      header,
      'RUN --mount=type=tmpfs,target=/t,size=1m test -z "$(ls -A /t)" && ! dd if=/dev/zero of=/t/f bs=1M count=2 2>/dev/null && du -k /t/f',
      'RUN test ! -e /t',
    ])
    expect(existsSync(join(out, 't'))).toBe(false)
  })
})

/** The directories of a cache mount by the id in their metadata. */
function cachesOf(id: string): readonly string[] {
  const mounts = join(workspace.tsbuild.root, 'v1', 'mounts')
  return readdirSync(mounts)
    .flatMap((name) => readdirSync(join(mounts, name)).map((number) => join(mounts, name, number)))
    .filter((path) => JSON.parse(readFileSync(join(path, 'meta.json'), 'utf8')).id === id)
}

describe('RUN --mount=type=cache', () => {
  it('keeps what steps write for the next builds, and is in no image', async () => {
    const step = (text: string) => [
      header,
      `RUN --mount=type=cache,target=/keep echo ${text} >> /keep/log && cat /keep/log`,
    ]
    expect(await build(step('one'))).toEqual(['one'])
    const out = workspace.path('out-cache')
    expect(await build(step('two'), { args: ['-o', out] })).toEqual(['one', 'two'])
    expect(existsSync(join(out, 'keep'))).toBe(false)
    expect(
      await build([
        header,
        'RUN --mount=type=cache,id=/keep,target=/elsewhere,ro cat /elsewhere/log; touch /elsewhere/x || echo refused',
      ]),
    ).toEqual(['one', 'two', 'refused'])
  })

  it('is filled from an image or stage when it is made, with the owner that the directory has there', async () => {
    const stage = [
      'FROM busybox:test AS seed',
      'RUN mkdir -p /home/web/.cache && echo seed > /home/web/.cache/file && chown -R 1000:1000 /home/web && chmod 2750 /home/web/.cache',
    ]
    const step = (text: string) => [
      ...stage,
      header,
      'USER web',
      `RUN --mount=type=cache,id=filled,from=seed,source=/home/web/.cache,target=/c cat /c/file && echo ${text} > /c/file && stat -c '%a %u:%g' /c`,
    ]
    expect(await build(step('one'))).toEqual(['seed', '2750 1000:1000'])
    expect(await build(step('two'))).toEqual(['one', '2750 1000:1000'])
  })

  it('has mode and owner when it is made, and is another cache with them', async () => {
    const step = (options: string) => [
      header,
      `RUN --mount=type=cache,id=owned,target=/c${options} stat -c '%a %u:%g' /c && test ! -e /c/file && touch /c/file`,
    ]
    expect(await build(step(''))).toEqual(['755 0:0'])
    expect(await build(step(',mode=0700,uid=5,gid=6'))).toEqual(['700 5:6'])
    expect(await build(step(',mode=0755'))).toEqual(['755 0:0'])
    expect(cachesOf('owned')).toHaveLength(3)
  })

  it('with --no-cache begins anew only what was made of something', async () => {
    const step = (n: number, options: string) => [
      header,
      `RUN --mount=type=cache,id=anew,target=/c${options} echo ${n} >> /c/log && cat /c/log | tr '\\n' ' ' && echo`,
      `RUN --mount=type=cache,id=anew,target=/c${options} echo second ${n} >> /c/log && cat /c/log | tr '\\n' ' ' && echo`,
    ]
    for (const options of ['', ',mode=0700']) await build(step(1, options))
    expect(await build(step(2, ''), { args: ['--no-cache'] })).toEqual([
      '1 second 1 2 ',
      '1 second 1 2 second 2 ',
    ])
    expect(await build(step(3, ',mode=0700'), { args: ['--no-cache'] })).toEqual(['3 ', '3 second 3 '])
    expect(await build(step(4, ',mode=0700'))).toEqual(['3 second 3 4 ', '3 second 3 4 second 4 '])
    expect(cachesOf('anew')).toHaveLength(2)
  })

  it('MNT-01: a source that is a symlink does not lead out of the cache', async () => {
    const canary = makeCanary()
    const before = describeTree(canary)
    await build([
      header,
      `RUN --mount=type=cache,id=escape,target=/cache ln -s ${canary} /cache/sel && ln -s / /cache/root && ln -s .. /cache/up`,
    ])
    const stderr = await failure([
      header,
      'RUN --mount=type=cache,id=escape,source=sel,target=/sel cat /sel/kept && touch /sel/evil',
    ])
    expect(stderr).toContain('[ERR_MOUNT_SOURCE_INVALID]')
    for (const source of ['root', 'up', 'up/../../..', '/root/root']) {
      expect(
        await build([header, `RUN --mount=type=cache,id=escape,source=${source},target=/sel ls /sel`]),
      ).toEqual(['root', 'sel', 'up'])
    }
    expect(describeTree(canary)).toEqual(before)
    rmSync(canary, { recursive: true })
  })

  it('MNT-03: ids are no paths', async () => {
    const before = readdirSync(workspace.folder).toSorted()
    const ids = [
      '../x',
      '/etc',
      'a/../../b',
      '../../../../../../etc/passwd',
      '.',
      '..',
      'x'.repeat(5000),
      'caf\u00e9',
      'cafe\u0301',
    ]
    for (const [index, id] of ids.entries()) {
      const lines = await build([
        header,
        `RUN --mount=type=cache,id=${id},target=/c test -z "$(ls /c)" && echo ${index} > /c/${index} && ls /c`,
      ])
      expect(lines).toEqual([`${index}`])
      expect(cachesOf(id)).toHaveLength(1)
    }
    expect(
      readdirSync(workspace.folder)
        .filter((name) => !name.startsWith('context-'))
        .toSorted(),
    ).toEqual(before.filter((name) => !name.startsWith('context-')))
  })

  it('MNT-08: a pull request gets a copy of what main has, and never changes that', async () => {
    const step = (command: string) => [header, `RUN --mount=type=cache,id=npm,target=/npm ${command}`]
    const inScope = (scope: string) => ({ args: ['--scope', scope] })
    await build(
      step(
        'mkdir -p /npm/.bin && echo good > /npm/.bin/tool && ln /npm/.bin/tool /npm/link && chown -R 7:8 /npm',
      ),
    )
    const [main = ''] = cachesOf('npm')
    const before = describeTree(join(main, 'fs'))
    const hostile =
      'cat /npm/.bin/tool && stat -c %u:%g /npm/link && echo evil > /npm/.bin/tool && echo evil >> /npm/link && mknod /npm/sda b 8 0; ln -s / /npm/root; rm -rf /npm/.bin; mkdir -p /npm/.bin && echo evil > /npm/.bin/evil; chmod 4777 /npm; echo done'
    expect(await build(step(hostile), inScope('pr/7'))).toEqual(['good', '7:8', 'done'])
    expect(describeTree(join(main, 'fs'))).toEqual(before)
    expect(await build(step('ls -A /npm/.bin && echo pr7'), { env: { TSBUILD_SCOPE: 'pr/7' } })).toEqual([
      'evil',
      'pr7',
    ])
    expect(await build(step('ls -A /npm/.bin && echo pr8'), inScope('pr/8'))).toEqual(['tool', 'pr8'])
    expect(await build(step('cat /npm/.bin/tool && echo main'))).toEqual(['good', 'main'])
    expect(describeTree(join(main, 'fs'))).toEqual(before)
  })
})

describe('two builds at once on one cache mount', () => {
  /** Starts a build whose step says that it is there, and goes on when it is told to. */
  function startHolder(id: string, sharing: string) {
    const name = `signal-${id}`
    // The id and the sharing do not count in the key of a step, so its command has to.
    const step = `: ${id}; echo a1 >> /c/log; touch /signal/here; until [ -e /signal/go ]; do sleep 0.05; done; echo a2 >> /c/log`
    const mounts = `--mount=type=cache,id=${id},target=/c,sharing=${sharing} --mount=type=cache,id=${name},target=/signal`
    const running = workspace.tsbuild.start([
      '--progress',
      'plain',
      '--network',
      'none',
      project([header, `RUN ${mounts} ${step}`]),
    ])
    const signals = async () => {
      for (;;) {
        const [found] = existsSync(join(workspace.tsbuild.root, 'v1', 'mounts')) ? cachesOf(name) : []
        if (found !== undefined && existsSync(join(found, 'fs', 'here'))) return join(found, 'fs')
        if (running.child.exitCode !== null) throw new Error((await running.outcome).stderr)
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
    return { running, signals, name }
  }

  it('locked: the second waits and says so', async () => {
    const first = startHolder('lock', 'locked')
    const signals = await first.signals()
    const second = workspace.tsbuild.start([
      ...['--progress', 'plain', '--network', 'none'],
      project([
        header,
        'RUN --mount=type=cache,id=lock,target=/c,sharing=locked echo b >> /c/log; cat /c/log',
      ]),
    ])
    await second.saw(/waiting: another step uses the cache mount "lock"/)
    writeFileSync(join(signals, 'go'), '')
    const [{ code }, { stderr, code: secondCode }] = await Promise.all([
      first.running.outcome,
      second.outcome,
    ])
    expect([code, secondCode]).toEqual([0, 0])
    expect(stderr).toMatch(/ a1\n.* a2\n.* b\n/)
  })

  it('locked: a killed build lets go', async () => {
    const first = startHolder('killed', 'locked')
    await first.signals()
    const second = build([
      header,
      'RUN --mount=type=cache,id=killed,target=/c,sharing=locked echo survivor >> /c/log; cat /c/log',
    ])
    first.running.child.kill('SIGKILL')
    expect(await second).toEqual(['a1', 'survivor'])
    await first.running.outcome
  })

  it('shared: both are in one directory at a time', async () => {
    const first = startHolder('share', 'shared')
    await first.signals()
    const mounts = '--mount=type=cache,id=share,target=/c --mount=type=cache,id=signal-share,target=/signal'
    const lines = await build([header, `RUN ${mounts} cat /c/log; echo b >> /c/log; touch /signal/go`])
    expect(lines).toEqual(['a1'])
    expect((await first.running.outcome).code).toBe(0)
    const [found = ''] = cachesOf('share')
    expect(readFileSync(join(found, 'fs', 'log'), 'utf8')).toBe('a1\nb\na2\n')
  })

  it('private: the second has a directory of its own', async () => {
    const first = startHolder('alone', 'private')
    await first.signals()
    const mounts =
      '--mount=type=cache,id=alone,target=/c,sharing=private --mount=type=cache,id=signal-alone,target=/signal'
    expect(
      await build([header, `RUN ${mounts} ls -A /c; echo b >> /c/log; cat /c/log; touch /signal/go`]),
    ).toEqual(['b'])
    expect((await first.running.outcome).code).toBe(0)
    const logs = cachesOf('alone').map((path) => readFileSync(join(path, 'fs', 'log'), 'utf8'))
    expect(logs.toSorted()).toEqual(['a1\na2\n', 'b\n'])
  })

  it('locked: steps that want two directories in another order do not wait for each other for good', async () => {
    const both = (a: string, b: string) => [
      header,
      `RUN --mount=type=cache,id=${a},target=/1,sharing=locked --mount=type=cache,id=${b},target=/2,sharing=locked sleep 0.2; echo ${a}${b}`,
    ]
    const rounds = Array.from({ length: 3 }, (_, round) => [
      build([...both('x', 'y'), `RUN echo ${round}`]),
      build([...both('y', 'x'), `RUN echo ${round}`]),
    ])
    await Promise.all(rounds.flat())
  })
})

describe('mounts of a step that fails', () => {
  it('are let go of, and nothing of them is left', async () => {
    const mounts =
      '--mount=type=cache,id=failing,target=/c,sharing=locked --mount=target=/in,rw --mount=type=tmpfs,target=/t'
    const stderr = await failure([
      header,
      `RUN ${mounts} echo x > /c/x; echo x > /in/x; echo x > /t/x; exit 3`,
    ])
    expect(stderr).toContain('exit code: 3')
    expect(await build([header, 'RUN --mount=type=cache,id=failing,target=/c,sharing=locked ls /c'])).toEqual(
      ['x'],
    )
    expect(readdirSync(join(workspace.tsbuild.root, 'v1', 'ingest'))).toEqual([])
  })
})

describe('a cache mount that cannot be made', () => {
  it('is refused with the path in a store that cannot be written to', async () => {
    const mounts = join(workspace.tsbuild.root, 'v1', 'mounts')
    const kept = `${mounts}.kept`
    renameSync(mounts, kept)
    writeFileSync(mounts, '')
    try {
      const { code, stderr } = await workspace.tsbuild.run([
        ...['--progress', 'plain', '--network', 'none'],
        project([header, 'RUN --mount=type=cache,target=/nowhere true']),
      ])
      expect(stderr).toMatch(/Cannot .*v1\/mounts.*\[ERR_STORE_IO\]/)
      expect(code).toBe(3)
    } finally {
      rmSync(mounts)
      renameSync(kept, mounts)
    }
  })
})
