import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { findProgram } from '../support/capabilities.ts'
import { type Gate, startGate } from '../support/gate.ts'
import { type Authority, makeAuthority } from '../support/https-site.ts'
import { tinyLayers, writeLayeredImages } from '../support/layered-image.ts'
import { type Front, startNginx } from '../support/nginx.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { check, tsbuildWith } from '../support/tsbuild.ts'
import { openDebianWorkspace, type Workspace } from '../support/workspace.ts'

const mebibyte = 1024 * 1024

let workspace: Workspace
let registry: RegistryProcess
let authority: Authority
const fronts = new Map<string, Front>()
/** By name, the flags of a build that makes it. */
const images = new Map<string, readonly string[]>()

beforeAll(async () => {
  workspace = await openDebianWorkspace('registry-matrix')
  registry = await startRegistry(workspace.path('registry'))
  authority = await makeAuthority(workspace.path('authority'))
  for (const buffering of ['on', 'off'] as const) {
    const options = { upstream: registry.host, authority, buffering, maxBodySize: '0' }
    fronts.set(buffering, await startNginx(workspace.path(`nginx-${buffering}`), options))
  }
  const debian = workspace.context('debian', { Dockerfile: 'FROM debian:bookworm\nLABEL matrix=debian\n' })
  images.set('debian', [debian])
  const layout = workspace.path('layout')
  writeLayeredImages(layout, tinyLayers(200, findProgram('busybox') ?? ''), [200])
  const layered = workspace.context('layered', { Dockerfile: 'FROM base\nLABEL matrix=layered\n' })
  images.set('of 200 layers', ['--build-context', `base=oci-layout://${layout}:200`, layered])
  const big = workspace.context('big', { Dockerfile: 'FROM scratch\nCOPY noise /noise\n' })
  writeFileSync(join(big, 'noise'), randomBytes(48 * mebibyte))
  images.set('big', [big])
})
afterAll(async () => {
  for (const front of fronts.values()) await front.stop()
  await registry?.stop()
  await workspace?.remove()
})

const hostOf = (front: string) => fronts.get(front)?.host ?? registry.host

/** Pushes an image; the digest of its manifest. */
async function push(image: string, name: string): Promise<string> {
  const metadata = workspace.path('metadata.json')
  await workspace.tsbuild.check([
    ...['-q', '--push', '-t', name, '--metadata-file', metadata],
    ...(images.get(image) ?? []),
  ])
  return JSON.parse(readFileSync(metadata, 'utf8'))['containerimage.digest']
}

/** A new store, which goes with the test: to delete all of them at the end takes minutes. */
function newStore(name: string) {
  const folder = workspace.path(`store-${name.replaceAll(/\W/g, '-')}`)
  onTestFinished(async () => void (await check('rm', ['-rf', folder])))
  return tsbuildWith(folder)
}

/** Pulls and unpacks an image into a new store, runs in it, and pushes it on from there. */
async function pullAndPushOn(name: string, onto: string): Promise<void> {
  const other = newStore(onto)
  const steps = `FROM ${name}\nRUN read -r line < /etc/passwd && test -n "$line"\n`
  const pulled = workspace.context('pulled', { Dockerfile: steps })
  const { code, stderr } = await other.run(['-q', '--network', 'none', pulled])
  // No warning either: not of too many listeners on one signal, for example.
  expect([code, stderr]).toEqual([0, ''])
  const same = workspace.context('same', { Dockerfile: `FROM ${name}\n` })
  await other.check(['-q', '--push', '-t', onto, same])
}

const inspect = async (
  name: string,
): Promise<{ readonly Digest: string; readonly Layers: readonly string[] }> =>
  JSON.parse(await check('skopeo', ['inspect', '--tls-verify=false', `docker://${name}`]))

/** Bytes of blobs that went to the registry, and how often. */
function sentTo(front: Front): number {
  const sizes = front.requests().flatMap((line) => {
    const [, method, bytes] = /^(\w+) \S*\/blobs\/uploads\/\S* \d+ (\d+)$/.exec(line) ?? []
    return method === 'PATCH' || method === 'PUT' ? [Number(bytes)] : []
  })
  return sizes.reduce((sum, size) => sum + size, 0)
}

