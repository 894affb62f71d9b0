import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, type TestContext } from 'vitest'
import { findProgram, needs } from '../support/capabilities.ts'
import { repository } from '../support/repository.ts'
import { check, command, run } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

const isRoot = process.getuid?.() === 0
const binfmt = '/proc/sys/fs/binfmt_misc'
/** In the bytes of an ELF header that nobody reads: so the interpreter is registered for this test's programs alone. */
const mark = Buffer.from('tsb-e2e')
const markAt = 9

const source = `package main

import (
	"fmt"
	"os"
	"runtime"
)

func main() {
	fmt.Println("runs for", runtime.GOARCH)
	if err := os.WriteFile(os.Args[1], []byte(runtime.GOARCH), 0o644); err != nil {
		panic(err)
	}
}
`

let workspace: Workspace
let isMounted = false
const entry = `tsbuild-e2e-${process.pid}`
beforeAll(async () => {
  workspace = openWorkspace('platform')
  if (!isRoot || findProgram('go') === undefined || findProgram('qemu-aarch64-static') === undefined) return
  await check('chown', ['tsbuild-test:', workspace.folder]).catch(() => {})
  await compile()
  if (!existsSync(join(binfmt, 'register'))) {
    await check('mount', ['-t', 'binfmt_misc', 'binfmt_misc', binfmt])
    isMounted = true
  }
  const magic = readFileSync(workspace.path('arm64')).subarray(0, markAt + mark.length)
  const escaped = (bytes: Buffer) =>
    [...bytes].map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`).join('')
  const mask = Buffer.alloc(magic.length, 0xff)
  const line = `:${entry}:M::${escaped(magic)}:${escaped(mask)}:${findProgram('qemu-aarch64-static')}:F`
  writeFileSync(join(binfmt, 'register'), line)
}, 600_000)
afterAll(async () => {
  if (existsSync(join(binfmt, entry))) writeFileSync(join(binfmt, entry), '-1')
  if (isMounted) await check('umount', [binfmt])
  await workspace?.remove()
})

/** Makes `arm64`, and `riscv64`, which is a header and no more. */
async function compile(): Promise<void> {
  const cache = join(repository, '.tsbuild-dev', 'go-cache')
  mkdirSync(cache, { recursive: true })
  writeFileSync(workspace.path('main.go'), source)
  const env = { GOARCH: 'arm64', CGO_ENABLED: '0', GO111MODULE: 'off', GOCACHE: cache, GOFLAGS: '-trimpath' }
  await check('go', ['build', '-o', workspace.path('arm64'), workspace.path('main.go')], {
    env,
    cwd: workspace.folder,
  })
  const program = readFileSync(workspace.path('arm64'))
  const other = Buffer.from(program.subarray(0, 4096))
  mark.copy(program, markAt)
  writeFileSync(workspace.path('arm64'), program)
  // e_machine: EM_RISCV.
  other.writeUInt16LE(243, 18)
  writeFileSync(workspace.path('riscv64'), other)
}

/** Takes an interpreter that this machine has away until the running test has ended. */
function disableInterpreter(name: string): void {
  const path = join(binfmt, name)
  if (!existsSync(path) || !readFileSync(path, 'utf8').startsWith('enabled')) return
  writeFileSync(path, '0')
  onTestFinished(() => writeFileSync(path, '1'))
}

/** A context with the programs and a static busybox of this machine. */
function project(name: string, dockerfile: readonly string[]): string {
  const context = workspace.context(name, { Dockerfile: dockerfile.join('\n') })
  for (const program of ['arm64', 'riscv64']) copyFileSync(workspace.path(program), join(context, program))
  copyFileSync(findProgram('busybox') ?? '/bin/busybox', join(context, 'busybox'))
  return context
}

const needsAll = (t: TestContext) =>
  needs(t, 'root', 'program go', 'program qemu-aarch64-static', 'program busybox')

describe.each(['root', 'an ordinary user'] as const)('--platform as %s', (user) => {
  const needed = (t: TestContext) => {
    needsAll(t)
    if (user === 'an ordinary user') needs(t, 'the user tsbuild-test', 'program newuidmap')
  }
  const tsbuild = (...args: readonly string[]) => {
    const become = ['setpriv', '--reuid', 'tsbuild-test', '--regid', 'tsbuild-test', '--init-groups']
    const [program = command, ...rest] = [...(user === 'root' ? [] : become), command, ...args]
    const env = { TSBUILD_ROOT: workspace.path(`store-${user === 'root' ? 'root' : 'user'}`) }
    return run(program, rest, { env, cwd: '/' })
  }
  const folder = (name: string) => `${name}-${user === 'root' ? 'root' : 'user'}`

  const dockerfile = [
    'FROM --platform=$BUILDPLATFORM scratch AS native',
    'COPY --chmod=755 busybox /busybox',
    'RUN ["/busybox", "sh", "-c", "/busybox uname -m > /machine"]',
    'FROM scratch',
    'ARG TARGETPLATFORM TARGETARCH TARGETVARIANT BUILDPLATFORM',
    'COPY --from=native /machine /machine',
    'COPY --chmod=755 arm64 /program',
    'RUN ["/program", "/made"]',
    'LABEL target=$TARGETPLATFORM arch=$TARGETARCH build=$BUILDPLATFORM',
  ]

  it('runs steps through the interpreter, and stages of the build platform without', async (t) => {
    needed(t)
    const [context, archive] = [
      project(folder('image'), dockerfile),
      workspace.path(`${folder('image')}.tar`),
    ]
    const outcome = await tsbuild(
      '--progress',
      'plain',
      '--platform',
      'linux/arm64',
      '-o',
      `type=tar,dest=${archive}`,
      context,
    )
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(outcome.stderr).toContain('runs for arm64')
    expect(await check('tar', ['-xOf', archive, 'made'])).toBe('arm64')
    expect(await check('tar', ['-xOf', archive, 'machine'])).toBe(await check('uname', ['-m']))
  })

  it('gives the image its platform, and the arguments their values', async (t) => {
    needed(t)
    const archive = workspace.path(`${folder('config')}.tar`)
    const outcome = await tsbuild(
      '--platform',
      'linux/arm64',
      '-t',
      'app:arm',
      '-o',
      `type=oci,dest=${archive}`,
      project(folder('image'), dockerfile),
    )
    expect(outcome.code, outcome.stderr).toBe(0)
    const read = async (path: string) => JSON.parse(await check('tar', ['-xOf', archive, path]))
    const blob = (digest: string) => read(`blobs/sha256/${digest.slice('sha256:'.length)}`)
    const index = await read('index.json')
    const manifest = await blob(index.manifests[0].digest)
    const config = await blob(manifest.config.digest)
    expect(config).toMatchObject({
      os: 'linux',
      architecture: 'arm64',
      config: { Labels: { target: 'linux/arm64', arch: 'arm64' } },
    })
    expect(config.config.Labels.build).not.toBe('linux/arm64')
  })

  it('does not take the step of another platform from the cache', async (t) => {
    needed(t)
    const context = project(folder('cache'), [
      'FROM scratch',
      'COPY --chmod=755 arm64 /program',
      'RUN ["/program", "/made"]',
    ])
    const build = async (platform: string) =>
      (await tsbuild('--progress', 'plain', '--platform', platform, context)).stderr
    expect(await build('linux/arm64')).toContain('runs for arm64')
    expect(await build('linux/arm64')).not.toContain('runs for arm64')
    expect(await build('linux/arm64/v8')).not.toContain('runs for arm64')
    // A pre-check would be wrong: this program runs, whatever the image is for.
    expect(await build('linux/riscv64')).toContain('runs for arm64')
  })

  it('names the interpreter that a program lacks, and how to get one', async (t) => {
    needed(t)
    disableInterpreter('qemu-riscv64')
    const context = project(folder('missing'), [
      'FROM scratch',
      'COPY --chmod=755 riscv64 /program',
      'RUN ["/program"]',
    ])
    const { stderr, code } = await tsbuild('--progress', 'plain', '--platform', 'linux/riscv64', context)
    expect(stderr).toContain('[ERR_STEP_PLATFORM]')
    expect(stderr).toMatch(/riscv64/)
    expect(stderr).toContain('apt-get install qemu-user-static binfmt-support')
    expect(stderr).not.toMatch(/exec format error/i)
    expect(code).toBe(3)
  })

  it('does not take a local image that is for another platform', async (t) => {
    needed(t)
    // Nothing listens there.
    const base = 'localhost:1/base:1'
    const made = await tsbuild(
      '--platform',
      'linux/arm64',
      '-t',
      base,
      project(folder('base'), ['FROM scratch', 'COPY arm64 /']),
    )
    expect(made.code, made.stderr).toBe(0)
    const context = project(folder('upon'), [`FROM ${base}`, 'COPY riscv64 /'])
    const refused = await tsbuild(context)
    expect(refused.stderr).toContain(
      `Cannot use image "${base}" for linux/amd64: the local image is for linux/arm64`,
    )
    expect(refused.code).toBe(1)
    expect((await tsbuild('--platform', 'linux/arm64', context)).code).toBe(0)
    expect((await tsbuild(project(folder('said'), [`FROM --platform=linux/arm64 ${base}`]))).code).toBe(0)
  })

  it.each([
    ['windows/amd64', 1, 'only Linux images can be built'],
    ['linux/a/b/c', 1, 'expected os/architecture'],
    ['linux/', 1, 'expected os/architecture'],
    ['linux/amd64,windows/amd64', 1, 'only Linux images can be built'],
  ])('refuses %s', async (platform, code, text) => {
    const outcome = await tsbuild(
      '--platform',
      platform,
      workspace.context('plain', { Dockerfile: 'FROM scratch\n' }),
    )
    expect([outcome.code, outcome.stderr]).toEqual([code, expect.stringContaining(text)])
  })

  it('bootstrap says what it lacks before it begins', async (t) => {
    needed(t)
    disableInterpreter('qemu-s390x')
    const outcome = await tsbuild('bootstrap', 'debian:bookworm', '--platform', 'linux/s390x')
    expect([outcome.code, outcome.stderr]).toEqual([
      3,
      expect.stringContaining('no interpreter (qemu-s390x)'),
    ])
    expect(outcome.stderr).toContain('apt-get install qemu-user-static')
    const unknown = await tsbuild('bootstrap', 'debian:bookworm', '--platform', 'linux/vax')
    expect([unknown.code, unknown.stderr]).toEqual([
      1,
      expect.stringContaining('Debian has no such architecture'),
    ])
  })
})
