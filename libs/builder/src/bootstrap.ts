import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { mkdtemp, open, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { chainIdOf, digestBytes, digestFromHex, type parseDiffId } from '@tsbuild/digest'
import { EnvironmentError, UserError } from '@tsbuild/errors'
import {
  type Descriptor,
  formatPlatform,
  formatReference,
  hostPlatform,
  type ImageConfig,
  interpreterOf,
  mediaTypes,
  normalizePlatform,
  type Platform,
  parsePlatform,
  parseReference,
  platformsOf,
  samePlatform,
  serializeImageConfig,
  serializeManifest,
  withDefaultTag,
} from '@tsbuild/oci'
import { createSnapshotter } from '@tsbuild/snapshot'
import type { NamedImage } from '@tsbuild/store'
import { selectSources } from './apt-sources.ts'
import { withPlatformHints } from './foreign-platform.ts'
import { imagesOf, nameForPlatform } from './local-image.ts'
import type { Machine } from './machine.ts'
import type { BootstrapOptions } from './run-types.ts'

/**
 * Makes a Debian image from the distribution's packages with mmdebstrap and the host's apt sources, and stores it under
 * its local name. An image of the name that is there already is left alone unless `force` is given.
 *
 * @throws {UserError} `ERR_UNSUPPORTED` for anything but `debian:SUITE`; `ERR_PLATFORM_INVALID`
 * @throws {EnvironmentError} `ERR_STEP_PLATFORM`; `ERR_TOOL_MISSING` without mmdebstrap, `ERR_BOOTSTRAP` with its last lines if it fails
 */
export async function bootstrapImage(machine: Machine, options: BootstrapOptions): Promise<NamedImage> {
  const reference = withDefaultTag(parseReference(options.image))
  const name = formatReference(reference)
  const suite = reference.tag
  if (reference.repository.split('/').at(-1) !== 'debian' || suite === undefined || suite === 'latest') {
    throw new UserError('ERR_UNSUPPORTED', `Cannot bootstrap "${options.image}": expected debian:SUITE`, {
      hints: ['For example `tsbuild bootstrap debian:bookworm`.'],
    })
  }
  const platform = platformOf(options)
  const existing = await machine.store.images.get(name)
  if (existing !== undefined && options.force !== true && (await serves(machine, existing, platform)))
    return { name, descriptor: existing }
  await assertRunnable(machine, platform)
  const directory = await mkdtemp(join(tmpdir(), 'tsbuild-bootstrap-'))
  try {
    const tar = join(directory, 'root.tar')
    await runMmdebstrap(machine, options, { suite: suite.replace(/-slim$/, ''), directory, tar, platform })
    return { name, descriptor: await importTar(machine, { name, platform }, tar) }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
}

/** Debian's names. */
const debianArchitectures: ReadonlyMap<string, string> = new Map([
  ['linux/386', 'i386'],
  ['linux/amd64', 'amd64'],
  ['linux/arm64', 'arm64'],
  ['linux/arm/v5', 'armel'],
  ['linux/arm/v6', 'armel'],
  ['linux/arm/v7', 'armhf'],
  ['linux/loong64', 'loong64'],
  ['linux/mips64le', 'mips64el'],
  ['linux/ppc64le', 'ppc64el'],
  ['linux/riscv64', 'riscv64'],
  ['linux/s390x', 's390x'],
])

/** @throws {UserError} `ERR_PLATFORM_INVALID` */
function platformOf({ platform: given }: BootstrapOptions): Platform {
  const host = hostPlatform(process.arch)
  const platform = normalizePlatform(given === undefined ? host : parsePlatform(given, host))
  if (debianArchitectures.has(formatPlatform(platform))) return platform
  throw new UserError(
    'ERR_PLATFORM_INVALID',
    `Cannot bootstrap for ${formatPlatform(platform)}: Debian has no such architecture`,
    { hints: [`It has ${[...debianArchitectures.keys()].join(', ')}.`] },
  )
}

function isForeign(platform: Platform): boolean {
  const { architecture } = hostPlatform(process.arch)
  const isNative = platform.architecture === architecture
  return !isNative && !(architecture === 'amd64' && platform.architecture === '386')
}

/**
 * The scripts of packages must run, so unlike with a build it is known beforehand what is needed.
 * @throws {EnvironmentError} `ERR_STEP_PLATFORM`
 */
async function assertRunnable({ native }: Machine, platform: Platform): Promise<void> {
  if (!isForeign(platform)) return
  const { interpreters } = await native.probe()
  if (platformsOf(interpreters).some((known) => samePlatform(known, platform))) return
  const message = `Cannot run programs for ${formatPlatform(platform)}: no interpreter (${interpreterOf(platform)}) is registered with binfmt_misc`
  throw withPlatformHints(new EnvironmentError('ERR_STEP_PLATFORM', message))
}

async function serves({ store }: Machine, existing: Descriptor, platform: Platform): Promise<boolean> {
  const images = await imagesOf(store, existing)
  return images.some(({ config }) => samePlatform(config.platform, platform))
}

async function runMmdebstrap(
  machine: Machine,
  options: BootstrapOptions,
  target: {
    readonly suite: string
    readonly directory: string
    readonly tar: string
    readonly platform: Platform
  },
): Promise<void> {
  const sources = await hostSources(target.suite, target.directory)
  const args = [
    `--variant=${options.variant ?? 'minbase'}`,
    `--mode=${machine.native.rootless ? 'unshare' : 'root'}`,
    '--format=tar',
    `--architectures=${debianArchitectures.get(formatPlatform(target.platform))}`,
    // Only root can unpack device nodes; every step gets a /dev of its own.
    // Of a foreign architecture mmdebstrap would ask a program of its own whether it can be run.
    `--skip=output/dev${isForeign(target.platform) ? ',check/qemu' : ''}`,
    '--aptopt=Acquire::Languages "none"',
    ...(options.packages === undefined || options.packages.length === 0
      ? []
      : [`--include=${options.packages.join(',')}`]),
    target.suite,
    target.tar,
    ...sources,
  ]
  const log: string[] = []
  const onLog = (text: string) => {
    log.push(text)
    options.onLog?.(text)
  }
  const code = await runTool('mmdebstrap', args, onLog, options.signal)
  if (code === 0) return
  const lastLines = log.join('').trimEnd().split('\n').slice(-20)
  throw new EnvironmentError(
    'ERR_BOOTSTRAP',
    `Cannot bootstrap "${options.image}": mmdebstrap ended with exit code ${code}`,
    {
      // Who was given the log as it came need not see its end again.
      details: options.onLog === undefined ? { lastLines } : {},
    },
  )
}

/** The host's own apt sources for a suite, as files that mmdebstrap reads; none: mmdebstrap's own choice. */
async function hostSources(suite: string, directory: string): Promise<readonly string[]> {
  const listDirectory = '/etc/apt/sources.list.d'
  const names = await readdir(listDirectory).catch(() => [])
  const paths = ['/etc/apt/sources.list', ...names.sort().map((file) => join(listDirectory, file))]
  const files: string[] = []
  for (const path of paths) {
    const text = await readFile(path, 'utf8').catch(() => '')
    const selected = selectSources(path, text, suite)
    if (selected === '') continue
    const file = join(directory, `${files.length}${path.endsWith('.sources') ? '.sources' : '.list'}`)
    await writeFile(file, selected)
    files.push(file)
  }
  return files
}

function runTool(
  program: string,
  args: readonly string[],
  onLog: (text: string) => void,
  signal: AbortSignal | undefined,
): Promise<number> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C.UTF-8' },
      signal,
    })
    child.stdout.setEncoding('utf8').on('data', onLog)
    child.stderr.setEncoding('utf8').on('data', onLog)
    child.once('error', (cause) => {
      const hints = ['Install it: `apt-get install mmdebstrap`.']
      if (signal?.aborted) reject(new UserError('ERR_CANCELLED', 'The bootstrap was cancelled'))
      else reject(new EnvironmentError('ERR_TOOL_MISSING', `Cannot run ${program}`, { cause, hints }))
    })
    child.once('close', (code) => resolve(code ?? 1))
  })
}

