import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { userNames, userOf } from '../support/builder-user.ts'
import { findProgram } from '../support/capabilities.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { check } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let registry: RegistryProcess
let context: string

/** Compiles for a platform what runs on this machine's; nothing of the target runs. */
const dockerfile = [
  'FROM --platform=$BUILDPLATFORM busybox:test AS tools',
  'RUN cat /proc/sys/kernel/random/uuid > /compiler',
  'FROM tools AS build',
  'ARG TARGETPLATFORM TARGETARCH TARGETVARIANT BUILDARCH',
  'COPY source /source',
  'RUN mkdir /out && echo "$BUILDARCH makes $TARGETARCH$TARGETVARIANT of $(cat /source)" > /out/program',
  'FROM scratch AS image',
  'COPY --from=build /out/program /compiler /',
  'CMD ["/program"]',
].join('\n')

const platforms = ['linux/amd64', 'linux/arm64', 'linux/arm/v7', 'linux/s390x']
const asked = ['--platform', platforms.join(',')]
const host = process.arch === 'arm64' ? 'arm64' : 'amd64'

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('platforms')
  registry = await startRegistry(workspace.path('registry'))
  context = workspace.context('app', { Dockerfile: dockerfile, source: 'code' })
})
afterAll(async () => {
  await registry?.stop()
  await workspace?.remove()
})

interface IndexEntry {
  readonly digest: string
  readonly mediaType: string
  readonly platform: { readonly os: string; readonly architecture: string; readonly variant?: string }
}

const rawIndex = async (place: string, ...flags: readonly string[]) =>
  JSON.parse(await check('skopeo', ['inspect', '--raw', ...flags, place])) as {
    readonly mediaType: string
    readonly manifests: readonly IndexEntry[]
  }
const platformsOf = ({ manifests }: { readonly manifests: readonly IndexEntry[] }) =>
  manifests.map(({ platform: { os, architecture, variant } }) =>
    [os, architecture, variant].filter((part) => part !== undefined).join('/'),
  )

