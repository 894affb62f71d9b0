import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { startDockerd } from '../support/dockerd.ts'
import { describeTree } from '../support/tree.ts'
import { check } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let context: string

/** A step for each kind of file that archives get wrong, in layers that change, replace and delete one another's files. */
const dockerfile = [
  'FROM busybox:test',
  'RUN mkdir -p /t/dir /t/gone/deep && echo 1 > /t/gone/deep/file && echo old > /t/replaced && echo 1 > /t/dir/kept',
  'RUN echo data > /t/file && ln /t/file /t/hard && ln -s file /t/soft && ln -s /nowhere /t/dangling && mkfifo /t/fifo',
  'RUN chmod 4755 /t/file && mkdir -m 1777 /t/sticky && mkdir -m 700 /t/empty && chown 12345:54321 /t/empty',
  `RUN long=$(printf 'x%.0s' $(seq 120)) && mkdir -p /t/$long/$long && echo long > /t/$long/$long/$long`,
  "RUN printf x > '/t/ünïcode and spaces' && printf 'a\\nb' > \"/t/$(printf 'new\\nline')\" && mknod /t/null c 1 3",
  'RUN rm -r /t/gone && rm /t/replaced && mkdir /t/replaced && echo now > /t/replaced/inside',
  'RUN rm -r /t/dir && mkdir /t/dir && echo 2 > /t/dir/new',
  'RUN dd if=/dev/zero of=/t/sparse bs=1 count=1 seek=5000000 2> /dev/null',
  'COPY script.sh /usr/bin/script',
  'CMD ["/bin/sh", "-c", "cat /t/file"]',
].join('\n')

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('archives')
  context = workspace.context('context', { Dockerfile: dockerfile, 'script.sh': '#!/bin/sh\n' })
})
afterAll(() => workspace?.remove())

/** The tree as tsbuild itself sees it. */
async function snapshotTree(): Promise<readonly string[]> {
  const out = workspace.path('snapshot')
  await workspace.tsbuild.check(['-q', '-o', out, context])
  return describeTree(out)
}

describe('the OCI archive', () => {
  it.each(['gzip', 'zstd', 'uncompressed'])(
    'with %s layers is read by skopeo and its tree equals the snapshot',
    async (compression) => {
      const archive = workspace.path(`${compression}.tar`)
      await workspace.tsbuild.check([
        '-q',
        '-t',
        'files:1.0',
        '-o',
        `type=oci,dest=${archive},compression=${compression}`,
        context,
      ])
      const inspected = JSON.parse(await check('skopeo', ['inspect', '--raw', `oci-archive:${archive}`]))
      const media = { gzip: 'tar+gzip', zstd: 'tar+zstd', uncompressed: 'tar' }[compression]
      expect(inspected.layers.at(-1).mediaType).toBe(`application/vnd.oci.image.layer.v1.${media}`)
      const rootfs =
        compression === 'zstd'
          ? await unpack(archive, compression, decompressLayers)
          : await unpack(archive, compression)
      expect(describeTree(rootfs)).toEqual(await snapshotTree())
    },
  )

  it('is the same, byte for byte, when it is written again', async () => {
    const paths = ['first.tar', 'second.tar'].map((name) => workspace.path(name))
    for (const path of paths)
      await workspace.tsbuild.check(['-q', '-t', 'files:1.0', '-o', `type=oci,dest=${path}`, context])
    const [first, second] = paths.map((path) => readFileSync(path))
    expect(first?.equals(second ?? Buffer.alloc(0))).toBe(true)
  })

  it('goes to standard output with dest=-', async () => {
    const archive = workspace.path('stdout.tar')
    await check('sh', ['-c', `"$0" "$@" > ${archive}`, process.execPath, ...(await commandArguments())])
    expect(
      JSON.parse(await check('skopeo', ['inspect', '--raw', `oci-archive:${archive}`])).layers.length,
    ).toBeGreaterThan(5)
  })
})

