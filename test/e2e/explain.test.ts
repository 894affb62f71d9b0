import { chmodSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { createRepository, type SourceServer, startSourceServer } from '../support/source-server.ts'
import { check, command, readSteps, run, type Steps } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace, writeFiles } from '../support/workspace.ts'

let workspace: Workspace
let server: SourceServer
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('explain')
  server = await startSourceServer(workspace.path('git'))
})
afterAll(async () => {
  await server?.stop()
  await workspace?.remove()
})

/** Of each step that missed, by its instruction: the code and the text. */
type Misses = Readonly<Record<string, string>>

function missesOf({ events }: Steps): Misses {
  const names = new Map(
    events.flatMap((event) => (event.type === 'vertex.planned' ? [[event.vertex, event.name] as const] : [])),
  )
  return Object.fromEntries(
    events.flatMap((event) => {
      const step = event.type === 'vertex.missed' ? (names.get(event.vertex) ?? '') : ''
      if (event.type !== 'vertex.missed' || step.includes('WORKDIR /project-')) return []
      const name = step.replace(/^\[[^\]]*\] /, '').replace(/ \(.*$/s, '')
      return [[name, `${event.reason.code}: ${event.reason.text}`]]
    }),
  )
}

interface Change {
  readonly title: string
  /** Beside a Dockerfile of its own, `FROM busybox:test` in front. */
  readonly files?: Readonly<Record<string, string>>
  readonly dockerfile: readonly string[]
  readonly flags?: readonly string[]
  /** What happens between the two builds; gives the flags of the second where they are others. */
  readonly change: (context: string) => unknown
  readonly expected: Misses
}

const from = 'FROM busybox:test'
/** Writes files anew. */
const rewrite = (files: Readonly<Record<string, string>>) => (context: string) =>
  void writeFiles(context, files)
const dockerfile = (...lines: readonly string[]) => rewrite({ Dockerfile: lines.join('\n') })
const flags =
  (...given: readonly string[]) =>
  () =>
    given
const copyOf = (
  files: Readonly<Record<string, string>>,
  change: Change['change'],
  why: string,
  title: string,
) => ({
  title,
  files,
  dockerfile: [from, 'COPY src /src', 'RUN ls /src'],
  change,
  expected: {
    'COPY src /src': why,
    'RUN ls /src': `input: after COPY src /src (${why.replace(/^\w+: /, '')})`,
  },
})