interface NewImage {
  readonly name: string
  readonly platform: Platform
}

/** Turns a root file system's tar into an image of one layer. */
async function importTar(machine: Machine, image: NewImage, tar: string) {
  const { store, native } = machine
  const hash = createHash('sha256')
  await pipeline(createReadStream(tar), hash)
  const digest = digestFromHex(hash.digest('hex'))
  const draft = await store.snapshots.draft()
  const file = await open(tar, 'r')
  try {
    const limits = { maxBytes: 64 * 2 ** 30, maxEntries: 2_000_000, maxRatio: 1000 }
    const { size } = await stat(tar)
    const request = {
      target: draft.upper,
      lower: [],
      compression: 'none',
      digest,
      sizeBytes: size,
      diffId: digest,
      limits,
    } as const
    await native.apply(request, file.fd)
    await draft.commit([])
  } catch (error) {
    await draft.release()
    throw error
  } finally {
    await file.close()
  }
  const snapshotter = createSnapshotter({
    store,
    native,
    fetch: () => Promise.reject(new Error('a bootstrapped image is local')),
  })
  const layer = await snapshotter.layerBlob(
    draft.id,
    { compression: { format: 'gzip', level: 6 }, clampMtime: null },
    {},
  )
  const chain = chainIdOf([layer.diffId])
  if (chain !== undefined) await snapshotter.adopt([{ chain, id: draft.id, diffId: layer.diffId }])
  return await storeImage(machine, image, layer)
}

async function storeImage(
  { store, now }: Machine,
  { name, platform }: NewImage,
  layer: {
    readonly mediaType: string
    readonly digest: ReturnType<typeof digestBytes>
    readonly size: number
    readonly diffId: ReturnType<typeof parseDiffId>
  },
) {
  const created = new Date(now()).toISOString()
  const imageConfig: ImageConfig = {
    created,
    platform,
    config: { env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], cmd: ['bash'] },
    diffIds: [layer.diffId],
    history: [{ created, createdBy: `tsbuild bootstrap ${name}` }],
  }
  const config = serializeImageConfig(imageConfig)
  const configDescriptor = {
    mediaType: mediaTypes.ociConfig,
    digest: digestBytes(config),
    size: config.length,
  }
  const { mediaType, digest, size } = layer
  const manifest = serializeManifest({
    mediaType: mediaTypes.ociManifest,
    config: configDescriptor,
    layers: [{ mediaType, digest, size }],
    annotations: {},
  })
  const descriptor = {
    mediaType: mediaTypes.ociManifest,
    digest: digestBytes(manifest),
    size: manifest.length,
  }
  await store.blobs.put(config, configDescriptor)
  await store.blobs.put(manifest, descriptor)
  return await nameForPlatform(store, name, { descriptor, config: imageConfig })
}
