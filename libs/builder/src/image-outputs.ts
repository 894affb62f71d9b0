import { UserError } from '@tsbuild/errors'
import {
  type AssembledTree,
  assembleImage,
  assembleTree,
  type ConfigMembers,
  type ExportContext,
  type ExporterOptions,
  exportArchive,
  exportToStore,
  type ImageForm,
  type PlatformImage,
  pushImage,
} from '@tsbuild/exporter'
import type { FrontendResult } from '@tsbuild/frontend'
import { formatReference, parseReference } from '@tsbuild/oci'
import type { Filesystem } from '@tsbuild/snapshot'
import { annotationsOf } from './annotations.ts'
import type { Attestations } from './attestations/create-attestations.ts'
import { writeLayout } from './layout-output.ts'
import { epochOf, formOf } from './output-form.ts'
import { namesOf } from './output-names.ts'
import type { ArchiveOutput, ImageLikeOutput, ImageOutput } from './output-types.ts'
import type { BuildOptions } from './types.ts'

/** What was built for one platform. */
export interface PlatformResult {
  readonly frontend: FrontendResult
  readonly filesystem: Filesystem
}

/** What the images of a build are made from. */
export interface ImageSource {
  readonly exporter: ExporterOptions
  readonly options: BuildOptions
  readonly platforms: readonly PlatformResult[]
  /** See {@link TreeParts.attestationsOf}. */
  readonly attestations?: Attestations | undefined
  /** A cache within the images. */
  readonly configMembers?: ConfigMembers | undefined
}

/** An image or index that outputs of one form share. */
export interface MadeImage {
  readonly tree: AssembledTree
  /** In the order of the platforms. */
  readonly images: readonly PlatformImage[]
}

/** Makes the image of an output; outputs that want the same one get the same one. */
export type ImageMaker = (output: ImageLikeOutput, context: ExportContext) => Promise<MadeImage>

/** Nothing is made before it is asked for. */
export function createImageMaker(source: ImageSource): ImageMaker {
  const made = new Map<string, Promise<MadeImage>>()
  return (output, context) => {
    const form = formOf(output, source.options)
    const specs = [...(source.options.annotations ?? []), ...(output.annotations ?? [])]
    const { sourceDateEpoch, ociArtifact, attestationInline } = output
    // What is said about an image says how it is called.
    const names = source.attestations === undefined ? [] : namesOf(output, source.options)
    const key = JSON.stringify([form, specs, sourceDateEpoch, ociArtifact, attestationInline, names])
    const known = made.get(key) ?? makeImage(source, output, form, context)
    made.set(key, known)
    return known
  }
}

async function makeImage(
  { exporter, options, platforms, attestations, configMembers }: ImageSource,
  output: ImageLikeOutput,
  form: ImageForm,
  context: ExportContext,
): Promise<MadeImage> {
  const specs = [...(options.annotations ?? []), ...(output.annotations ?? [])]
  const annotations = annotationsOf(
    specs,
    platforms.map(({ frontend }) => frontend.image.platform),
  )
  const images: PlatformImage[] = []
  // One after the other: each makes several layers at a time, which take a process with threads each.
  for (const { frontend, filesystem } of platforms) {
    const { image: draft } = frontend
    const { platform } = draft
    const parts = {
      draft,
      filesystem,
      form,
      sourceDateEpoch: epochOf(output, frontend),
      annotations: annotations.of(platform),
      configMembers,
    }
    images.push({ platform, image: await assembleImage(exporter, parts, context) })
  }
  const { mediaTypes } = form
  const tree = await assembleTree(exporter, {
    images,
    mediaTypes,
    annotations: annotations.index,
    attestationsOf: (image, platform) =>
      attestations?.ofImage(image, platform, output, context) ?? Promise.resolve(undefined),
  })
  return { tree, images }
}

/** Where an image goes. */
export interface ImageTarget {
  readonly exporter: ExporterOptions
  readonly tree: AssembledTree
  /** In full form. */
  readonly names: readonly string[]
  readonly context: ExportContext
  /** Says a line about what is done. */
  readonly done: (what: string) => void
}

/**
 * Writes an image to the local list, to registries or to both.
 *
 * @returns the names that it has now
 * @throws {UserError} `ERR_USAGE` for a push without a name
 */
export async function writeNamedImage(
  target: ImageTarget,
  output: ImageOutput,
  registry: ExporterOptions['registry'],
): Promise<readonly string[]> {
  const { exporter, tree, context, done } = target
  const names = withDangling(target.names, output, tree)
  const { push = output.type === 'registry', store = output.type === 'image', pushByDigest } = output
  if (store) {
    const canonical = output.nameCanonical === true ? names.filter(hasNoDigest).map(withDigestOf(tree)) : []
    await exportToStore(exporter, tree, [...names, ...canonical], context)
    done(`writing image ${idOf(tree)}`)
    for (const name of [...names, ...canonical]) done(`naming to ${name}`)
  }
  if (!push) return names
  if (names.length === 0) {
    const hints = ['Name it with --tag.']
    throw new UserError('ERR_USAGE', 'Cannot push: the image has no name', { hints })
  }
  for (const name of names) {
    await pushImage(exporter, tree, name, context, { byDigest: pushByDigest, registry })
    done(`pushing manifest for ${hasNoDigest(name) ? withDigestOf(tree)(name) : name}`)
  }
  return names
}

function withDangling(
  names: readonly string[],
  { danglingNamePrefix: prefix, danglingNameEmptyOnly = false }: ImageOutput,
  tree: AssembledTree,
): readonly string[] {
  if (prefix === undefined || (danglingNameEmptyOnly && names.length > 0)) return names
  return [...names, formatReference(parseReference(`${prefix}@${tree.root.digest}`))]
}

const hasNoDigest = (name: string) => !name.includes('@')

const withDigestOf = (tree: AssembledTree) => (name: string) => `${name}@${tree.root.digest}`

/** Docker's image id, where it is one image. */
function idOf({ root, manifests }: AssembledTree): string {
  const [only] = manifests
  return only?.manifest.digest === root.digest ? only.config.digest : root.digest
}

/** Writes an archive or a layout. @param dest absolute, or a stream */
export async function writeImageFile(
  target: ImageTarget,
  { type, tar = true }: ArchiveOutput,
  dest: ArchiveOutput['dest'],
): Promise<readonly string[]> {
  const { exporter, tree, names, context, done } = target
  if (!tar && typeof dest === 'string') await writeLayout(target, dest)
  else await exportArchive(exporter, tree, { type, dest, names }, context)
  done(`writing image ${idOf(tree)}`)
  for (const name of names) done(`naming to ${name}`)
  return names
}