const changes: readonly Change[] = [
  copyOf(
    { 'src/a': '1', 'src/b': '1' },
    rewrite({ 'src/a': '2' }),
    'files: a changed',
    'the content of a file',
  ),
  copyOf(
    { 'src/a': '1' },
    rewrite({ 'src/d/b': '2' }),
    'files: d added and 1 more',
    'a file and its folder added',
  ),
  copyOf(
    { 'src/a': '1', 'src/b': '1' },
    (context) => rmSync(join(context, 'src/b')),
    'files: b removed',
    'a file removed',
  ),
  copyOf(
    { 'src/a': '1' },
    (context) => renameSync(join(context, 'src/a'), join(context, 'src/z')),
    'files: a removed and 1 more',
    'a file renamed',
  ),
  copyOf(
    { 'src/run.sh': '#!/bin/sh' },
    (context) => chmodSync(join(context, 'src/run.sh'), 0o755),
    'files: run.sh mode 0644 → 0755',
    'the mode of a file',
  ),
  copyOf(
    { 'src/a': '1', 'src/b': '1', '.dockerignore': '' },
    rewrite({ '.dockerignore': 'src/b\n' }),
    'files: b removed',
    '.dockerignore',
  ),
  copyOf(
    Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`src/f${index}`, '1'])),
    (context) => {
      for (const index of [1, 2, 3, 4]) writeFileSync(join(context, `src/f${index}`), '2')
    },
    'files: f1 changed and 3 more',
    'several files',
  ),
  {
    title: 'the value of a build argument',
    dockerfile: [from, 'ARG VERSION', 'RUN echo $VERSION'],
    flags: ['--build-arg', 'VERSION=1'],
    change: flags('--build-arg', 'VERSION=2'),
    expected: { 'RUN echo $VERSION': 'arg: ARG VERSION 1 → 2' },
  },
  {
    title: 'the default of a build argument',
    dockerfile: [from, 'ARG VERSION=1', 'RUN echo $VERSION'],
    change: dockerfile(from, 'ARG VERSION=2', 'RUN echo $VERSION'),
    expected: { 'RUN echo $VERSION': 'arg: ARG VERSION 1 → 2' },
  },
  {
    title: 'a build argument more',
    dockerfile: [from, 'RUN echo more'],
    change: dockerfile(from, 'ARG VERSION=2', 'RUN echo more'),
    expected: { 'RUN echo more': 'arg: ARG VERSION=2 is new' },
  },
  {
    title: 'a build argument less',
    dockerfile: [from, 'ARG VERSION=2', 'RUN echo less'],
    change: dockerfile(from, 'RUN echo less'),
    expected: { 'RUN echo less': 'arg: ARG VERSION is gone' },
  },
  {
    title: 'a build argument with the name of a secret, whose value is not shown',
    dockerfile: [from, 'ARG API_TOKEN', 'RUN echo token'],
    flags: ['--build-arg', 'API_TOKEN=canary-1'],
    change: flags('--build-arg', 'API_TOKEN=canary-2'),
    expected: { 'RUN echo token': 'arg: ARG API_TOKEN changed' },
  },
  {
    title: 'a variable',
    dockerfile: [from, 'ENV MODE=fast', 'RUN echo $MODE'],
    change: dockerfile(from, 'ENV MODE=slow', 'RUN echo $MODE'),
    expected: { 'RUN echo $MODE': 'env: ENV MODE fast → slow' },
  },
  {
    title: 'the working directory',
    dockerfile: [from, 'WORKDIR /old', 'RUN pwd'],
    change: dockerfile(from, 'WORKDIR /new', 'RUN pwd'),
    expected: {
      'WORKDIR /new': 'instruction: WORKDIR /old → /new',
      'RUN pwd': 'instruction: WORKDIR /old → /new and 1 more',
    },
  },
  {
    title: 'the user',
    dockerfile: [from, 'USER root', 'RUN id'],
    change: dockerfile(from, 'USER web', 'RUN id'),
    expected: { 'RUN id': 'instruction: USER root → web' },
  },
  {
    title: 'the shell',
    dockerfile: [from, 'RUN echo shell'],
    change: dockerfile(from, 'SHELL ["/bin/sh", "-ec"]', 'RUN echo shell'),
    expected: { 'RUN echo shell': 'instruction: SHELL was "/bin/sh -c"' },
  },
  {
    title: 'the command',
    dockerfile: [from, 'RUN echo one'],
    change: dockerfile(from, 'RUN echo two'),
    expected: { 'RUN echo two': 'instruction: the command was "echo one"' },
  },
  {
    title: 'a line inserted before others',
    dockerfile: [from, 'RUN echo first', 'RUN echo second'],
    change: dockerfile(from, 'RUN echo first', 'RUN echo between > /between', 'RUN echo second'),
    expected: {
      'RUN echo between > /between': 'first-build: first build',
      'RUN echo second': 'input: after RUN echo between > /between (first build)',
    },
  },
  {
    title: 'a line of a heredoc',
    dockerfile: [from, 'RUN <<EOF', 'set -e', 'echo one', 'echo last', 'EOF'],
    change: dockerfile(from, 'RUN <<EOF', 'set -e', 'echo two', 'echo last', 'EOF'),
    expected: { 'RUN <<EOF': 'instruction: line 2 was "echo one"' },
  },
  {
    title: 'a file in the Dockerfile',
    dockerfile: [from, 'COPY <<EOF /motd', 'one', 'EOF'],
    change: dockerfile(from, 'COPY <<EOF /motd', 'two', 'EOF'),
    expected: { 'COPY <<EOF /motd': 'instruction: line 1 was "one"' },
  },
  {
    title: 'an option of a mount',
    dockerfile: [from, 'RUN --mount=type=tmpfs,target=/t echo tmpfs'],
    change: dockerfile(from, 'RUN --mount=type=tmpfs,target=/t,size=1048576 echo tmpfs'),
    expected: {
      'RUN --mount=type=tmpfs,target=/t,size=1048576 echo tmpfs':
        'instruction: mount /t sizeBytes none → 1048576',
    },
  },
  {
    title: 'a mount more',
    dockerfile: [from, 'RUN echo mount'],
    change: dockerfile(from, 'RUN --mount=type=tmpfs,target=/t echo mount'),
    expected: { 'RUN --mount=type=tmpfs,target=/t echo mount': 'instruction: mount /t is new' },
  },
  {
    title: 'a file of a bind mount',
    files: { 'src/a': '1' },
    dockerfile: [from, 'RUN --mount=target=/m,source=src cat /m/a'],
    change: rewrite({ 'src/a': '2' }),
    expected: {
      'mount /src': 'files: a changed',
      'RUN --mount=target=/m,source=src cat /m/a': 'files: a changed',
    },
  },
  {
    title: 'the id of a cache mount',
    dockerfile: [from, 'RUN --mount=type=cache,target=/c,id=a echo id'],
    change: dockerfile(from, 'RUN --mount=type=cache,target=/c,id=b echo id'),
    expected: { 'RUN --mount=type=cache,target=/c,id=b echo id': 'instruction: mount /c id a → b' },
  },
  {
    title: 'a secret whose content counts, and not the content',
    files: { npm: 'canary-1' },
    dockerfile: [from, 'RUN --mount=type=secret,id=npm,cache=content echo secret'],
    flags: ['--secret', 'id=npm,src=npm'],
    change: rewrite({ npm: 'canary-2' }),
    expected: { 'RUN --mount=type=secret,id=npm,cache=content echo secret': 'secret: secret npm changed' },
  },
  {
    title: 'a step that is never taken from the cache',
    dockerfile: ['# tsbuild=cache-control', from, 'RUN --cache=off echo off'],
    change: () => undefined,
    expected: { 'RUN --cache=off echo off': 'forced: RUN --cache=off' },
  },
  {
    title: 'a record that is too old',
    dockerfile: ['# tsbuild=cache-control', from, 'RUN --cache=ttl=1ms echo ttl'],
    change: () => undefined,
    expected: { 'RUN --cache=ttl=1ms echo ttl': 'expired: ttl over, recorded just now' },
  },
  {
    title: 'the platform',
    dockerfile: ['FROM scratch', 'WORKDIR /src', 'COPY a /a'],
    files: { a: '1' },
    flags: ['--platform', 'linux/amd64'],
    change: (context) => {
      writeFileSync(join(context, 'a'), '2')
      return ['--platform', 'linux/arm64']
    },
    expected: { 'COPY a /a': 'files: a changed' },
  },
  {
    title: '--chmod',
    files: { a: '1' },
    dockerfile: [from, 'COPY a /a'],
    change: dockerfile(from, 'COPY --chmod=600 a /a'),
    expected: { 'COPY --chmod=600 a /a': 'instruction: --chmod none → 600' },
  },
  {
    title: '--chown',
    files: { a: '1' },
    dockerfile: [from, 'COPY --chown=root a /a'],
    change: dockerfile(from, 'COPY --chown=web a /a'),
    expected: { 'COPY --chown=web a /a': 'instruction: --chown root → web' },
  },
  {
    title: 'the destination',
    files: { a: '1' },
    dockerfile: [from, 'COPY a /a'],
    change: dockerfile(from, 'COPY a /b'),
    expected: { 'COPY a /b': 'instruction: destination /a → /b' },
  },
  {
    title: 'the source',
    files: { a: '1', b: '1' },
    dockerfile: [from, 'COPY a /x/'],
    change: dockerfile(from, 'COPY b /x/'),
    expected: { 'COPY b /x/': 'instruction: sources a → b and 2 more' },
  },
  {
    title: 'a stage below',
    dockerfile: [`${from} AS low`, 'RUN echo low > /low', 'FROM low', 'RUN cat /low'],
    change: dockerfile(`${from} AS low`, 'RUN echo lower > /low', 'FROM low', 'RUN cat /low'),
    expected: {
      'RUN echo lower > /low': 'instruction: the command was "echo low > /low"',
      'RUN cat /low': 'input: after RUN echo lower > … (the command was "echo low > /low")',
    },
  },
  {
    title: 'what COPY --from reads',
    files: { a: '1' },
    dockerfile: [`${from} AS low`, 'COPY a /low/a', from, 'COPY --from=low /low /low'],
    change: rewrite({ a: '2' }),
    expected: { 'COPY a /low/a': 'files: a changed', 'COPY --from=low /low /low': 'files: a changed' },
  },
  {
    title: '--add-host',
    dockerfile: [from, 'RUN cat /etc/hosts'],
    change: flags('--add-host', 'db:10.0.0.1'),
    expected: { 'RUN cat /etc/hosts': 'instruction: --add-host none → db' },
  },
  {
    title: '--network',
    dockerfile: [from, 'RUN echo network'],
    change: flags('--network', 'none'),
    expected: { 'RUN echo network': 'instruction: network default → none' },
  },
  {
    title: '--shm-size',
    dockerfile: [from, 'RUN echo shm'],
    change: flags('--shm-size', '128m'),
    expected: { 'RUN echo shm': 'instruction: --shm-size none → 134217728' },
  },
  {
    title: '--ulimit',
    dockerfile: [from, 'RUN ulimit -n'],
    flags: ['--ulimit', 'nofile=64:128'],
    change: flags('--ulimit', 'nofile=64:256'),
    expected: { 'RUN ulimit -n': 'instruction: --ulimit nofile 64:128 → 64:256' },
  },
  {
    title: '--no-cache',
    dockerfile: [from, 'RUN echo forced'],
    change: flags('--no-cache'),
    expected: { 'RUN echo forced': 'forced: --no-cache' },
  },
  {
    title: '--no-cache-filter, and what stands on the stage',
    dockerfile: [`${from} AS low`, 'RUN echo filter > /low', 'FROM low AS high', 'RUN cat /low'],
    change: flags('--no-cache-filter', 'low'),
    expected: {
      'RUN echo filter > /low': 'forced: --no-cache-filter',
      'RUN cat /low': 'input: after RUN echo filter > /low (--no-cache-filter)',
    },
  },
]

