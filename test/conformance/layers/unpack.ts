import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Native } from '@tsbuild/native'
import type { Place } from './survey.ts'

/** Archives of one image, lowest first, in the folder that the results go to. */
export interface Unpacking {
  readonly folder: string
  readonly archives: readonly Buffer[]
}

/** A tree, or why there is none. */
export type Unpacked = { readonly place: Place } | { readonly refusal: string }

const limits = { maxBytes: 64 * 2 ** 30, maxEntries: 2_000_000, maxRatio: 1000 }

/** Unpacks archives one upon the other with the helper; `refusal` is the code of the error. */
export async function unpackWithHelper(native: Native, { folder, archives }: Unpacking): Promise<Unpacked> {
  const lower: string[] = []
  for (const [at, archive] of archives.entries()) {
    const target = join(folder, `${at}`)
    const path = join(folder, 'blob')
    mkdirSync(folder, { recursive: true })
    writeFileSync(path, archive)
    try {
      await applyBlob(native, { path, target, lower })
    } catch (error) {
      return { refusal: (error as { code: string }).code }
    }
    lower.unshift(target)
  }
  const [only = folder] = lower
  return { place: lower.length === 1 ? { root: only } : { lower } }
}

/** Writes the topmost layer that {@link unpackWithHelper} left in `folder` as an archive, and unpacks that in its place. */
export async function rewriteLayer(native: Native, folder: string): Promise<Place> {
  const trees = ['1', '0'].map((name) => join(folder, name)).filter((path) => existsSync(path))
  const [upper = folder, ...lower] = trees
  const path = join(folder, 'written')
  const fd = openSync(path, 'w+')
  try {
    const compression = { format: 'none', level: 0 } as const
    await native.diff({ upper, form: { compression, clampMtime: null } }, fd)
  } finally {
    closeSync(fd)
  }
  const target = join(folder, 'again')
  await applyBlob(native, { path, target, lower })
  return lower.length === 0 ? { root: target } : { lower: [target, ...lower] }
}

async function applyBlob(
  native: Native,
  { path, target, lower }: { path: string; target: string; lower: readonly string[] },
): Promise<void> {
  mkdirSync(target, { recursive: true })
  const bytes = readFileSync(path)
  const digest = digestOf(bytes)
  const blob = { compression: 'none', digest, sizeBytes: bytes.length, diffId: digest, limits } as const
  const fd = openSync(path, 'r')
  try {
    await native.apply({ target, lower, ...blob }, fd)
  } finally {
    closeSync(fd)
  }
}

/** Unpacks the same image with umoci; `refusal` is what it says. */
export async function unpackWithUmoci({ folder, archives }: Unpacking): Promise<Unpacked> {
  const root = join(folder, 'rootfs')
  const layout = join(folder, 'layout')
  writeLayout(layout, archives)
  try {
    await promisify(execFile)('umoci', ['raw', 'unpack', '--image', `${layout}:case`, root], {
      timeout: 60_000,
    })
  } catch (error) {
    return { refusal: String((error as { stderr?: string }).stderr ?? error).trim() }
  }
  return { place: { root } }
}

const oci = 'application/vnd.oci.image'

/** Writes an OCI layout with one image, tagged `case`, whose layers are these archives, not compressed. */
export function writeLayout(folder: string, archives: readonly Buffer[]): void {
  const blobs = join(folder, 'blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  const put = (mediaType: string, bytes: Buffer) => {
    const digest = digestOf(bytes)
    writeFileSync(join(blobs, digest.slice('sha256:'.length)), bytes)
    return { mediaType, digest, size: bytes.length }
  }
  const json = (mediaType: string, value: unknown) => put(mediaType, Buffer.from(JSON.stringify(value)))
  const layers = archives.map((archive) => put(`${oci}.layer.v1.tar`, archive))
  const config = json(`${oci}.config.v1+json`, {
    architecture: 'amd64',
    os: 'linux',
    config: {},
    rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
  })
  const mediaType = `${oci}.manifest.v1+json`
  const manifest = json(mediaType, { schemaVersion: 2, mediaType, config, layers })
  const annotations = { 'org.opencontainers.image.ref.name': 'case' }
  writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
  writeFileSync(
    join(folder, 'index.json'),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...manifest, annotations }] }),
  )
}

/** `sha256:` and hex. */
export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
