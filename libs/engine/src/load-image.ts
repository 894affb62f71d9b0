import { Transform, type Writable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Digest } from '@tsbuild/digest'
import { EnvironmentError, isBuildError, UserError } from '@tsbuild/errors'
import {
  type ArchiveImage,
  collectImageBlobs,
  type Descriptor,
  formatPlatform,
  formatReference,
  isAttestation,
  parseImageConfig,
  parseReference,
  readDocument,
  withDefaultTag,
  writeDockerArchive,
  writeOciArchive,
} from '@tsbuild/oci'
import { layersThere } from './choose-layers.ts'
import type { Ask } from './connection.ts'
import { askImage, askStacks, type EngineImage } from './known-layers.ts'
import { assertLoaded } from './load-answer.ts'
import type { EngineIdentity, LoadOptions, LoadResult } from './types.ts'
import { type EngineArchive, writeEngineArchive } from './write-archive.ts'

/** An engine that answers. */
export interface OpenedEngine {
  readonly ask: Ask
  readonly identity: EngineIdentity
  readonly title: string
}

/** The image as the engine is going to have it. */
interface Wanted {
  readonly id: Digest
  readonly names: readonly string[]
  /** Of the images in it. */
  readonly layers: readonly Descriptor[]
}

/** What was sent. */
type Sent = Pick<LoadResult, 'sentBytes'> & { readonly sentLayers: number }

/** Does the work of `Engine.load`. */
export async function loadImage(
  engine: OpenedEngine,
  image: ArchiveImage,
  options: LoadOptions,
): Promise<LoadResult> {
  const names = image.names.map((name) => formatReference(withDefaultTag(parseReference(name))))
  const content = await collectImageBlobs(image.root, image.open)
  const images = content.manifests.filter(({ descriptor }) => !isAttestation(descriptor))
  const layers = images.flatMap(({ manifest }) => manifest.layers)
  const [only] = images
  if (only === undefined)
    throw new UserError('ERR_UNSUPPORTED', 'Cannot load the image: its index names none')
  if (engine.identity.store === 'content') {
    const wanted = { id: image.root.digest, names, layers }
    const write = images.length > 1 ? writeOciArchive : writeDockerArchive
    return await finish(engine, wanted, options, () =>
      send(engine, { layers: layers.length, options, write: (out, signal) => write(out, image, { signal }) }),
    )
  }
  if (images.length > 1)
    throw severalPlatforms(
      engine,
      images.map(({ descriptor }) => descriptor),
    )
  assertCompression(engine, layers)
  const { config } = only.manifest
  const wanted = { id: config.digest, names, layers }
  const sendParts = async () => {
    const configBytes = await readDocument(image.open, config)
    const archive = { config, configBytes, layers, names, open: image.open }
    return await sendMissing(engine, archive, options)
  }
  return await finish(engine, wanted, options, sendParts)
}

/** Sends what is not there, and makes sure that it is afterwards. */
async function finish(
  engine: OpenedEngine,
  { id, names, layers }: Wanted,
  { signal }: LoadOptions,
  sendIt: () => Promise<Sent>,
): Promise<LoadResult> {
  const there = await askImage(engine.ask, id, signal)
  const { sentBytes, sentLayers } = there === undefined ? await sendIt() : { sentBytes: 0, sentLayers: 0 }
  if (there !== undefined) await setNames(engine, there, names, signal)
  for (const name of [id, ...names]) {
    const found = await askImage(engine.ask, name, signal)
    if (found?.id === id) continue
    const state = found === undefined ? 'it does not have it' : `it has ${found.id} under that name`
    throw new EnvironmentError(
      'ERR_ENGINE_LOAD',
      `Cannot load image "${name}" into ${engine.title}: after the load ${state}`,
    )
  }
  return { imageId: id, names, layers: { total: layers.length, sent: sentLayers }, sentBytes }
}