let count = 0
/** Each project stands on a layer of its own, so that it finds nothing of another one. */
function settle(context: string): void {
  const path = join(context, 'Dockerfile')
  const text = readFileSync(path, 'utf8')
  if (text.includes(`/project-${count}`)) return
  writeFileSync(path, text.replace(/^FROM (busybox:test|scratch).*$/gm, `$&\nWORKDIR /project-${count}`))
}

async function builtTwice({ files = {}, dockerfile: lines, flags: first = [], change }: Change) {
  const context = workspace.context(`change-${++count}`, { Dockerfile: lines.join('\n'), ...files })
  settle(context)
  await workspace.tsbuild.build([...first, context], { cwd: context })
  const changed = change(context)
  const second = Array.isArray(changed) ? changed : first
  settle(context)
  return await workspace.tsbuild.build([...second, context], { cwd: context })
}

describe('the reason of a miss', () => {
  it.each(changes)('names $title', async (change) => {
    expect(missesOf(await builtTwice(change))).toEqual(change.expected)
  })

  it('is the first build where nothing was recorded, in whatever stage', async () => {
    const context = workspace.context('first', { Dockerfile: `${from}\nRUN echo never seen\n` })
    const steps = await workspace.tsbuild.build([context])
    expect(missesOf(steps)).toEqual({ 'RUN echo never seen': 'first-build: first build' })
    expect(missesOf(await workspace.tsbuild.build([context]))).toEqual({})
  })

  it('names a base image that moved, and the step that it begins with', async () => {
    const base = workspace.context('base', { Dockerfile: `${from}\nCOPY a /a\n`, a: '1' })
    const context = workspace.context('upon', { Dockerfile: 'FROM moving:1\nRUN cat /a\nRUN echo after\n' })
    await workspace.tsbuild.check(['-q', '-t', 'moving:1', base])
    await workspace.tsbuild.build([context])
    writeFileSync(join(base, 'a'), '2')
    await workspace.tsbuild.check(['-q', '-t', 'moving:1', base])
    expect(missesOf(await workspace.tsbuild.build([context]))).toEqual({
      'RUN cat /a': 'base-image: base moving:1 moved',
      'RUN echo after': 'input: after RUN cat /a (base moving:1 moved)',
    })
    writeFiles(context, { Dockerfile: `${from}\nRUN cat /a || true\nRUN echo after\n` })
    expect(missesOf(await workspace.tsbuild.build([context]))['RUN cat /a || true']).toBe(
      'base-image: base moving:1 → busybox:test and 1 more',
    )
  })

  it('names what is behind a URL and in a repository', async () => {
    server.put('/url.txt', '1')
    const repository = createRepository(workspace.path('git'), 'moved')
    repository.commit({ file: '1' })
    const remote = `${server.url}/git/moved.git`
    const context = workspace.context('remote', {
      Dockerfile: [from, `ADD ${server.url}/url.txt /url`, `ADD ${remote} /repository`].join('\n'),
    })
    await workspace.tsbuild.build([context])
    server.put('/url.txt', '22')
    repository.commit({ file: '2' })
    expect(missesOf(await workspace.tsbuild.build([context]))).toEqual({
      [`ADD ${server.url}/url.txt /url`]: 'files: url.txt changed',
      [`ADD ${remote} /repository`]: 'files: file changed and 1 more',
    })
  })

  it('says that a record is damaged, that it is gone, and that its files are', async () => {
    const context = workspace.context('damaged', { Dockerfile: `${from}\nRUN echo damaged > /x\n` })
    const missed = async () => Object.values(missesOf(await workspace.tsbuild.build([context])))
    await workspace.tsbuild.build([context])
    for (const path of recordsOf('damaged > /x')) writeFileSync(path, readFileSync(path).subarray(0, -20))
    expect(await missed()).toEqual(['damaged: its record is damaged'])
    for (const path of recordsOf('damaged > /x')) rmSync(path)
    expect(await missed()).toEqual(['damaged: its record is gone'])
    for (const path of recordsOf('damaged > /x')) {
      const { stored } = JSON.parse(readFileSync(path, 'utf8'))
      rmSync(workspace.path('store/v1/snapshots', stored.snapshot), { recursive: true })
    }
    expect(await missed()).toEqual(['damaged: its files are gone'])
  })

  it('is found again when the index is deleted, and when its files are garbage', async () => {
    const context = workspace.context('index', { Dockerfile: `${from}\nARG N\nRUN echo index $N\n` })
    const missed = async (value: string) =>
      Object.values(missesOf(await workspace.tsbuild.build(['--build-arg', `N=${value}`, context])))
    await missed('1')
    rmSync(workspace.path('store/v1/index'), { recursive: true })
    expect(await missed('2')).toEqual(['arg: ARG N 1 → 2'])
    const folder = workspace.path('store/v1/index/steps')
    for (const name of readdirSync(folder)) writeFileSync(join(folder, name), 'garbage')
    expect(await missed('3')).toEqual(['arg: ARG N 2 → 3'])
  })

  it('finds the step of a checkout in another folder', async () => {
    const file = { Dockerfile: `${from}\nARG N\nRUN echo elsewhere $N\n` }
    const build = (folder: string, value: string) =>
      workspace.tsbuild.build(['--build-arg', `N=${value}`, workspace.context(folder, file)])
    await build('checkout-1', '1')
    expect(missesOf(await build('checkout-2', '2'))).toEqual({ 'RUN echo elsewhere $N': 'arg: ARG N 1 → 2' })
  })
})

