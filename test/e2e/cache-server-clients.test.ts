import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type DistributionServer, startDistribution } from '@tsbuild/distribution/testing'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { startDockerd } from '../support/dockerd.ts'
import { check, run } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let server: DistributionServer
/** The digest of `app:v1`, as tsbuild pushed it. */
let digest = ''

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('cache-server-clients')
  server = await startDistribution(workspace.path('objects'))
  const context = workspace.context('app', {
    Dockerfile: 'FROM busybox:test\nRUN echo made > /made\nCOPY file /file\nLABEL who=tsbuild\n',
    file: 'of the context\n',
  })
  await workspace.tsbuild.check(['-q', '-t', 'app:v1', context])
  await push('app:v1')
  digest = (await manifest('app', 'v1')).digest
})
afterEach(() => {
  expect(server.errors).toEqual([])
})
afterAll(async () => {
  await server?.stop()
  await workspace?.remove()
})

/** Pushes `app:v1` under another name. */
async function push(name: string): Promise<void> {
  await workspace.tsbuild.check(['tag', 'app:v1', `${server.host}/${name}`])
  await workspace.tsbuild.check(['push', `${server.host}/${name}`])
}

async function manifest(name: string, reference: string) {
  const answer = await fetch(`http://${server.host}/v2/${name}/manifests/${reference}`)
  const bytes = Buffer.from(await answer.arrayBuffer())
  const found = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
  return { status: answer.status, digest: found, value: answer.ok ? JSON.parse(bytes.toString()) : undefined }
}

/** The digests of a repository's layers under a tag. */
const layersOf = async (name: string, tag: string): Promise<string[]> =>
  (await manifest(name, tag)).value.layers.map((layer: { digest: string }) => layer.digest)

const image = (name: string) => `docker://${server.host}/${name}`
const plain = ['--src-tls-verify=false', '--dest-tls-verify=false']
/** Requests since a moment, as `METHOD route status`. */
const requestsFrom = (mark: number) =>
  server.log
    .slice(mark)
    .map(({ route, status }) => `${route?.split(' ')[0]} ${route?.split('/').at(-2)} ${status}`)

describe('tsbuild', () => {
  it('pulls, copies, and sends nothing twice', async () => {
    await workspace.tsbuild.check(['pull', `${server.host}/app@${digest}`])
    await workspace.tsbuild.check(['copy', image('app:v1'), image('copies/app:v2')])
    expect((await manifest('copies/app', 'v2')).digest).toBe(digest)
    const mark = server.log.length
    await push('third:v1')
    // Layers are known in another repository: they are mounted, or asked about, and not sent.
    const sent = server.log.slice(mark).reduce((sum, entry) => sum + entry.bytesIn, 0)
    expect(requestsFrom(mark)).toContain('PUT manifests 201')
    expect((await manifest('third', 'v1')).digest).toBe(digest)
    const again = server.log.length
    await push('third:v2')
    const sentAgain = server.log.slice(again).reduce((sum, entry) => sum + entry.bytesIn, 0)
    expect(sentAgain).toBeLessThanOrEqual(Math.min(sent, 64 * 1024))
  })
})

describe('skopeo', () => {
  it('inspects, lists, copies in every form, syncs and deletes', async () => {
    const inspected = JSON.parse(await check('skopeo', ['inspect', '--tls-verify=false', image('app:v1')]))
    expect([inspected.Digest, inspected.Labels.who]).toEqual([digest, 'tsbuild'])
    const raw = await check('skopeo', ['inspect', '--raw', '--tls-verify=false', image('app:v1')])
    expect(`sha256:${createHash('sha256').update(raw).digest('hex')}`).toBe(digest)
    for (const [place, tag] of [
      [`oci:${workspace.path('layout')}:v1`, 'oci'],
      [`dir:${workspace.path('dir')}`, 'dir'],
    ]) {
      await check('skopeo', ['copy', ...plain, image('app:v1'), place ?? ''])
      await check('skopeo', ['copy', ...plain, place ?? '', image(`skopeo:${tag}`)])
      expect([tag, (await manifest('skopeo', tag ?? '')).digest]).toEqual([tag, digest])
    }
    await check('skopeo', ['copy', ...plain, '--format', 'v2s2', image('app:v1'), image('skopeo:docker')])
    expect((await manifest('skopeo', 'docker')).value.mediaType).toBe(
      'application/vnd.docker.distribution.manifest.v2+json',
    )
    const tags = JSON.parse(await check('skopeo', ['list-tags', '--tls-verify=false', image('skopeo')]))
    expect(tags.Tags).toEqual(['dir', 'docker', 'oci'])
    const synced = workspace.path('synced')
    mkdirSync(synced)
    const from = ['--src', 'docker', '--dest', 'dir', `${server.host}/skopeo`, synced]
    await check('skopeo', ['sync', ...plain, ...from])
    await check('skopeo', [
      'sync',
      ...plain,
      '--src',
      'dir',
      '--dest',
      'docker',
      synced,
      `${server.host}/mirror`,
    ])
    expect((await manifest('mirror/skopeo', 'oci')).digest).toBe(digest)
    await check('skopeo', ['delete', '--tls-verify=false', image('skopeo:docker')])
    expect((await manifest('skopeo', 'docker')).status).toBe(404)
    expect((await manifest('skopeo', 'oci')).status).toBe(200)
  })

  it('copies images that umoci made', async () => {
    const layout = workspace.path('umoci')
    await check('umoci', ['init', '--layout', layout])
    await check('umoci', ['new', '--image', `${layout}:made`])
    await check('umoci', ['config', '--image', `${layout}:made`, '--config.label', 'who=umoci'])
    await check('skopeo', ['copy', ...plain, `oci:${layout}:made`, image('umoci:made')])
    const inspected = JSON.parse(
      await check('skopeo', ['inspect', '--tls-verify=false', image('umoci:made')]),
    )
    expect(inspected.Labels).toEqual({ who: 'umoci' })
  })

  it('is asked for a token, shows it as a password, and may not do what it does not permit', async () => {
    const { loopbackGrant } = await import('@tsbuild/trust')
    const reader = { ...loopbackGrant, authenticated: true, operations: ['pull' as const], id: 'reader' }
    const guarded = await startDistribution(workspace.path('objects'), { grants: { secret: reader } })
    const there = `docker://${guarded.host}/app:v1`
    try {
      const inspect = ['inspect', '--tls-verify=false']
      expect((await run('skopeo', [...inspect, there])).code).not.toBe(0)
      expect(JSON.parse(await check('skopeo', [...inspect, '--creds', 'any:secret', there])).Digest).toBe(
        digest,
      )
      const pushed = await run('skopeo', [
        'copy',
        ...plain,
        '--dest-creds',
        'any:secret',
        image('app:v1'),
        there,
      ])
      expect(pushed.code).not.toBe(0)
      const removed = await run('skopeo', ['delete', '--tls-verify=false', '--creds', 'any:secret', there])
      expect(removed.code).not.toBe(0)
      expect((await manifest('app', 'v1')).digest).toBe(digest)
    } finally {
      await guarded.stop()
    }
  })
})

