import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { makeTar, type TarEntry } from './tar.ts'

/** The files of a tree: path → text. */
export type FlatTree = ReadonlyMap<string, string>

/** A layer as an archive, and what all files are once it lies upon those below. */
export interface TinyLayer {
  readonly tar: Buffer
  readonly tree: FlatTree
}

/**
 * Layers of a few files each, lowest first: they add, overwrite and remove files, empty a directory and fill it again, and
 * make a file of a directory and a directory of it.
 *
 * @param busybox the program that the lowest layer has as `/bin/busybox`
 */
export function tinyLayers(count: number, busybox: string): readonly TinyLayer[] {
  const tree = new Map<string, string>()
  return Array.from({ length: count }, (_, at) => {
    const entries: TarEntry[] = at === 0 ? base(busybox) : change(at, tree)
    return { tar: makeTar(entries), tree: new Map(tree) }
  })
}

function base(busybox: string): TarEntry[] {
  const applets = ['sh', 'find', 'sort', 'cat', 'true', 'ls']
  return [
    ...['bin', 'etc', 'tree'].map((name) => ({ name: `${name}/`, type: '5' }) as const),
    { name: 'bin/busybox', mode: 0o755, data: readFileSync(busybox) },
    ...applets.map((name) => ({ name: `bin/${name}`, type: '2', link: 'busybox' }) as const),
    { name: 'etc/passwd', data: 'root:x:0:0:root:/:/bin/sh\n' },
  ]
}

/** What layer `at` holds; the tree is changed with it. */
function change(at: number, tree: Map<string, string>): TarEntry[] {
  const entries: TarEntry[] = []
  const write = (path: string, text: string) => {
    tree.set(path, text)
    entries.push({ name: path, data: text })
  }
  const removeBelow = (path: string) => {
    for (const known of tree.keys()) if (known === path || known.startsWith(`${path}/`)) tree.delete(known)
  }
  write(`tree/a/${at}`, `${at}`)
  write('tree/newest', `${at}`)
  if (at % 7 === 3) {
    removeBelow(`tree/a/${at - 2}`)
    entries.push({ name: `tree/a/.wh.${at - 2}` })
  }
  if (at % 41 === 20) {
    removeBelow('tree/b')
    entries.push({ name: 'tree/b/', type: '5' }, { name: 'tree/b/.wh..wh..opq' })
  }
  write(`tree/b/${at % 13}`, `${at}`)
  if (at % 30 === 10) {
    removeBelow('tree/c')
    write('tree/c', `a file since ${at}`)
  }
  if (at % 30 === 25) {
    removeBelow('tree/c')
    entries.push({ name: 'tree/c/', type: '5' })
    write('tree/c/in', `a directory since ${at}`)
  }
  return entries
}

/**
 * Writes an OCI layout with one image for each of `heights`: the lowest so many layers, tagged by their number.
 */
export function writeLayeredImages(
  folder: string,
  layers: readonly TinyLayer[],
  heights: readonly number[],
): void {
  const blobs = join(folder, 'blobs/sha256')
  mkdirSync(blobs, { recursive: true })
  const put = (bytes: Buffer) => {
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(blobs, hex), bytes)
    return { digest: `sha256:${hex}`, size: bytes.length }
  }
  const json = (value: unknown) => put(Buffer.from(JSON.stringify(value)))
  const oci = 'application/vnd.oci.image'
  const described = layers.map(({ tar }) => ({ mediaType: `${oci}.layer.v1.tar`, ...put(tar) }))
  const manifests = heights.map((height) => {
    const mine = described.slice(0, height)
    const rootfs = { type: 'layers', diff_ids: mine.map(({ digest }) => digest) }
    const config = json({
      architecture: 'amd64',
      os: 'linux',
      config: { Env: ['PATH=/bin'] },
      rootfs,
      history: mine.map((_, at) => ({ created_by: `layer ${at}` })),
    })
    const manifest = json({
      schemaVersion: 2,
      mediaType: `${oci}.manifest.v1+json`,
      config: { mediaType: `${oci}.config.v1+json`, ...config },
      layers: mine,
    })
    const annotations = { 'org.opencontainers.image.ref.name': `${height}` }
    return { mediaType: `${oci}.manifest.v1+json`, ...manifest, annotations }
  })
  writeFileSync(join(folder, 'oci-layout'), JSON.stringify({ imageLayoutVersion: '1.0.0' }))
  writeFileSync(join(folder, 'index.json'), JSON.stringify({ schemaVersion: 2, manifests }))
}