/** The files of the records whose step has this in its name. */
function recordsOf(text: string): readonly string[] {
  const folder = workspace.path('store/v1/records')
  return readdirSync(folder)
    .flatMap((shard) => readdirSync(join(folder, shard)).map((name) => join(folder, shard, name)))
    .filter((path) => readFileSync(path, 'utf8').includes(text))
}

describe('tsbuild explain', () => {
  const explain = (...args: readonly string[]) => workspace.tsbuild.check(['explain', ...args])

  it('shows the whole comparison of the newest build, and of one step of an earlier one', async () => {
    const context = workspace.context('whole', {
      Dockerfile: [from, 'WORKDIR /whole', 'COPY . /src', 'ARG V=1', 'RUN echo whole'].join('\n'),
      a: '1',
      big: 'x'.repeat(5_000),
    })
    await workspace.tsbuild.build([context])
    writeFiles(context, { a: '2', b: '1' })
    await workspace.tsbuild.build(['--build-arg', 'V=2', context])
    const text = await explain('--context')
    expect(text).toMatch(
      /#\d+ \[3\/4\] COPY \. \/src\n {3}MISS: a changed and 1 more\n {3}compared with the record/,
    )
    expect(text).toContain('       a changed\n       b added\n')
    expect(text).toMatch(/MISS: ARG V 1 → 2 and 1 more\n(.*\n)* {5}ARG V: 1 → 2\n/)
    expect(text).toMatch(/\[3\/4\] COPY \. \/src made something else: sha256:\w{12} → sha256:\w{12}\n/)
    expect(text).toMatch(/\d+ +local +\S+ +\[2\/4\] WORKDIR \/whole\n/)
    expect(text).toMatch(/5kB +big +\[3\/4\] COPY \. \/src\n/)
    await workspace.tsbuild.build(['--build-arg', 'V=2', context])
    expect(await explain()).toContain('Nothing had to run.')
    const report = JSON.parse(await explain('--format', 'json', '^1', 'echo whole'))
    expect(report.misses).toHaveLength(1)
    expect(report.misses[0]).toMatchObject({
      name: '[4/4] RUN echo whole',
      reason: { code: 'arg', text: 'ARG V 1 → 2 and 1 more' },
      differences: [{ kind: 'arg', name: 'V', before: '1', after: '2' }, { kind: 'step' }],
    })
  })

  it('says of a build that is not there, and of a step, that they are not', async () => {
    const build = await workspace.tsbuild.run(['explain', 'nothing'])
    expect([build.code, build.stderr]).toEqual([1, expect.stringContaining('[ERR_BUILD_NOT_FOUND]')])
    const step = await workspace.tsbuild.run(['explain', '^0', 'RUN nothing'])
    expect([step.code, step.stderr]).toEqual([1, expect.stringContaining('[ERR_STEP_NOT_FOUND]')])
  })

  it('says nothing of secrets', async () => {
    const context = workspace.context('quiet', { Dockerfile: `${from}\nARG TOKEN\nRUN echo quiet\n` })
    for (const value of ['canary-1', 'canary-2'])
      await workspace.tsbuild.build(['--build-arg', `TOKEN=${value}`, context])
    const text = `${await explain()}${await explain('--format', 'json')}`
    expect(text).toContain('ARG TOKEN')
    expect(text).not.toContain('canary')
  })
})