describe('a build for several platforms', () => {
  it('runs what is for its own platform once, and says for which platform each step is', async () => {
    const fresh = workspace.context('names', { Dockerfile: dockerfile, source: 'names' })
    const { executed, cached } = await workspace.tsbuild.build([...asked, fresh])
    const shown = (platform: string) =>
      platform === `linux/${host}` ? platform : `linux/${host}->${platform.slice('linux/'.length)}`
    const program =
      '/out && echo "$BUILDARCH makes $TARGETARCH$TARGETVARIANT of $(cat /source)" > /out/program'
    expect(executed.toSorted()).toEqual(
      [
        `[linux/${host} tools 2/2] RUN cat /proc/sys/kernel/random/uuid > /compiler`,
        // It knows its target, and reads nothing of it: one step for all, with the name for the first.
        `[${shown('linux/amd64')} build 1/2] COPY source /source`,
        ...platforms.map((platform) => `[${shown(platform)} build 2/2] RUN mkdir ${program}`),
        ...platforms.map((platform) => `[${platform} image 1/1] COPY --from=build /out/program /compiler /`),
      ].toSorted(),
    )
    expect(cached).toEqual([])
    const again = await workspace.tsbuild.build([...asked, fresh])
    expect(again.executed).toEqual([])
  })

  it('runs the steps of its platforms at a time: each waits for the other', async () => {
    const meeting = workspace.context('meeting', {
      Dockerfile: [
        'FROM --platform=$BUILDPLATFORM busybox:test',
        'ARG TARGETARCH',
        'RUN --mount=type=cache,id=meeting,target=/m touch /m/$TARGETARCH && until [ $(ls /m | wc -l) = 2 ]; do :; done',
      ].join('\n'),
    })
    const flags = ['--platform', 'linux/arm64,linux/s390x', '--step-timeout', '60s']
    expect((await workspace.tsbuild.build([...flags, meeting])).executed).toHaveLength(2)
  })

  it('says once what is wrong for all, and ends for all when one fails', async () => {
    const failing = workspace.context('failing', {
      Dockerfile: [
        'FROM --platform=$BUILDPLATFORM busybox:test AS Build',
        'ARG TARGETARCH',
        'RUN mkdir /out && echo $TARGETARCH > /out/arch && test $TARGETARCH != s390x',
        'FROM scratch',
        'COPY --from=Build /out /',
      ].join('\n'),
    })
    const out = workspace.path('failing-out')
    const outcome = await workspace.tsbuild.run([...asked, '--progress', 'plain', '-o', out, failing])
    expect([outcome.code, outcome.stderr]).toEqual([1, expect.stringContaining('[ERR_STEP_FAILED]')])
    expect(outcome.stderr.match(/StageNameCasing/g)).toHaveLength(1)
    expect(existsSync(out)).toBe(false)
  })

  it('writes an index in the order asked for, and each image is for its platform', async () => {
    const archive = workspace.path('index.tar')
    const order = ['linux/s390x', 'linux/amd64', 'linux/arm/v7']
    const metadata = workspace.path('index.json')
    await workspace.tsbuild.check([
      ...['-q', '--platform', 'linux/s390x', '--platform', 'linux/amd64,linux/arm,linux/s390x'],
      ...['-t', 'app:1.0', '-o', `type=oci,dest=${archive}`, '--metadata-file', metadata, context],
    ])
    const index = await rawIndex(`oci-archive:${archive}`)
    expect(index.mediaType).toBe('application/vnd.oci.image.index.v1+json')
    expect(platformsOf(index)).toEqual(order)
    const said = JSON.parse(readFileSync(metadata, 'utf8'))
    expect(said['containerimage.descriptor'].mediaType).toBe(index.mediaType)
    expect(said).not.toHaveProperty('containerimage.config.digest')
    const layout = workspace.path('all')
    await check('skopeo', ['copy', '--all', `oci-archive:${archive}`, `oci:${layout}:1.0`])
    for (const { digest, platform } of index.manifests) {
      const blob = (name: string) => readFileSync(`${layout}/blobs/sha256/${name.slice(7)}`, 'utf8')
      const config = JSON.parse(blob(JSON.parse(blob(digest)).config.digest))
      expect(config).toMatchObject(platform)
    }
  })

  it('gives the same bytes again, and images that a build for one platform gives', async () => {
    const digests = async (name: string, flags: readonly string[]) => {
      const archive = workspace.path(`${name}.tar`)
      await workspace.tsbuild.check(['-q', ...flags, '-o', `type=oci,dest=${archive}`, context])
      const layout = workspace.path(name)
      await check('skopeo', ['copy', '--all', `oci-archive:${archive}`, `oci:${layout}:x`])
      return {
        bytes: readFileSync(archive),
        index: JSON.parse(readFileSync(`${layout}/index.json`, 'utf8')).manifests[0].digest as string,
        manifests: await rawIndex(`oci-archive:${archive}`),
      }
    }
    const first = await digests('first', asked)
    const second = await digests('second', asked)
    expect(second.bytes.equals(first.bytes)).toBe(true)
    const alone = await digests('alone', ['--platform', 'linux/arm64'])
    expect(first.manifests.manifests.map(({ digest }) => digest)).toContain(alone.index)
  })

  it('is named in the local list, which gives each platform its own', async () => {
    await workspace.tsbuild.check(['-q', ...asked, '-t', 'multi:1', context])
    const reader = workspace.context('reader', { Dockerfile: 'FROM multi:1\n' })
    for (const platform of ['linux/arm64', `linux/${host}`]) {
      const out = workspace.path('reader-out')
      await workspace.tsbuild.check(['-q', '--platform', platform, '-o', out, reader])
      expect(readLine(`${out}/program`)).toBe(`${host} makes ${platform.slice(6)} of code`)
    }
    const other = await workspace.tsbuild.run(['--platform', 'linux/riscv64', reader])
    expect([other.code, other.stderr]).toEqual([1, expect.stringContaining('linux/s390x')])
  })

  it('runs the image of this machine', async () => {
    const named = workspace.context('named', {
      Dockerfile: [
        'FROM --platform=$BUILDPLATFORM busybox:test AS local',
        'ARG TARGETARCH',
        'RUN echo $TARGETARCH > /arch',
        'FROM scratch',
        'COPY --from=local / /',
        'CMD ["cat", "/arch"]',
      ].join('\n'),
    })
    await workspace.tsbuild.check(['-q', '--platform', 'linux/riscv64,local', '-t', 'runs:1', named])
    expect(await workspace.tsbuild.check(['run', 'runs:1'])).toBe(`${host}\n`)
  })

  it('is pushed with all its manifests before its name, and nothing of it twice', async () => {
    const name = `${registry.host}/multi:1`
    registry.forget()
    await workspace.tsbuild.check(['-q', ...asked, '--push', '-t', name, context])
    const puts = registry.requests().filter((line) => /^PUT \S*\/manifests\//.test(line))
    expect(puts).toHaveLength(platforms.length + 1)
    expect(puts.at(-1)).toMatch(/\/manifests\/1 201$/)
    for (const put of puts.slice(0, -1)) expect(put).toMatch(/\/manifests\/sha256:[0-9a-f]{64} 201$/)
    const index = await rawIndex(`docker://${name}`, '--tls-verify=false')
    expect(platformsOf(index)).toEqual(platforms)
    const copied = workspace.path('pulled')
    await check('skopeo', ['copy', '--all', '--src-tls-verify=false', `docker://${name}`, `oci:${copied}:1`])
    await check('skopeo', [
      ...['copy', '--override-arch', 's390x', '--src-tls-verify=false', `docker://${name}`],
      `oci:${workspace.path('one')}:1`,
    ])
    await check('umoci', ['unpack', '--image', `${workspace.path('one')}:1`, workspace.path('bundle')])
    expect(readLine(workspace.path('bundle/rootfs/program'))).toBe(`${host} makes s390x of code`)
    registry.forget()
    await workspace.tsbuild.check(['-q', ...asked, '--push', '-t', name, context])
    expect(registry.requests().filter((line) => /^(POST|PATCH|PUT) \S*\/blobs\//.test(line))).toEqual([])
  })

  it('is pushed as Docker knows it, a manifest list', async () => {
    const name = `${registry.host}/list:1`
    const output = `type=registry,name=${name},oci-mediatypes=false`
    await workspace.tsbuild.check(['-q', ...asked, '-o', output, context])
    const index = await rawIndex(`docker://${name}`, '--tls-verify=false')
    expect(index.mediaType).toBe('application/vnd.docker.distribution.manifest.list.v2+json')
    expect(new Set(index.manifests.map(({ mediaType }) => mediaType))).toEqual(
      new Set(['application/vnd.docker.distribution.manifest.v2+json']),
    )
    const layout = `dir:${workspace.path('list')}`
    await check('skopeo', ['copy', '--all', '--src-tls-verify=false', `docker://${name}`, layout])
  })

  it('is no docker archive, which is said before anything runs', async () => {
    const archive = workspace.path('docker.tar')
    const outcome = await workspace.tsbuild.run([...asked, '-o', `type=docker,dest=${archive}`, context])
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain('[ERR_UNSUPPORTED]')
    expect(outcome.stderr).not.toContain('load build definition')
    expect(existsSync(archive)).toBe(false)
  })
})

describe('files of several platforms', () => {
  const directories = ['linux_amd64', 'linux_arm64', 'linux_arm_v7', 'linux_s390x']

  it('go to a directory for each platform', async () => {
    const out = workspace.path('split')
    await workspace.tsbuild.check(['-q', ...asked, '-o', out, context])
    expect(readdirSync(out).toSorted()).toEqual(directories)
    expect(readLine(`${out}/linux_arm_v7/program`)).toBe(`${host} makes armv7 of code`)
  })

  it('go to such a directory for one platform only when asked, and never through a link that lies there', async () => {
    const out = workspace.path('split-one')
    const elsewhere = workspace.path('elsewhere')
    mkdirSync(out)
    mkdirSync(elsewhere)
    symlinkSync(elsewhere, `${out}/linux_arm64`)
    const output = `type=local,dest=${out},platform-split=true`
    await workspace.tsbuild.check(['-q', '--platform', 'linux/arm64', '-o', output, context])
    expect(readdirSync(out)).toEqual(['linux_arm64'])
    expect(readLine(`${out}/linux_arm64/program`)).toBe(`${host} makes arm64 of code`)
    expect(readdirSync(elsewhere)).toEqual([])
  })

  it('go to one directory when they are the same, and are refused when they differ', async () => {
    const out = workspace.path('together')
    const output = `type=local,dest=${out},platform-split=false`
    const outcome = await workspace.tsbuild.run([...asked, '-o', output, context])
    expect([outcome.code, outcome.stderr]).toEqual([2, expect.stringContaining('both have "/program"')])
    expect(existsSync(out)).toBe(false)
    const same = workspace.context('same', {
      Dockerfile: [
        'FROM --platform=$BUILDPLATFORM busybox:test AS build',
        'ARG TARGETARCH',
        'RUN mkdir -p /out/bin && echo all > /out/bin/all && echo $TARGETARCH > /out/bin/$TARGETARCH',
        'FROM scratch',
        'COPY --from=build /out /',
      ].join('\n'),
    })
    await workspace.tsbuild.check(['-q', '--platform', 'linux/amd64,linux/arm64', '-o', output, same])
    expect(readdirSync(`${out}/bin`).toSorted()).toEqual(['all', 'amd64', 'arm64'])
  })

  const ownedDockerfile = [
    'FROM --platform=$BUILDPLATFORM scratch AS build',
    'COPY --chmod=755 busybox /bin/busybox',
    'ARG TARGETARCH',
    'RUN ["/bin/busybox", "sh", "-c", "cd /; /bin/busybox mkdir out; echo $TARGETARCH > out/arch"]',
    'RUN ["/bin/busybox", "sh", "-c", "cd /out; /bin/busybox chown 123:456 arch; /bin/busybox ln arch hard"]',
    'FROM scratch',
    'COPY --from=build /out /',
  ].join('\n')

  it.for(userNames)(
    'go to one tar as %s, with the owners that they have, and the same bytes again',
    async (name, t) => {
      const user = userOf(name)
      user.needed(t)
      const owned = workspace.context(`owned-${name}`, { Dockerfile: ownedDockerfile })
      copyFileSync(findProgram('busybox') ?? '', `${owned}/busybox`)
      const folder = workspace.path(`tars-${name}`)
      mkdirSync(folder)
      await user.giveTo(folder, owned)
      const [first, second] = [`${folder}/a.tar`, `${folder}/b.tar`]
      for (const dest of [first, second]) {
        const output = `type=tar,dest=${dest}`
        const [program, ...args] = user.commandLine(['-q', ...asked, '-o', output, owned])
        await check(program, args, { env: { TSBUILD_ROOT: `${folder}/store`, HOME: folder }, cwd: folder })
      }
      expect(readFileSync(first).equals(readFileSync(second))).toBe(true)
      const lines = (await check('tar', ['-tvf', first, '--numeric-owner'])).trim().split('\n')
      expect(lines.map((line) => line.replace(/^.*\d\d:\d\d /, ''))).toEqual(
        directories.flatMap((place) => [`${place}/`, `${place}/arch`, `${place}/hard link to ${place}/arch`]),
      )
      expect(lines.filter((line) => / 123\/456 /.test(line))).toHaveLength(directories.length * 2)
    },
  )

  it.each(['../../escape', 'linux/../..', 'linux/amd64/../../..', '/etc', 'linux/'])(
    'MAN-08: the platform %j is refused, and nothing is written',
    async (platform) => {
      const out = workspace.path('hostile')
      const outcome = await workspace.tsbuild.run([
        ...['--platform', `linux/amd64,${platform}`, '-o', out, context],
      ])
      expect([outcome.code, outcome.stderr]).toEqual([1, expect.stringContaining('[ERR_PLATFORM_INVALID]')])
      expect(existsSync(out)).toBe(false)
    },
  )
})
