import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../libs/errors/src/codes.ts'
import { makeTar } from '../support/tar.ts'
import { openWorkspace, readLine, type Workspace } from '../support/workspace.ts'

// TAR-11: an OCI layout whose blobs are not what their descriptors say, one way or the other.

let workspace: Workspace
let count = 0
beforeAll(() => {
  workspace = openWorkspace('hostile-layouts')
})
afterAll(() => workspace?.remove())

type Role = 'manifest' | 'config' | 'lower layer' | 'upper layer'
const roles: readonly Role[] = ['manifest', 'config', 'lower layer', 'upper layer']

/** The parts of an image, and where they lie. */
interface Layout {
  readonly folder: string
  readonly blobs: Readonly<Record<Role, string>>
}

const lowerTar = makeTar([{ name: 'lower', data: 'below\n' }])
const upperTar = makeTar([{ name: 'upper', data: 'above\n' }])
/** Stored without compression, so that both have the same size. */
const [lower, upper] = [lowerTar, upperTar].map((tar) => gzipSync(tar, { level: 0 })) as [Buffer, Buffer]
const digestOf = (bytes: Buffer) => `sha256:${createHash('sha256').update(bytes).digest('hex')}`

/** Writes a layout with the image `case`: two layers, of these bytes. */
function writeLayout(
  layers: readonly [Buffer, Buffer] = [lower, upper],
  diffIds = [lowerTar, upperTar].map(digestOf),
): Layout {
  count += 1
  const folder = workspace.path(`layout-${count}`)
  const blobs = join(folder, 'blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  const put = (mediaType: string, bytes: Buffer) => {
    const path = join(blobs, digestOf(bytes).slice('sha256:'.length))
    writeFileSync(path, bytes)
    return { path, descriptor: { mediaType, digest: digestOf(bytes), size: bytes.length } }
  }
  const oci = 'application/vnd.oci.image'
  const stored = layers.map((layer) => put(`${oci}.layer.v1.tar+gzip`, layer))
  const image = {
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: diffIds },
  }
  const config = put(`${oci}.config.v1+json`, Buffer.from(JSON.stringify(image)))
  const mediaType = `${oci}.manifest.v1+json`
  const described = {
    schemaVersion: 2,
    mediaType,
    config: config.descriptor,
    layers: stored.map(({ descriptor }) => descriptor),
  }
  const manifest = put(mediaType, Buffer.from(JSON.stringify(described)))
  const annotations = { 'org.opencontainers.image.ref.name': 'case' }
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  const index = { schemaVersion: 2, manifests: [{ ...manifest.descriptor, annotations }] }
  writeFileSync(join(folder, 'index.json'), JSON.stringify(index))
  const [first, second] = stored.map(({ path }) => path)
  return {
    folder,
    blobs: {
      manifest: manifest.path,
      config: config.path,
      'lower layer': first ?? '',
      'upper layer': second ?? '',
    },
  }
}

/** Builds on the image of a layout with an empty store; gives what the command said, and where the files are. */
async function build({ folder }: Layout) {
  const [store, out] = [`${folder}-store`, `${folder}-out`]
  const context = workspace.context(`context-${count}`, { Dockerfile: 'FROM image\nCOPY x /x\n', x: '' })
  const args = [
    '--progress',
    'plain',
    '--build-context',
    `image=oci-layout://${folder}:case`,
    '-o',
    out,
    context,
  ]
  const outcome = await workspace.tsbuild.run(args, { env: { TSBUILD_ROOT: store } })
  return { outcome, out, store }
}

async function expectRefused(layout: Layout, codes: readonly ErrorCode[]): Promise<void> {
  const { outcome, store } = await build(layout)
  const [, code] = /\[(ERR_\w+)\]/.exec(outcome.stderr) ?? []
  expect(codes, outcome.stderr).toContain(code)
  expect([1, 3]).toContain(outcome.code)
  // Nothing of it is used later on: what the store holds now is what its name says.
  const kept = join(store, 'v1/blobs/sha256')
  for (const name of readdirSync(kept))
    expect(digestOf(readFileSync(join(kept, name)))).toBe(`sha256:${name}`)
  expect(readdirSync(join(store, 'v1/ingest'))).toEqual([])
  rmSync(store, { recursive: true })
}

const changes: readonly (readonly [string, (bytes: Buffer) => Buffer])[] = [
  ['a NUL more', (bytes) => Buffer.concat([bytes, Buffer.alloc(1)])],
  ['a byte less', (bytes) => bytes.subarray(0, -1)],
  [
    'another byte in the middle',
    (bytes) => bytes.map((byte, at) => (at === bytes.length >> 1 ? byte ^ 1 : byte)) as Buffer,
  ],
  ['nothing in it', () => Buffer.alloc(0)],
]

describe('TAR-11: a layout', () => {
  it('that is sound is built upon', async () => {
    const { outcome, out } = await build(writeLayout())
    expect(outcome.code, outcome.stderr).toBe(0)
    expect([readLine(join(out, 'lower')), readLine(join(out, 'upper'))]).toEqual(['below', 'above'])
  })

  it.each(roles.flatMap((role) => changes.map(([what, change]) => [role, what, change] as const)))(
    'whose %s has %s is refused',
    async (role, _what, change) => {
      const layout = writeLayout()
      const path = layout.blobs[role]
      writeFileSync(path, change(readFileSync(path)))
      await expectRefused(layout, ['ERR_DIGEST_MISMATCH', 'ERR_SIZE_MISMATCH'])
    },
  )

  it('whose layers of one size are swapped is refused', async () => {
    const layout = writeLayout()
    expect(lower.length).toBe(upper.length)
    writeFileSync(layout.blobs['lower layer'], upper)
    writeFileSync(layout.blobs['upper layer'], lower)
    await expectRefused(layout, ['ERR_DIGEST_MISMATCH'])
  })

  it('with a layer that was compressed again, to the same files, is refused', async () => {
    const layout = writeLayout()
    writeFileSync(layout.blobs['upper layer'], gzipSync(upperTar, { level: 9 }))
    await expectRefused(layout, ['ERR_SIZE_MISMATCH', 'ERR_DIGEST_MISMATCH'])
  })

  it.each<[string, Buffer, ErrorCode]>([
    ['text behind its gzip stream', Buffer.concat([upper, Buffer.from('garbage')]), 'ERR_LAYER_INVALID'],
    [
      'a second gzip member with more files',
      Buffer.concat([upper, gzipSync(lowerTar)]),
      'ERR_DIFFID_MISMATCH',
    ],
    ['other files than its config says', gzipSync(makeTar([{ name: 'other' }])), 'ERR_DIFFID_MISMATCH'],
    ['no gzip stream', upperTar, 'ERR_LAYER_INVALID'],
  ])('with a layer of the right digest that has %s is refused', async (_what, bytes, code) => {
    await expectRefused(writeLayout([lower, bytes]), [code])
  })

  it('whose config swaps the diffIDs is refused', async () => {
    await expectRefused(writeLayout([lower, upper], [upperTar, lowerTar].map(digestOf)), [
      'ERR_DIFFID_MISMATCH',
    ])
  })

  it('with zeros behind a gzip stream, which the digest covers, is read', async () => {
    const padded = Buffer.concat([upper, Buffer.alloc(512)])
    const { outcome, out } = await build(writeLayout([lower, padded]))
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(readLine(join(out, 'upper'))).toBe('above')
  })
})
