import { rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { type Dockerd, startDockerd } from '../support/dockerd.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { run, tsbuildWith } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

/*
 * One cache for tsbuild and for the BuildKit that is in Debian's docker.io: version 0.8, which has inline caches and reads
 * indexes. What other versions share is in docs/dev/buildkit-cache.md.
 */
let workspace: Workspace
let registry: RegistryProcess
let dockerd: Dockerd | undefined
let context: string

/** Every step leaves a file, so that a cut-off makes none of them look cached. */
const dockerfile = (host: string) =>
  [
    `FROM ${host}/busybox:test AS base`,
    'ARG VERSION=1.2',
    'ENV COLOR=blue PATH=/opt/bin:$PATH',
    'WORKDIR /work',
    'RUN echo $VERSION $COLOR > version',
    'COPY word ./',
    'FROM base',
    'USER web',
    'WORKDIR /home/web',
    'RUN id -u > id && echo "a & b < c" > signs',
    'USER root',
    'RUN ["/bin/sh", "-c", "echo exec form > exec"]',
    'COPY --chown=web:web src /src',
    'COPY --chown=1000:1000 *.md /docs/',
    'COPY . /all/',
    'ADD word /added/',
    'RUN --mount=type=cache,target=/root/.cache echo cached > /cached',
    'RUN --mount=type=bind,source=src,target=/mnt cat /mnt/a.txt > /bound',
  ].join('\n')
const steps = 12

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('buildkit-cache')
  registry = await startRegistry(workspace.path('registry'))
  const base = workspace.context('base', { Dockerfile: 'FROM busybox:test\n' })
  await workspace.tsbuild.check(['-q', '--push', '-t', `${registry.host}/busybox:test`, base])
  context = workspace.context('app', {
    Dockerfile: dockerfile(registry.host),
    '.dockerignore': '*.log\n',
    'left-out.log': 'a\n',
    word: 'hello\n',
    'src/a.txt': 'a\n',
    'src/sub/b.txt': 'b\n',
    'one.md': 'one\n',
    'two.md': 'two\n',
  })
})
afterAll(async () => {
  await dockerd?.stop()
  await registry?.stop()
  await workspace?.remove()
})

async function started(t: TestContext): Promise<Dockerd> {
  needs(t, 'root', 'program dockerd', 'program docker-registry')
  dockerd ??= await startDockerd(workspace.path('docker'))
  return dockerd
}

/** Builds with Docker's BuildKit, of which nothing is kept from before; the names of the steps that it took from the cache. */
async function dockerBuild(args: readonly string[]): Promise<readonly string[]> {
  const host = ['--host', `unix://${workspace.path('docker', 'socket')}`]
  const env = { DOCKER_BUILDKIT: '1', HOME: workspace.path('home') }
  await run('/usr/bin/docker', [...host, 'builder', 'prune', '--all', '--force'], { env })
  const build = [...host, 'build', '--progress', 'plain', '--network', 'none', ...args, context]
  const { code, stderr } = await run('/usr/bin/docker', build, { env })
  if (code !== 0) throw new Error(stderr)
  const cached = [...stderr.matchAll(/^(#\d+) CACHED$/gm)].map(([, place]) => place)
  const named = [...stderr.matchAll(/^(#\d+) (\[.*\] .*)$/gm)]
  return [...new Set(named.filter(([, place]) => cached.includes(place)).map(([, , name = '']) => name))]
}

/** Builds into a store that knows nothing but what the cache has. */
async function tsbuild(args: readonly string[]): Promise<string> {
  rmSync(workspace.path('other'), { recursive: true, force: true })
  const fresh = tsbuildWith(workspace.path('other'))
  const { stderr } = await fresh.run(['--progress', 'plain', '--network', 'none', ...args, context])
  return stderr
}

describe('docker build with an inline cache', { timeout: 60_000 }, () => {
  const image = () => `${registry.host}/app:inline`

  it('leaves steps that tsbuild takes', async (t) => {
    const { docker } = await started(t)
    await dockerBuild(['--build-arg', 'BUILDKIT_INLINE_CACHE=1', '-t', image()])
    await docker(['push', '--quiet', image()])
    const from = ['--cache-from', `type=registry,ref=${image()}`]
    const output = workspace.path('from-docker')
    const told = await tsbuild([...from, '-o', `type=local,dest=${output}`])
    // The files that a mount shows are copied: that is no step of BuildKit's.
    expect(told).toContain(`${steps} cached, 1 run`)
    const found = await run(
      'cat',
      ['work/version', 'bound', 'home/web/signs'].map((name) => `${output}/${name}`),
    )
    expect(found.stdout).toBe('1.2 blue\na\na & b < c\n')
  })

  it('leaves nothing for files that are others by now', async (t) => {
    await started(t)
    writeFileSync(`${context}/word`, 'another\n')
    try {
      const told = await tsbuild(['--cache-from', `type=registry,ref=${image()}`, '-t', 'app:other'])
      expect(told).toContain('2 cached')
    } finally {
      writeFileSync(`${context}/word`, 'hello\n')
    }
  })
})

describe('tsbuild with a cache in a registry', { timeout: 60_000 }, () => {
  it('leaves steps that docker build takes', async (t) => {
    const { docker } = await started(t)
    const ref = `${registry.host}/app:cache`
    await tsbuild(['--cache-to', `type=registry,ref=${ref},mode=max,image-manifest=false`, '-t', 'app:own'])
    const taken = await dockerBuild(['--cache-from', ref, '-t', 'app:docker'])
    expect(taken).toHaveLength(steps)
    // With BuildKit 0.8 two records of one result gave an image without its upper layers.
    const read = [
      'run',
      '--rm',
      '--network',
      'none',
      'app:docker',
      'cat',
      '/work/version',
      '/bound',
      '/docs/two.md',
    ]
    expect(await docker(read)).toBe('1.2 blue\na\ntwo\n')
  })

  it('leaves them in an image that it pushes, too', async (t) => {
    const { docker } = await started(t)
    const image = `${registry.host}/app:carries`
    await tsbuild(['--cache-to', 'type=inline', '--push', '-t', image])
    expect(await dockerBuild(['--cache-from', image, '-t', 'app:carried'])).toHaveLength(steps)
    const read = ['run', '--rm', '--network', 'none', 'app:carried', 'cat', '/bound', '/docs/two.md']
    expect(await docker(read)).toBe('a\ntwo\n')
  })

  it('leaves docker build only the steps before one of other files', async (t) => {
    await started(t)
    writeFileSync(`${context}/src/a.txt`, 'another\n')
    try {
      const taken = await dockerBuild(['--cache-from', `${registry.host}/app:cache`, '-t', 'app:other'])
      expect(taken).toHaveLength(6)
    } finally {
      writeFileSync(`${context}/src/a.txt`, 'a\n')
    }
  })
})