describe('a prune', () => {
  it('is what a step that it took is explained with', async () => {
    const own = await openBusyboxWorkspace('explain-prune')
    try {
      const context = own.context('pruned', { Dockerfile: `${from}\nRUN echo pruned\nRUN echo upon\n` })
      await own.tsbuild.build([context])
      await own.tsbuild.check(['prune', '--all', '--force'])
      expect(missesOf(await own.tsbuild.build([context]))).toEqual({
        'RUN echo pruned': expect.stringMatching(/^evicted: evicted just now/),
        'RUN echo upon': expect.stringMatching(/^evicted: evicted just now/),
      })
    } finally {
      await own.remove()
    }
  })
})

describe('as an ordinary user', () => {
  it('names what changed', async (t) => {
    needs(t, 'the user tsbuild-test', 'program newuidmap')
    const own = await openBusyboxWorkspace('explain-user')
    try {
      const context = own.context('user', { Dockerfile: 'FROM scratch\nCOPY src /src\n', 'src/a': '1' })
      await check('chown', ['-R', 'tsbuild-test:', own.folder])
      const user = ['--reuid', 'tsbuild-test', '--regid', 'tsbuild-test', '--init-groups']
      const build = async (...args: readonly string[]) => {
        const env = { TSBUILD_ROOT: own.path('user-store'), HOME: own.path('home') }
        const all = [...user, command, '--progress', 'json', ...args, context]
        const outcome = await run('setpriv', all, { env, cwd: own.folder })
        if (outcome.code !== 0) throw new Error(outcome.stderr)
        return missesOf(readSteps(outcome.stderr))
      }
      expect(await build()).toEqual({ 'COPY src /src': 'first-build: first build' })
      writeFileSync(join(context, 'src/a'), '2')
      expect(await build()).toEqual({ 'COPY src /src': 'files: a changed' })
      chmodSync(join(context, 'src/a'), 0o755)
      expect(await build()).toEqual({ 'COPY src /src': 'files: a mode 0644 → 0755' })
      expect(await build('--no-cache')).toEqual({ 'COPY src /src': 'forced: --no-cache' })
    } finally {
      await own.remove()
    }
  })
})

