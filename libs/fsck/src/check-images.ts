import { lstatSync, writeFileSync } from 'node:fs'
import { type Digest, digestBytes } from '@tsbuild/digest'
import {
  type Descriptor,
  isAttestation,
  type Manifest,
  mediaTypes,
  parseImageConfig,
  parseManifestOrIndex,
} from '@tsbuild/oci'
import { type Layout, parseImageEntries, type Store, salvageImageList } from '@tsbuild/store'
import { type Check, damage, type Found, type Mend } from './found.ts'
import { isErrno, isStill, type Looked, lookAt } from './look.ts'
import { both, quarantine } from './mend.ts'
import { remakeLayer } from './remake-layer.ts'
import type { Scan } from './scan.ts'
import type { Outcome } from './types.ts'

/**
 * The list of local images, and for each name whether everything of its images is there. Blobs that are there were hashed
 * already; the small ones are read anew, as a build may have stored them since.
 */
export async function* checkImages(scan: Scan): Check {
  const { layout } = scan
  const looked = lookAt(layout.index)
  const images = looked.is === 'file' ? read(looked.bytes, layout.index) : undefined
  if (images === undefined || 'problem' in images) return yield* brokenList(layout, looked, images?.problem)
  for (const image of images) {
    scan.checked.images++
    const fault = imageFault(scan, image.descriptor)
    if (fault !== undefined) yield brokenImage(scan, image, fault)
  }
}

type Listed = ReturnType<typeof parseImageEntries>[number]

function read(bytes: Buffer, path: string): readonly Listed[] | { readonly problem: string } {
  try {
    return parseImageEntries(bytes.toString(), path)
  } catch (error) {
    return { problem: messageOf(error).split(': ').at(-1) ?? '' }
  }
}

async function* brokenList(layout: Layout, looked: Looked, problem: string | undefined): Check {
  const path = layout.index
  const facts = { kind: 'image-list', path, loses: 'data' } as const
  if (looked.is === 'missing') {
    const mend = writeList(path, '')
    return yield damage({ ...facts, problem: 'it is missing', mend }, 'is made anew, without names')
  }
  const said = looked.is === 'other' ? looked.problem : (problem ?? '')
  // Between the look and the file status it was replaced: by a whole one.
  if (looked.stats === undefined || !isStill(path, looked.stats)) return
  const text = looked.is === 'file' ? looked.bytes.toString() : ''
  const mend = both(quarantine(layout, path, looked.stats), writeList(path, text))
  yield damage({ ...facts, problem: said, mend }, 'is moved to quarantine; names that can be read are kept')
}

/** Unless somebody has made one. @param damaged the text whose sound entries are kept */
function writeList(path: string, damaged: string): Mend {
  return () => {
    try {
      writeFileSync(path, salvageImageList(damaged), { flag: 'wx', mode: 0o600 })
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error
    }
    return 'repaired'
  }
}

/** Why an image cannot be used, and the layers that are missing, where that is all. */
interface Fault {
  readonly problem: string
  readonly layers: readonly Descriptor[]
}

function brokenImage(scan: Scan, { name, descriptor }: Listed, { problem, layers }: Fault): Found {
  const sources = layers.map((layer) => ({ layer, source: scan.layers.get(layer.digest) }))
  const canRemake = layers.length > 0 && sources.every(({ source }) => source !== undefined)
  const mend = async (store: Store): Promise<Outcome> => {
    if (canRemake) {
      const made = await Promise.all(
        sources.map(({ layer, source }) => source && remakeLayer(store, scan.native, layer, source)),
      )
      if (made.every((one) => one === true)) return 'repaired'
    }
    // Built or pulled again meanwhile, it is whole.
    if (name === undefined) {
      await store.images.forget(descriptor.digest)
      return 'repaired'
    }
    const now = await store.images.get(name)
    if (now?.digest === descriptor.digest) await store.images.remove(name)
    return 'repaired'
  }
  const said = `${name === undefined ? descriptor.digest : JSON.stringify(name)} is not whole: ${problem}`
  const lost = `${name === undefined ? 'is taken out of the list' : 'loses this name'}; a build or a pull gives it back`
  const repair = canRemake ? `gets its layers made again from their files, or ${lost}` : lost
  return damage({ kind: 'image', path: scan.layout.index, problem: said, loses: 'work', mend }, repair)
}

/** @returns undefined for an image that can be used */
function imageFault(scan: Scan, descriptor: Descriptor): Fault | undefined {
  const bytes = documentOf(scan, descriptor)
  if (typeof bytes === 'string') return { problem: bytes, layers: [] }
  try {
    const document = parseManifestOrIndex(bytes, descriptor.mediaType)
    if (document.type === 'manifest') return manifestFault(scan, document.manifest)
    const entries = document.index.manifests.filter((entry) => !isAttestation(entry))
    const faults = entries.flatMap((entry) => imageFault(scan, entry) ?? [])
    const [first] = faults
    if (first === undefined) return undefined
    const onlyLayers = faults.every(({ layers }) => layers.length > 0)
    return { problem: first.problem, layers: onlyLayers ? faults.flatMap(({ layers }) => layers) : [] }
  } catch (error) {
    return { problem: messageOf(error), layers: [] }
  }
}

function manifestFault(scan: Scan, { config, layers }: Manifest): Fault | undefined {
  const bytes = documentOf(scan, config)
  if (typeof bytes === 'string') return { problem: bytes, layers: [] }
  // What is no image has a config that says nothing of layers.
  const diffIds = isImageConfig(config) ? parseImageConfig(bytes).diffIds : layers
  if (diffIds.length !== layers.length) {
    const problem = `its config names ${diffIds.length} layers and its manifest ${layers.length}`
    return { problem, layers: [] }
  }
  const missing = layers.filter(({ digest, size }) => sizeOf(scan, digest) !== size)
  const [first] = missing
  return first && { problem: `its layer ${first.digest} is missing or damaged`, layers: missing }
}

function isImageConfig({ mediaType }: Descriptor): boolean {
  return mediaType === mediaTypes.ociConfig || mediaType === mediaTypes.dockerConfig
}

/** Of a blob that is whole; of one that came since the blobs were hashed, what the disk says. */
function sizeOf({ layout, blobs, damagedBlobs }: Scan, digest: Digest): number | undefined {
  if (damagedBlobs.has(digest)) return undefined
  const stats = lstatSync(layout.blob(digest), { throwIfNoEntry: false })
  return blobs.get(digest) ?? (stats?.isFile() === true ? stats.size : undefined)
}

/** Read anew: a build may have stored it since the blobs were hashed. @returns its bytes, or what is wrong */
function documentOf({ layout }: Scan, { digest, size }: Descriptor): Buffer | string {
  const looked = lookAt(layout.blob(digest))
  if (looked.is === 'missing') return `blob ${digest} is missing`
  if (looked.is === 'other' || digestBytes(looked.bytes) !== digest) return `blob ${digest} is damaged`
  return looked.bytes.length === size
    ? looked.bytes
    : `blob ${digest} has ${looked.bytes.length} bytes, and not ${size}`
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