async function commandArguments(): Promise<readonly string[]> {
  const { command } = await import('../support/tsbuild.ts')
  return [command, '--root', workspace.tsbuild.root, '-t', 'files:1.0', '-o', 'type=oci,dest=-', context]
}

describe('the tar output', () => {
  it('holds the tree of the snapshot', async () => {
    const archive = workspace.path('tree.tar')
    const rootfs = workspace.path('tree-unpacked')
    await workspace.tsbuild.check(['-q', '-o', `type=tar,dest=${archive}`, context])
    mkdirSync(rootfs)
    await check('tar', ['-xpf', archive, '--numeric-owner', '-C', rootfs])
    expect(describeTree(rootfs)).toEqual(await snapshotTree())
  })
})

describe('the docker archive', () => {
  it('is loaded by docker, runs there, and its tree equals the snapshot', async (t) => {
    needs(t, 'root', 'program dockerd')
    const archive = workspace.path('docker.tar')
    await workspace.tsbuild.check(['-q', '-t', 'files:1.0', '-o', `type=docker,dest=${archive}`, context])
    const dockerd = await startDockerd(workspace.path('dockerd'))
    try {
      expect(await dockerd.docker(['load', '--input', archive])).toContain('files:1.0')
      expect(await dockerd.docker(['run', '--rm', '--network', 'none', 'files:1.0'])).toBe('data\n')
      const container = (await dockerd.docker(['create', '--network', 'none', 'files:1.0'])).trim()
      const rootfs = workspace.path('docker-rootfs')
      mkdirSync(rootfs)
      await dockerd.docker(['export', '--output', workspace.path('docker-rootfs.tar'), container])
      await check('tar', ['-xpf', workspace.path('docker-rootfs.tar'), '--numeric-owner', '-C', rootfs])
      // What docker itself puts into every container.
      const own = [
        '/.dockerenv',
        '/dev',
        '/proc',
        '/sys',
        '/etc/hostname',
        '/etc/hosts',
        '/etc/resolv.conf',
        '/etc/mtab',
      ]
      expect(describeTree(rootfs, own)).toEqual(await snapshotTree())
    } finally {
      await dockerd.stop()
    }
  })
})

/** Unpacks an archive with umoci; gives the folder of its files. */
async function unpack(
  archive: string,
  name: string,
  prepare?: (layout: string) => Promise<void>,
): Promise<string> {
  const layout = workspace.path(`${name}-layout`)
  const bundle = workspace.path(`${name}-bundle`)
  mkdirSync(layout)
  await check('tar', ['-xf', archive, '-C', layout])
  await prepare?.(layout)
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'))
  const tag = index.manifests[0].annotations['org.opencontainers.image.ref.name']
  await check('umoci', ['unpack', '--image', `${layout}:${tag}`, bundle])
  return join(bundle, 'rootfs')
}

/** Debian's umoci and skopeo cannot unpack zstd: puts the unpacked layers and a manifest of them into a layout. */
async function decompressLayers(layout: string): Promise<void> {
  const blob = (digest: string) => join(layout, 'blobs/sha256', digest.slice('sha256:'.length))
  const put = (bytes: Buffer) => {
    const digest = `sha256:${createHash('sha256').update(bytes).digest('hex')}`
    writeFileSync(blob(digest), bytes)
    return { digest, size: bytes.length }
  }
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'))
  const manifest = JSON.parse(readFileSync(blob(index.manifests[0].digest), 'utf8'))
  for (const layer of manifest.layers) {
    await check('zstd', ['-q', '-d', '-f', blob(layer.digest), '-o', join(layout, 'layer.tar')])
    Object.assign(layer, put(readFileSync(join(layout, 'layer.tar'))), {
      mediaType: 'application/vnd.oci.image.layer.v1.tar',
    })
  }
  Object.assign(index.manifests[0], put(Buffer.from(JSON.stringify(manifest))))
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index))
}
