import { createHash } from 'node:crypto'
import { readdirSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../libs/errors/src/codes.ts'
import { pushRaw, type RawLayer, type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { makeTar, type TarEntry } from '../support/tar.ts'
import { describeTree } from '../support/tree.ts'
import { makeCanary, openWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let registry: RegistryProcess
const canary = makeCanary()
/** From the root of a snapshot this many steps up certainly leave it. */
const up = '../'.repeat(12)
const outside = canary.slice(1)

beforeAll(async () => {
  workspace = openWorkspace('hostile')
  registry = await startRegistry(workspace.path('registry'))
})
afterAll(async () => {
  await registry?.stop()
  await workspace?.remove()
  rmSync(canary, { recursive: true })
})

/** Builds on an image of these layers, which makes tsbuild unpack them. */
async function unpack(layers: readonly RawLayer[], out?: string) {
  const name = `evil/${createHash('sha256').update(Math.random().toString()).digest('hex').slice(0, 12)}`
  await pushRaw(registry.host, name, '1', layers)
  const context = workspace.context(basename(name), {
    Dockerfile: `FROM ${registry.host}/${name}:1\nCOPY x /x\n`,
    x: '',
  })
  return await workspace.tsbuild.run([
    '--progress',
    'plain',
    ...(out === undefined ? [] : ['-o', out]),
    context,
  ])
}

const layer = (...entries: readonly TarEntry[]): RawLayer => ({ tar: makeTar(entries) })

interface Refused {
  readonly what: string
  readonly layers: readonly RawLayer[]
  readonly code: ErrorCode
}

const refused: readonly Refused[] = [
  {
    what: 'a name with ..',
    layers: [layer({ name: `${up}${outside}/evil`, data: 'x' })],
    code: 'ERR_LAYER_ESCAPE',
  },
  {
    what: 'a name with .. inside',
    layers: [layer({ name: 'a/../../evil', data: 'x' })],
    code: 'ERR_LAYER_ESCAPE',
  },
  {
    what: 'a hard link with ..',
    layers: [layer({ name: 'link', type: '1', link: `${up}${outside}/kept` })],
    code: 'ERR_LAYER_ESCAPE',
  },
  { what: 'a whiteout without a name', layers: [layer({ name: 'a/.wh.' })], code: 'ERR_LAYER_WHITEOUT' },
  { what: 'a whiteout of ..', layers: [layer({ name: 'a/.wh...' })], code: 'ERR_LAYER_WHITEOUT' },
  { what: 'a whiteout of .', layers: [layer({ name: 'a/.wh..' })], code: 'ERR_LAYER_WHITEOUT' },
  {
    what: 'a whiteout device of overlayfs',
    layers: [layer({ name: 'gone', type: '3', device: [0, 0] })],
    code: 'ERR_LAYER_RESERVED',
  },
  {
    what: 'text instead of an archive',
    layers: [{ tar: Buffer.from('this is no archive\n'.repeat(40)) }],
    code: 'ERR_LAYER_INVALID',
  },
  {
    what: 'a layer that ends in the middle of a file',
    layers: [{ tar: makeTar([{ name: 'file', data: 'x'.repeat(5000) }]).subarray(0, 2048) }],
    code: 'ERR_LAYER_TRUNCATED',
  },
  {
    what: 'a gzip stream that ends too early',
    layers: [cutGzip(makeTar([{ name: 'file', data: 'abcdefgh'.repeat(2000) }]))],
    code: 'ERR_LAYER_TRUNCATED',
  },
  {
    what: 'a layer with another diffID than the config says',
    layers: [{ tar: makeTar([{ name: 'a' }]), stored: gzipSync(makeTar([{ name: 'b' }])) }],
    code: 'ERR_DIFFID_MISMATCH',
  },
  { what: 'a decompression bomb', layers: [bomb()], code: 'ERR_LAYER_BOMB' },
]

function cutGzip(tar: Buffer): RawLayer {
  const whole = gzipSync(tar)
  return { tar, stored: whole.subarray(0, whole.length - 20) }
}

/** 3 GB of zeros in 3 MB: gzip members one after the other are one stream. */
function bomb(): RawLayer {
  const sizeBytes = 3 * 2 ** 30
  const header = makeTar([{ name: 'zeros' }]).subarray(0, 512)
  header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124)
  header.write(' '.repeat(8), 148)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  const member = gzipSync(Buffer.alloc(2 ** 26), { level: 9 })
  return {
    tar: header,
    stored: Buffer.concat([gzipSync(header), ...Array.from({ length: 48 }, () => member)]),
  }
}

describe('a hostile layer', () => {
  it.each(refused.map((one) => [one.what, one] as const))(
    'with %s is refused',
    async (_what, { layers, code }) => {
      const before = describeTree(canary)
      const outcome = await unpack(layers)
      expect(outcome.stderr).toContain(`[${code}]`)
      expect(outcome.code).toBe(1)
      expect(describeTree(canary)).toEqual(before)
      expect(readdirSync(join(workspace.tsbuild.root, 'v1/ingest'))).toEqual([])
    },
  )

  const contained: readonly (readonly [string, readonly TarEntry[], string])[] = [
    ['an absolute name', [{ name: `${canary}/evil`, data: 'inside' }], `${outside}/evil`],
    [
      'a file below a symlink to an absolute path',
      [
        { name: 'door', type: '2', link: canary },
        { name: 'door/evil', data: 'inside' },
      ],
      `${outside}/evil`,
    ],
    [
      'a file below a symlink that goes up',
      [
        { name: 'door', type: '2', link: `${up}${outside}` },
        { name: 'door/evil', data: 'inside' },
      ],
      `${outside}/evil`,
    ],
    [
      'a file over a symlink',
      [
        { name: 'file', type: '2', link: `${canary}/kept` },
        { name: 'file', data: 'inside' },
      ],
      'file',
    ],
  ]

  it.each(contained)('with %s stays inside of its root or is refused', async (what, entries, place) => {
    const before = describeTree(canary)
    const out = workspace.path(`contained-${what.replaceAll(' ', '-')}`)
    const outcome = await unpack([layer(...entries)], out)
    expect(describeTree(canary)).toEqual(before)
    if (outcome.code === 0) expect(readLine(join(out, place))).toBe('inside')
    else expect(outcome.stderr).toMatch(/\[ERR_LAYER_(ESCAPE|INVALID)\]/)
  })

  it.each([
    ['a directory entry', { name: 'door', type: '5', mode: 0o777 }],
    ['a whiteout', { name: 'door/.wh.kept' }],
    ['an opaque mark', { name: 'door/.wh..wh..opq' }],
    ['a hard link', { name: 'copy', type: '1', link: 'door/kept' }],
  ] as const)(
    'whose lower layer has a symlink out, with %s behind it, changes nothing outside',
    async (_what, entry) => {
      const before = describeTree(canary)
      const lower = layer({ name: 'door', type: '2', link: canary })
      const outcome = await unpack([lower, layer(entry)])
      expect(describeTree(canary)).toEqual(before)
      expect([0, 1]).toContain(outcome.code)
    },
  )
})