async function setNames(
  { ask, title }: OpenedEngine,
  image: EngineImage,
  names: readonly string[],
  signal: AbortSignal | undefined,
): Promise<void> {
  for (const name of names) {
    const { registry, repository, tag = 'latest' } = parseReference(name)
    const query = new URLSearchParams({ repo: `${registry}/${repository}`, tag })
    const answer = await ask({ method: 'POST', path: `/images/${image.id}/tag?${query}`, signal })
    if (answer.status !== 201 && answer.status !== 200)
      throw new EnvironmentError(
        'ERR_ENGINE_LOAD',
        `Cannot name image ${image.id} "${name}" in ${title}: status ${answer.status}`,
      )
  }
}

/** Leaves out what the engine has. What it said may be over by then: an image is removed, and the layers are gone. */
async function sendMissing(
  engine: OpenedEngine,
  archive: Omit<EngineArchive, 'forms'>,
  options: LoadOptions,
): Promise<Sent> {
  const { diffIds } = parseImageConfig(archive.configBytes)
  const stacks = await askStacks(engine.ask, archive.names, options.signal)
  const there = layersThere(engine.identity, diffIds, stacks)
  const left = engine.identity.kind === 'podman' ? 'empty' : 'absent'
  const attempt = (forms: EngineArchive['forms']) =>
    send(engine, {
      layers: forms.filter((form) => form === 'bytes').length,
      options,
      write: (out, signal) => writeEngineArchive(out, { ...archive, forms }, signal),
    })
  try {
    return await attempt(archive.layers.map((_, index) => (there[index] === true ? left : 'bytes')))
  } catch (error) {
    const refused = isBuildError(error) && error.code === 'ERR_ENGINE_LOAD'
    if (!refused || !there.includes(true)) throw error
    return await attempt(archive.layers.map(() => 'bytes'))
  }
}

async function send(
  { ask, title }: OpenedEngine,
  archive: {
    readonly layers: number
    readonly options: LoadOptions
    readonly write: (out: Writable, signal: AbortSignal | undefined) => Promise<void>
  },
): Promise<Sent> {
  const { signal, onProgress } = archive.options
  let sentBytes = 0
  const body = async (out: Writable) => {
    const counter = new Transform({
      transform(chunk, _encoding, done) {
        sentBytes += chunk.length
        onProgress?.(sentBytes)
        done(null, chunk)
      },
    })
    const passed = pipeline(counter, out, { end: false })
    passed.catch(() => {})
    await archive.write(counter, signal)
    counter.end()
    await passed
  }
  const answer = await ask({ method: 'POST', path: '/images/load?quiet=1', signal, body })
  assertLoaded(title, answer)
  return { sentBytes, sentLayers: archive.layers }
}

function severalPlatforms({ title }: OpenedEngine, images: readonly Descriptor[]): UserError {
  const platforms = images.flatMap(({ platform }) =>
    platform === undefined ? [] : [formatPlatform(platform)],
  )
  return new UserError(
    'ERR_UNSUPPORTED',
    `Cannot load images for ${platforms.join(', ')} into ${title}: it keeps one image under a name`,
    {
      hints: [
        'Build for one platform with --platform.',
        'Docker 23 and newer with the containerd image store keep several (`"features": {"containerd-snapshotter": true}` in daemon.json).',
      ],
    },
  )
}

/** Docker reads zstd since 23.0, whose API is 1.42; podman has since before it had a service. */
function assertCompression({ identity, title }: OpenedEngine, layers: readonly Descriptor[]): void {
  if (identity.kind === 'podman' || !layers.some(({ mediaType }) => mediaType.endsWith('+zstd'))) return
  const [major = 1, minor = 0] = (identity.apiVersion ?? '1.42').split('.').map(Number)
  if (major > 1 || minor >= 42) return
  throw new UserError(
    'ERR_UNSUPPORTED',
    `Cannot load the image into ${title}: it cannot read layers compressed with zstd`,
    {
      hints: ['Use `compression=gzip`, with `force-compression=true` where the base image has such layers.'],
    },
  )
}
