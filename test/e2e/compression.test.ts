import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeTree } from '../support/tree.ts'
import { check } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let context: string

const dockerfile = [
  'FROM busybox:test',
  'COPY data /data',
  'RUN ln /data/text /hard && ln -s text /data/soft && mkdir -m 1777 /sticky && : > /empty',
  'RUN rm /data/gone && head -c 5000000 /dev/zero | tr "\\0" a > /large',
].join('\n')

/** Of the Dockerfile: as many layers are not the base image's. */
const steps = 3

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('compression')
  const text = Array.from({ length: 20_000 }, (_, at) => `line ${at * at}\n`).join('')
  context = workspace.context('context', { Dockerfile: dockerfile, 'data/text': text, 'data/gone': 'x' })
})
afterAll(() => workspace?.remove())

interface Layer {
  readonly mediaType: string
  readonly digest: string
  readonly size: number
  readonly annotations?: Readonly<Record<string, string>>
}

interface Built {
  readonly layout: string
  readonly layers: readonly Layer[]
  readonly diffIds: readonly string[]
}

const sha256 = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Builds an archive with these attributes and unpacks it; skopeo reads it as well. */
async function build(name: string, attributes: string, env: Record<string, string> = {}): Promise<Built> {
  const archive = workspace.path(`${name}.tar`)
  const layout = workspace.path(`${name}-layout`)
  const output = `type=oci,dest=${archive}${attributes}`
  await workspace.tsbuild.check(['-q', '-t', 'files:1.0', '-o', output, context], { env })
  mkdirSync(layout)
  await check('tar', ['-xf', archive, '-C', layout])
  const manifest = JSON.parse(await check('skopeo', ['inspect', '--raw', `oci-archive:${archive}`]))
  const config = JSON.parse(readFileSync(blobPath(layout, manifest.config.digest), 'utf8'))
  return { layout, layers: manifest.layers, diffIds: config.rootfs.diff_ids }
}

const blobPath = (layout: string, digest: string) => join(layout, 'blobs/sha256', digest.slice(7))

/** The tar of each layer, by programs that are not ours. */
function tarsOf({ layout, layers }: Built): readonly Buffer[] {
  return layers.map(({ digest, mediaType }) => {
    const bytes = readFileSync(blobPath(layout, digest))
    expect(sha256(bytes)).toBe(digest)
    if (mediaType.endsWith('+gzip')) return gunzipSync(bytes)
    if (!mediaType.endsWith('+zstd')) return bytes
    return execFileSync('zstd', ['-dc'], { input: bytes, maxBuffer: 2 ** 30 })
  })
}

/** The names that only an estargz has. */
const format = ['/stargz.index.json', '/.no.prefetch.landmark']

async function snapshotTree(): Promise<readonly string[]> {
  const out = workspace.path('snapshot')
  await workspace.tsbuild.check(['-q', '-o', out, context])
  return describeTree(out)
}

const forms = [
  ['uncompressed', undefined],
  ...[0, 1, 6, 9].map((level) => ['gzip', level] as const),
  ...[0, 3, 19].map((level) => ['zstd', level] as const),
  ...[0, 6, 9].map((level) => ['estargz', level] as const),
] as const

describe('compression', () => {
  it.each(forms)('%s, level %s: each layer is what its digest and its diffID say', async (type, level) => {
    const attributes = `,compression=${type}${level === undefined ? '' : `,compression-level=${level}`}`
    const built = await build(`${type}-${level}`, `${attributes},force-compression=true`)
    const suffix = { uncompressed: '', gzip: '+gzip', zstd: '+zstd', estargz: '+gzip' }[type]
    for (const { mediaType } of built.layers)
      expect(mediaType).toBe(`application/vnd.oci.image.layer.v1.tar${suffix}`)
    expect(tarsOf(built).map(sha256)).toEqual(built.diffIds)
    for (const { annotations } of built.layers) {
      expect(Object.keys(annotations ?? {}).length).toBe(type === 'estargz' ? 2 : 0)
    }
  })

  it('writes other bytes for another level, and the same for the same in another store', async () => {
    const [fast, best, again] = [
      await build('fast', ',compression=gzip,compression-level=1'),
      await build('best', ',compression=gzip,compression-level=9'),
      await build('again', ',compression=gzip,compression-level=1'),
    ]
    expect(again.layers).toEqual(fast.layers)
    const own = (built: Built) => built.layers.slice(-steps)
    expect(own(best).map(({ digest }) => digest)).not.toEqual(own(fast).map(({ digest }) => digest))
    expect(best.diffIds).toEqual(fast.diffIds)
    const bytes = (built: Built) => own(built).reduce((sum, { size }) => sum + size, 0)
    expect(bytes(best)).toBeLessThan(bytes(fast))
  })

  it('estargz: umoci sees the tree of the snapshot, and the table is the one that is annotated', async () => {
    const built = await build('estargz', ',compression=estargz,force-compression=true')
    const rootfs = workspace.path('estargz-rootfs')
    await check('umoci', ['raw', 'unpack', '--image', `${built.layout}:1.0`, rootfs])
    expect(describeTree(rootfs, format)).toEqual(await snapshotTree())
    const tars = tarsOf(built)
    for (const [at, { annotations }] of built.layers.entries()) {
      const tar = tars[at] ?? Buffer.alloc(0)
      expect(annotations?.['io.containers.estargz.uncompressed-size']).toBe(String(tar.length))
      const table = execFileSync('tar', ['-xOf', '-', 'stargz.index.json'], {
        input: tar,
        maxBuffer: 2 ** 28,
      })
      expect(annotations?.['containerd.io/snapshot/stargz/toc.digest']).toBe(sha256(table))
    }
  })

  it('rewrite-timestamp: no file of an own layer is younger than the epoch', async () => {
    const env = { SOURCE_DATE_EPOCH: '1000000000' }
    for (const type of ['gzip', 'estargz']) {
      const built = await build(`rewritten-${type}`, `,compression=${type},rewrite-timestamp=true`, env)
      const tars = tarsOf(built)
      expect(tars.map(sha256)).toEqual(built.diffIds)
      for (const tar of tars.slice(-steps)) {
        const list = execFileSync('tar', ['--full-time', '-tvf', '-'], { input: tar, env: { TZ: 'UTC' } })
        const years = [...list.toString().matchAll(/ (\d{4})-\d\d-\d\d /g)].map(([, year]) => Number(year))
        expect(years.length).toBeGreaterThan(0)
        expect(Math.max(...years)).toBeLessThanOrEqual(2001)
      }
    }
  })

  it('makes the blobs of a converted base image once', async () => {
    const attributes = ',compression=zstd,compression-level=5,force-compression=true'
    const first = await build('once', attributes)
    const path = join(workspace.tsbuild.root, 'v1/blobs/sha256', (first.layers[0]?.digest ?? '').slice(7))
    const made = statSync(path).ino
    const second = await build('twice', attributes)
    expect(second.layers).toEqual(first.layers)
    expect(statSync(path).ino).toBe(made)
  })
})
