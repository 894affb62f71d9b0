import { cpSync, readFileSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { repository } from '../support/repository.ts'
import type { Steps } from '../support/tsbuild.ts'
import { openDebianWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let context: string
let first: Steps

beforeAll(async () => {
  workspace = await openDebianWorkspace('hello')
  context = workspace.path('hello-c')
  cpSync(join(repository, 'examples/hello-c'), context, { recursive: true })
  first = await workspace.tsbuild.build(['-t', 'hello:1.0', context])
})
afterAll(() => workspace?.remove())

const build = () => workspace.tsbuild.build(['-t', 'hello:1.0', context])
const touch = (name: string) => utimesSync(join(context, name), new Date(0), new Date(1_700_000_000_000))

describe('tsbuild on examples/hello-c', () => {
  it('executes every step the first time', () => {
    expect(first.cached).toEqual([])
    expect(first.executed.map((name) => /(RUN|COPY|WORKDIR)/.exec(name)?.[0]).toSorted()).toEqual([
      'COPY',
      'COPY',
      'RUN',
      'RUN',
      'WORKDIR',
    ])
  })

  it('makes an image that runs', async () => {
    expect(await workspace.tsbuild.check(['run', 'hello:1.0'])).toBe('Hello, world!\n')
    expect(await workspace.tsbuild.check(['run', 'hello:1.0', 'Debian', 'C'])).toBe(
      'Hello, Debian!\nHello, C!\n',
    )
  })

  it('lists the image', async () => {
    expect(await workspace.tsbuild.check(['images'])).toMatch(/^hello +1\.0 /m)
  })

  it('executes nothing when nothing changed', async () => {
    const again = await build()
    expect(again.executed).toEqual([])
    expect(again.failed).toEqual([])
    expect(again.cached.length).toBeGreaterThan(0)
  })

  it('executes nothing when files were only touched', async () => {
    touch('hello.c')
    touch('greeting.h')
    expect((await build()).executed).toEqual([])
  })

  it('executes nothing when a file that .dockerignore hides changed', async () => {
    writeFileSync(join(context, 'README.md'), 'changed\n')
    expect((await build()).executed).toEqual([])
  })

  it('executes only what reads it when one file changed', async () => {
    const header = join(context, 'greeting.h')
    const before = readFileSync(header, 'utf8')
    writeFileSync(header, '#define GREETING "Good morning"\n')
    const changed = await build()
    expect(changed.executed.filter((name) => name.includes('apt-get'))).toEqual([])
    expect(changed.executed.some((name) => name.includes('gcc -O2'))).toBe(true)
    expect(await workspace.tsbuild.check(['run', 'hello:1.0'])).toBe('Good morning, world!\n')
    writeFileSync(header, before)
    expect((await build()).executed).toEqual([])
    expect(await workspace.tsbuild.check(['run', 'hello:1.0'])).toBe('Hello, world!\n')
  })

  it('executes no compiler when the source changed in a comment only that the compiler does not see', async () => {
    // The program's bytes are the same, so the stage that copies it is found by its content.
    writeFileSync(join(context, 'greeting.h'), '/* polite */\n#define GREETING "Hello"\n')
    const changed = await build()
    expect(changed.executed.some((name) => name.includes('gcc -O2'))).toBe(true)
    expect(changed.executed.filter((name) => name.includes('COPY --from'))).toEqual([])
  })

  it('executes everything with --no-cache', async () => {
    const again = await workspace.tsbuild.build([
      '--no-cache',
      '--target',
      'build',
      '-f',
      dockerfile(),
      context,
    ])
    expect(again.cached).toEqual([])
    expect(again.executed).toHaveLength(1)
  })

  it('leaves an archive that skopeo reads, with the config of the Dockerfile', async (t) => {
    needs(t, 'program skopeo')
    const archive = workspace.path('hello.tar')
    await workspace.tsbuild.check(['-q', '-t', 'hello:1.0', '-o', `type=oci,dest=${archive}`, context])
    const { check } = await import('../support/tsbuild.ts')
    const config = JSON.parse(await check('skopeo', ['inspect', '--config', `oci-archive:${archive}`]))
    expect(config.config).toMatchObject({
      Entrypoint: ['/hello'],
      Cmd: ['world'],
      User: '65534:65534',
      Labels: { 'org.opencontainers.image.title': 'hello' },
    })
  })
})

/** A Dockerfile with one cheap step, for what does not need the compiler. */
function dockerfile(): string {
  const path = workspace.path('no-cache.Dockerfile')
  writeFileSync(path, 'FROM debian:bookworm AS build\nRUN cat /etc/debian_version\n')
  return path
}