describe('podman and buildah', () => {
  // podman takes no longer name than 50 characters for the one of them.
  const run = mkdtempSync('/var/tmp/tsb-clients-')
  const own = (name: string) => ['--root', workspace.path(name, 'root'), '--runroot', join(run, name)]
  afterAll(() => rmSync(run, { recursive: true, force: true }))

  it('podman pulls and pushes', async () => {
    const podman = (...args: string[]) => check('podman', [...own('podman'), ...args])
    await podman('pull', '-q', '--tls-verify=false', `${server.host}/app:v1`)
    await podman('push', '-q', '--tls-verify=false', `${server.host}/app:v1`, `${server.host}/podman:v1`)
    const inspected = JSON.parse(await check('skopeo', ['inspect', '--tls-verify=false', image('podman:v1')]))
    expect(inspected.Labels.who).toBe('tsbuild')
    await podman('rmi', '-f', '-a')
  })

  it('buildah pulls, commits and pushes', async () => {
    const buildah = (...args: string[]) => check('buildah', [...own('buildah'), ...args])
    const container = (await buildah('from', '--tls-verify=false', `${server.host}/app:v1`)).trim()
    await buildah('config', '--label', 'who=buildah', container)
    await buildah('commit', '-q', container, 'changed')
    await buildah('push', '-q', '--tls-verify=false', 'changed', `${server.host}/buildah:v1`)
    const inspected = JSON.parse(
      await check('skopeo', ['inspect', '--tls-verify=false', image('buildah:v1')]),
    )
    expect(inspected.Labels.who).toBe('buildah')
    await buildah('rm', container)
    await buildah('rmi', '-f', '-a')
  })
})

describe('docker', () => {
  it('pulls, runs nothing, and pushes under another name by mounts', async () => {
    const daemon = await startDockerd(workspace.path('dockerd'))
    try {
      await daemon.docker(['pull', '-q', `${server.host}/app:v1`])
      await daemon.docker(['tag', `${server.host}/app:v1`, `${server.host}/from-docker:v1`])
      const mark = server.log.length
      await daemon.docker(['push', '-q', `${server.host}/from-docker:v1`])
      expect(await layersOf('from-docker', 'v1')).toEqual(await layersOf('app', 'v1'))
      expect(requestsFrom(mark)).toContain('PUT manifests 201')
      const built = workspace.context('by-docker', {
        Dockerfile: `FROM ${server.host}/app:v1\nCOPY more /more\n`,
        more: 'bytes\n',
      })
      await daemon.docker(['build', '-q', '-t', `${server.host}/by-docker:v1`, built])
      await daemon.docker(['push', '-q', `${server.host}/by-docker:v1`])
      expect(await layersOf('by-docker', 'v1')).toHaveLength((await layersOf('app', 'v1')).length + 1)
      await workspace.tsbuild.check(['pull', `${server.host}/by-docker:v1`])
    } finally {
      await daemon.stop()
    }
  })
})

describe('a layout', () => {
  it('that skopeo wrote has the same bytes as the server', async () => {
    const index = JSON.parse(readFileSync(join(workspace.path('layout'), 'index.json'), 'utf8'))
    expect(index.manifests[0].digest).toBe(digest)
  })
})