describe.each([
  ['docker-registry', 'plain'],
  ['docker-registry behind nginx with TLS that buffers', 'on'],
  ['docker-registry behind nginx with TLS that does not buffer', 'off'],
])('%s (REGF-12)', (_, front) => {
  it.each([['debian'], ['of 200 layers']])('takes and gives the image %s', async (image) => {
    const repository = `${hostOf(front)}/${front}/${image.replaceAll(' ', '-')}`
    const digest = await push(image, `${repository}:1`)
    expect((await inspect(`${repository}:1`)).Digest).toBe(digest)
    await pullAndPushOn(`${repository}:1`, `${repository}:again`)
    const [first, again] = await Promise.all([inspect(`${repository}:1`), inspect(`${repository}:again`)])
    expect(again.Layers).toEqual(first.Layers)
  })

  it('gives back bit for bit what skopeo copied to a layout and from there', async () => {
    const repository = `${hostOf(front)}/${front}/round-trip`
    const digest = await push('debian', `${repository}:ours`)
    const layout = `oci:${workspace.path(`round-trip-${front}`)}:1`
    const verify = front === 'plain' ? ['--src-tls-verify=false'] : ['--src-cert-dir', certificates()]
    await check('skopeo', ['copy', '-q', ...verify, `docker://${repository}:ours`, layout])
    await check('skopeo', ['copy', '-q', '--dest-tls-verify=false', layout, `docker://${repository}:theirs`])
    expect((await inspect(`${repository}:theirs`)).Digest).toBe(digest)
    // And what others pushed is what we run: their digest, our store.
    const context = workspace.context('theirs', {
      Dockerfile: `FROM ${repository}@${digest}\nRUN test -x /bin/sh\n`,
    })
    await newStore(`theirs-${front}`).check(['-q', '--network', 'none', context])
  })
})

/** What skopeo trusts: the authority of this test and nothing else. */
function certificates(): string {
  const folder = workspace.path('certificates')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'ca.crt'), readFileSync(authority.file))
  return folder
}

describe('a push that is interrupted in its middle (REGF-12)', () => {
  /** Pushes the big image through a gate at whose half something happens; it must be there then, and well. */
  async function pushThrough(target: string, repository: string, happens: () => Promise<void>) {
    const gate = await startGate(target, 24 * mebibyte, happens)
    onTestFinished(() => gate.stop())
    const digest = await push('big', `${gate.host}/${repository}:1`)
    expect(gate.isPassed()).toBe(true)
    expect((await inspect(`${target}/${repository}:1`)).Digest).toBe(digest)
    const layout = `oci:${workspace.path(`copy-of-${repository}`)}:1`
    await check('skopeo', [
      'copy',
      '-q',
      '--src-tls-verify=false',
      `docker://${target}/${repository}:1`,
      layout,
    ])
  }

  it('survives a cut of the line', () => pushThrough(registry.host, 'cut', async () => undefined))

  it('survives that the registry is killed and started again', () =>
    pushThrough(registry.host, 'killed', () => registry.crash()))

  it.each(['on', 'off'])('survives that nginx is started again, with buffering %s', async (buffering) => {
    const front = fronts.get(buffering)
    if (front === undefined) throw new Error('no such front')
    const before = sentTo(front)
    await pushThrough(front.host, `restarted-${buffering}`, () => front.restart())
    // What was on the way when nginx ended is in no log of it.
    expect(sentTo(front) - before).toBeLessThanOrEqual(49 * mebibyte)
  })

  it.each(['on', 'off'])(
    'survives that the registry behind nginx is killed, with buffering %s',
    async (buffering) => {
      const front = fronts.get(buffering)
      if (front === undefined) throw new Error('no such front')
      await pushThrough(front.host, `killed-${buffering}`, () => registry.crash())
    },
  )

  it('gets through an nginx that nobody configured for large bodies', async () => {
    const options = { upstream: registry.host, authority, buffering: 'on', maxBodySize: '1m' } as const
    const front = await startNginx(workspace.path('nginx-default'), options)
    onTestFinished(() => front.stop())
    const digest = await push('big', `${front.host}/default:1`)
    expect((await inspect(`${front.host}/default:1`)).Digest).toBe(digest)
    expect(front.requests().filter((line) => / 413 /.test(line)).length).toBeLessThanOrEqual(3)
  })
})

