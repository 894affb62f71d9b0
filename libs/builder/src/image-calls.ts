import type { Digest } from '@tsbuild/digest'
import { UserError } from '@tsbuild/errors'
import { writeOutput } from '@tsbuild/exporter'
import {
  type Descriptor,
  familiarName,
  formatReference,
  hostPlatform,
  type ImageReference,
  type Platform,
  parsePlatform,
  parseReference,
  withDefaultTag,
} from '@tsbuild/oci'
import {
  copyImage as copyBetween,
  findLocalImage,
  formatImagePlace,
  type ImagePlace,
  loadArchive,
  localName,
  type OnProgress,
  type PlaceOptions,
  parseImagePlace,
  saveArchive,
} from '@tsbuild/transfer'
import type {
  CopyImageOptions,
  CopyReport,
  ImageCallOptions,
  LoadedImage,
  LoadImagesOptions,
  MovedImage,
  PullOptions,
  PushOptions,
  SaveImagesOptions,
} from './image-types.ts'
import { createInternalVertices } from './internal-vertex.ts'
import { type Machine, randomId } from './machine.ts'
import { whyEnded } from './why-ended.ts'

/** See `Builder.pullImage`. */
export async function pullImage(machine: Machine, options: PullOptions): Promise<MovedImage> {
  const reference = withDefaultTag(parseReference(options.name))
  const name = formatReference(reference)
  const before = await machine.store.images.get(name)
  const { root, moved } = await shown(machine, options, `pulling ${name}`, (onProgress) =>
    copyBetween(
      { type: 'registry', reference },
      { type: 'store', name },
      {
        ...placeOptions(machine, options),
        platforms: platformsOf(options.platforms ?? [hostName()]),
        // Asked for by nobody, an image for another platform is what there is.
        strict: options.platforms !== undefined && options.platforms !== 'all',
        referrers: options.referrers,
        onProgress,
      },
    ),
  )
  return { name, descriptor: root, changed: moved || before?.digest !== root.digest }
}

/** See `Builder.pushImage`. */
export async function pushImage(machine: Machine, options: PushOptions): Promise<readonly MovedImage[]> {
  const names = options.allTags === true ? await namesOf(machine, options.name) : [localName(options.name)]
  const pushed: MovedImage[] = []
  for (const name of names) {
    const { root, moved } = await shown(machine, options, `pushing ${name}`, (onProgress) =>
      copyBetween(
        { type: 'store', name },
        { type: 'registry', reference: parseReference(name) },
        {
          ...placeOptions(machine, options),
          platforms: platformsOf(options.platform === undefined ? 'all' : [options.platform]),
          strict: true,
          referrers: options.referrers,
          onProgress,
        },
      ),
    )
    pushed.push({ name, descriptor: root, changed: moved })
  }
  return pushed
}

/** Every local name of a repository. */
async function namesOf({ store }: Machine, text: string): Promise<readonly string[]> {
  const wanted = parseReference(text)
  if (wanted.tag !== undefined || wanted.digest !== undefined)
    throw new UserError('ERR_USAGE', `Cannot push all tags of "${text}": it names one of them already`)
  const names = (await store.images.list()).map(({ name }) => name)
  const own = names.filter((name) => {
    const reference = referenceIfAny(name)
    return (
      reference?.registry === wanted.registry &&
      reference.repository === wanted.repository &&
      reference.tag !== undefined
    )
  })
  if (own.length > 0) return own
  throw new UserError(
    'ERR_IMAGE_NOT_FOUND',
    `Cannot push all tags of "${text}": there is no local image of this repository`,
    {
      hints: ['`tsbuild images` lists them.'],
    },
  )
}

/** The list may have names that another tool gave. */
function referenceIfAny(name: string): ImageReference | undefined {
  try {
    return parseReference(name)
  } catch {
    return undefined
  }
}

