import { join } from 'node:path'
import { digestBytes, digestHex } from '@tsbuild/digest'
import { type Descriptor, isAttestation, parseImageConfig, parseManifestOrIndex } from '@tsbuild/oci'
import type { Layout, NamedImage } from '@tsbuild/store'
import { parseImageList } from '@tsbuild/store'
import { type Check, damage } from './found.ts'
import { lookAt } from './look.ts'
import { quarantine } from './mend.ts'
import type { Scan } from './scan.ts'

/**
 * The list of local images, and for each name whether its index, manifests and configs are whole. Layers may still be in
 * their registry, or are made again from their snapshots; those that are there were hashed already.
 */
export async function* checkImages(scan: Scan): Check {
  const { layout } = scan
  const looked = lookAt(layout.index)
  if (looked.is === 'missing') return
  const images = looked.is === 'file' ? read(looked.bytes, layout.index) : { problem: looked.problem }
  if ('problem' in images) {
    const { stats } = looked
    if (stats === undefined) throw new Error(images.problem)
    const mend = quarantine(layout, layout.index, stats)
    const found = { kind: 'image-list', path: layout.index, problem: images.problem, mend } as const
    return yield damage({ ...found, loses: 'data' }, 'is moved to quarantine; the images lose their names')
  }
  for (const image of images) {
    scan.checked.images++
    const problem = imageProblem(scan, image.descriptor)
    if (problem !== undefined) yield* brokenImage(layout, image, problem)
  }
}

function read(bytes: Buffer, path: string): readonly NamedImage[] | { readonly problem: string } {
  try {
    return parseImageList(bytes.toString(), path)
  } catch (error) {
    return {
      problem: error instanceof Error ? (error.message.split(': ').at(-1) ?? error.message) : String(error),
    }
  }
}

async function* brokenImage(layout: Layout, { name, descriptor }: NamedImage, problem: string): Check {
  yield damage(
    {
      kind: 'image',
      path: layout.index,
      problem: `${JSON.stringify(name)} cannot be used: ${problem}`,
      loses: 'work',
      mend: async (store) => {
        const now = await store.images.get(name)
        // Built or pulled again meanwhile: it is whole.
        if (now?.digest === descriptor.digest) await store.images.remove(name)
        return 'repaired' as const
      },
    },
    'loses this name; a build or a pull gives it back',
  )
}

/** @returns undefined for an image that can be used */
function imageProblem(scan: Scan, descriptor: Descriptor): string | undefined {
  const bytes = documentOf(scan, descriptor)
  if (typeof bytes === 'string') return bytes
  try {
    const document = parseManifestOrIndex(bytes, descriptor.mediaType)
    if (document.type === 'manifest')
      return configProblem(scan, document.manifest.config, document.manifest.layers)
    const entries = document.index.manifests.filter((entry) => !isAttestation(entry))
    return entries.map((entry) => imageProblem(scan, entry)).find((problem) => problem !== undefined)
  } catch (error) {
    return messageOf(error)
  }
}

function configProblem(scan: Scan, config: Descriptor, layers: readonly Descriptor[]): string | undefined {
  const bytes = documentOf(scan, config)
  if (typeof bytes === 'string') return bytes
  const { diffIds } = parseImageConfig(bytes)
  if (diffIds.length !== layers.length)
    return `its config names ${diffIds.length} layers and its manifest ${layers.length}`
  const short = layers.find(({ digest, size }) => (scan.blobs.get(digest) ?? size) !== size)
  return short && `its layer ${short.digest} has ${scan.blobs.get(short.digest)} bytes, and not ${short.size}`
}

/** Read anew: a build may have stored it since the blobs were hashed. @returns its bytes, or what is wrong */
function documentOf({ layout }: Scan, { digest, size }: Descriptor): Buffer | string {
  const looked = lookAt(join(layout.blobs, digestHex(digest)))
  if (looked.is === 'missing') return `blob ${digest} is missing`
  if (looked.is === 'other' || digestBytes(looked.bytes) !== digest) return `blob ${digest} is damaged`
  return looked.bytes.length === size
    ? looked.bytes
    : `blob ${digest} has ${looked.bytes.length} bytes, and not ${size}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