describe('a pull that is interrupted in its middle (REGF-12)', () => {
  it('survives that nginx is started again while it sends a layer', async () => {
    const front = fronts.get('off')
    if (front === undefined) throw new Error('no such front')
    await push('big', `${front.host}/to-pull:1`)
    const gate = await startGate(front.host, 24 * mebibyte, () => front.restart(), 'answers')
    onTestFinished(() => gate.stop())
    const context = workspace.context('pull-cut', { Dockerfile: `FROM ${gate.host}/to-pull:1\n` })
    const out = workspace.path('pull-cut-out')
    await newStore('pull-cut').check(['-q', '-o', out, context])
    expect(gate.isPassed()).toBe(true)
    const noise = readFileSync(workspace.path('big', 'noise'))
    expect(readFileSync(join(out, 'noise')).equals(noise)).toBe(true)
  })
})

describe('Ctrl-C while a registry takes its time', () => {
  /** Holds every connection once so many bytes have passed. */
  const hold = async (counted: 'requests' | 'answers') => {
    const gate = await startGate(registry.host, 24 * mebibyte, () => new Promise(() => {}), counted)
    onTestFinished(() => gate.stop())
    return gate
  }
  const passed = async (gate: Gate) => {
    while (!gate.isPassed()) await new Promise((resolve) => setTimeout(resolve, 10))
  }

  it('ends a push', async () => {
    const gate = await hold('requests')
    const args = ['-q', '--push', '-t', `${gate.host}/held:1`, ...(images.get('big') ?? [])]
    const running = workspace.tsbuild.start(args)
    await passed(gate)
    running.child.kill('SIGINT')
    expect((await running.outcome).code).toBe(130)
  })

  it('ends a pull, and leaves nothing of the layer', async () => {
    await push('big', `${registry.host}/to-hold:1`)
    const gate = await hold('answers')
    const context = workspace.context('pull-held', { Dockerfile: `FROM ${gate.host}/to-hold:1\n` })
    const store = newStore('held')
    const running = store.start(['-q', '-o', workspace.path('pull-held-out'), context])
    await passed(gate)
    running.child.kill('SIGINT')
    expect((await running.outcome).code).toBe(130)
    await store.check(['verify'])
    const { kinds } = JSON.parse(await store.check(['du', '--format', 'json']))
    expect(kinds.reduce((sum: number, { bytes }: { bytes: number }) => sum + bytes, 0)).toBeLessThan(mebibyte)
  })
})

describe('what other programs pushed (REGF-12)', () => {
  it.each(['buildah', 'podman'])('%s: takes our image, and we run what it pushed', async (program) => {
    if (findProgram(program) === undefined) throw new Error(`${program} is not installed`)
    const [ours, theirs] = [`${registry.host}/${program}:ours`, `${registry.host}/${program}:theirs`]
    await push('debian', ours)
    // Its storage wants a short path.
    const storage = mkdtempSync('/var/tmp/regf-')
    onTestFinished(async () => void (await check('rm', ['-rf', storage])))
    const own = [
      '--root',
      join(storage, 'root'),
      '--runroot',
      join(storage, 'run'),
      '--storage-driver',
      'vfs',
    ]
    await check(program, [...own, 'pull', '-q', '--tls-verify=false', ours])
    await check(program, [...own, 'push', '-q', '--tls-verify=false', ours, `docker://${theirs}`])
    const context = workspace.context(`of-${program}`, {
      Dockerfile: `FROM ${theirs}\nRUN test -x /bin/sh\n`,
    })
    await newStore(program).check(['-q', '--network', 'none', context])
  })
})