describe('--progress plain', () => {
  it('says why a step runs below its name, and sums up', async () => {
    const context = workspace.context('plain', {
      Dockerfile: `${from}\nCOPY a /a\nRUN cat /a\n`,
      a: 'plain 1',
    })
    await workspace.tsbuild.build([context])
    writeFileSync(join(context, 'a'), 'plain 2')
    const { stderr } = await workspace.tsbuild.run(['--progress', 'plain', context])
    expect(stderr).toMatch(/#(\d+) \[2\/3\] COPY a \/a\n#\1 MISS: a changed\n#\1 DONE/)
    expect(stderr).toMatch(/#(\d+) \[3\/3\] RUN cat \/a\n#\1 MISS: after COPY a \/a \(a changed\)\n/)
    expect(stderr).toMatch(/\n\n2 steps: 2 run\n$/)
  })

  it('says what a hit saved from a second on, and --progress rawjson knows no misses', async () => {
    const context = workspace.context('saved', { Dockerfile: `${from}\nRUN sleep 1.1\n` })
    const raw = await workspace.tsbuild.run(['--progress', 'rawjson', context])
    expect(raw.stderr).not.toContain('first build')
    const { stderr } = await workspace.tsbuild.run(['--progress', 'plain', context])
    expect(stderr).toMatch(/CACHED \(saved [1-9]\d*\.\ds\)\n/)
    expect(stderr).toMatch(/\n1 step: 1 cached \(saved [1-9]\d*\.\ds\)\n$/)
    const json = await workspace.tsbuild.run(['--progress', 'json', context])
    const saved = readSteps(json.stderr).events.flatMap((event) =>
      event.type === 'vertex.cached' ? (event.savedMs ?? 0) : [],
    )
    expect(saved[0]).toBeGreaterThan(1_000)
  })
})
