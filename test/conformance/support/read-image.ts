import { posix } from 'node:path'
import { gunzipSync } from 'node:zlib'
import type { Tree } from './entry.ts'
import { flatten } from './flatten.ts'
import { readTar } from './read-tar.ts'

/** An image config's JSON as it is stored. */
export interface RawConfig {
  readonly author?: string
  readonly created?: string
  readonly config?: Readonly<Record<string, unknown>>
  readonly history?: readonly { readonly created_by?: string; readonly empty_layer?: boolean }[]
  readonly rootfs: { readonly diff_ids: readonly string[] }
}

/** An image as it was written to an archive. */
export interface Image {
  readonly config: RawConfig
  readonly tree: Tree
}

/** Reads the one image of an OCI archive or of a `docker save` archive. @throws {Error} when it is neither */
export function readImage(archive: Buffer): Image {
  const members = new Map(readTar(archive).map((member) => [member.name.replace(/^\.\//, ''), member]))
  const file = (name: string): Buffer => {
    const member = members.get(name)
    if (member === undefined) throw new Error(`the archive has no ${name}`)
    // Docker writes a layer that several images share once, and links to it.
    return member.type === '2' ? file(posix.join(posix.dirname(name), member.link)) : member.content
  }
  const json = (name: string) => JSON.parse(file(name).toString())
  const blob = ({ digest }: { readonly digest: string }) => `blobs/${digest.replace(':', '/')}`
  // Docker's first: an archive that is both names its layers there as well.
  if (members.has('manifest.json')) {
    const [saved] = json('manifest.json')
    return imageOf(json(saved.Config), saved.Layers.map(file))
  }
  const manifest = json(blob(json('index.json').manifests[0]))
  return imageOf(
    json(blob(manifest.config)),
    manifest.layers.map((layer: { readonly digest: string }) => file(blob(layer))),
  )
}

function imageOf(config: RawConfig, layers: readonly Buffer[]): Image {
  return { config, tree: flatten(layers.map(unzip)) }
}

function unzip(layer: Buffer): Buffer {
  return layer[0] === 0x1f && layer[1] === 0x8b ? gunzipSync(layer) : layer
}