/** See `Builder.copyImage`. */
export async function copyImage(machine: Machine, options: CopyImageOptions): Promise<CopyReport> {
  const from = parseImagePlace(options.from)
  const to = parseImagePlace(options.to)
  const places = placeOptions(machine, options)
  const title = `copying ${formatImagePlace(from)} to ${formatImagePlace(to)}`
  const { root, moved, referrers } = await shown(machine, options, title, (onProgress) =>
    copyBetween(from, to, {
      ...places,
      // The archive holds one.
      platforms: platformsOf(options.platforms ?? (to.type === 'docker-archive' ? [hostName()] : 'all')),
      strict: options.platforms !== undefined && options.platforms !== 'all',
      referrers: options.referrers,
      onProgress,
    }),
  )
  if (options.referrers !== true) return { descriptor: root, moved, referrers }
  const { copySignatures } = await import('./copy-signatures.ts')
  const signatures = await copySignatures(machine, from, to, root, places)
  return { descriptor: root, moved, referrers: referrers + signatures }
}

/** See `Builder.tagImage`. */
export async function tagImage({ store }: Machine, source: string, target: string): Promise<string> {
  const reference = withDefaultTag(parseReference(target))
  if (reference.digest !== undefined)
    throw new UserError('ERR_REFERENCE_INVALID', `Cannot tag "${target}": a name that is given has no digest`)
  const { descriptor } = await findLocalImage(store, source)
  await store.images.set([formatReference(reference)], descriptor)
  return formatReference(reference)
}

/** See `Builder.saveImages`. */
export async function saveImages(
  machine: Machine,
  options: SaveImagesOptions,
): Promise<readonly Descriptor[]> {
  const { format, names, output, referrers } = options
  return await shown(machine, options, `saving ${names.join(', ')}`, (onProgress) =>
    saveArchive(names, output, {
      ...placeOptions(machine, options),
      format,
      platforms: platformsOf(options.platforms ?? 'all'),
      referrers,
      onProgress,
    }),
  )
}

/** See `Builder.loadImages`. */
export async function loadImages(
  machine: Machine,
  options: LoadImagesOptions,
): Promise<readonly LoadedImage[]> {
  const label = options.input === '-' ? 'standard input' : options.input
  const loaded = await shown(machine, options, `loading ${label}`, (onProgress) =>
    loadArchive(options.input, {
      ...placeOptions(machine, options),
      platforms: platformsOf(options.platforms ?? 'all'),
      onProgress,
    }),
  )
  return loaded.map(({ names, root }) => ({ names, descriptor: root }))
}

/** What places are opened with by a builder. */
export function placeOptions(
  { store, registry }: Machine,
  options: Pick<CopyImageOptions, 'signal' | 'stdin' | 'stdout'> & { readonly cwd?: string | undefined },
): PlaceOptions {
  const { cwd = '/', signal, stdin, stdout } = options
  return { store, registry: () => registry(), cwd, signal, stdin, stdout, writeOutput }
}

/** Texts as platforms; what is left out of one is the machine's. @throws {UserError} `ERR_PLATFORM_INVALID` */
export function platformsOf(texts: 'all' | readonly string[]): 'all' | readonly Platform[] {
  if (texts === 'all') return texts
  const host = hostPlatform(process.arch)
  return texts.map((text) => parsePlatform(text, host))
}

function hostName(): string {
  const { os, architecture } = hostPlatform(process.arch)
  return `${os}/${architecture}`
}

/**
 * Runs work as one vertex, and each blob that is moved as a status of it.
 * @throws {UserError} `ERR_CANCELLED` when the signal has fired; what the work throws
 */
export async function shown<T>(
  { now }: Machine,
  { onEvent = () => {}, signal }: ImageCallOptions,
  title: string,
  work: (onProgress: OnProgress) => Promise<T>,
): Promise<T> {
  const vertices = createInternalVertices(randomId().slice(0, 24), onEvent, now)
  const status =
    (vertex: Digest): OnProgress =>
    (progress) => {
      const { digest, currentBytes, totalBytes, outcome } = progress
      const amounts = { id: digest, currentBytes, totalBytes, done: outcome !== undefined }
      onEvent({ type: 'vertex.status', vertex, ...amounts, ...(outcome && { outcome }), at: now() })
    }
  return await vertices.run(title, async (vertex) => {
    try {
      signal?.throwIfAborted()
      return await work(status(vertex))
    } catch (error) {
      throw signal === undefined ? error : whyEnded(error, signal)
    }
  })
}

/** The form of a place that people write. */
export function familiarPlace(place: ImagePlace): string {
  return place.type === 'registry' ? familiarName(place.reference) : formatImagePlace(place)
}
