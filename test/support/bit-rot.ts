import { spawnSync } from 'node:child_process'
import {
  appendFileSync,
  copyFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type BuildResult, build, type FindingKind, type VerifyReport, verify } from '@tsbuild/builder'
import { isBuildError } from '@tsbuild/errors'
import { parseManifest } from '@tsbuild/oci'
import { findProgram } from './capabilities.ts'
import { type SourceServer, startSourceServer } from './source-server.ts'
import { check } from './tsbuild.ts'
import { openWorkspace } from './workspace.ts'

/** What can happen to a file on a disk. */
export const damages = {
  flip: (path: string) => {
    const bytes = readFileSync(path)
    const at = bytes.length >> 1
    bytes[at] = (bytes[at] ?? 0) ^ 0x10
    overwrite(path, bytes)
  },
  truncate: (path: string) => truncateSync(path, lstatSync(path).size >> 1),
  extend: (path: string) => appendFileSync(path, 'more'),
  zero: (path: string) => overwrite(path, Buffer.alloc(lstatSync(path).size)),
  delete: (path: string) => rmSync(path),
  directory: (path: string) => {
    rmSync(path)
    mkdirSync(path)
  },
  symlink: (path: string) => {
    rmSync(path)
    symlinkSync('/etc/passwd', path)
  },
  fifo: (path: string) => {
    rmSync(path)
    spawnSync('mkfifo', [path])
  },
} as const

/** A name of {@link damages}. */
export type Damage = keyof typeof damages

/** In place, whatever the mode: a disk asks nobody. */
function overwrite(path: string, bytes: Uint8Array): void {
  writeFileSync(path, bytes, { flag: 'r+' })
}

/** A store in which a real build left every kind of file, and the build that made it. */
export interface RottingStore {
  /** The store, never damaged itself. */
  readonly root: string
  /** The manifest of the image. */
  readonly digest: string
  /** Paths below the root, by kind of file. */
  readonly files: Readonly<Record<string, string>>
  /** A copy to be damaged. */
  readonly copy: () => Promise<string>
  /** The same build on another store. */
  readonly rebuild: (root: string) => Promise<BuildResult>
  readonly remove: () => Promise<void>
}

/** All that it makes has fixed times, so that a step which runs again makes the same bytes. */
const dockerfile = (url: string) => `
FROM scratch
COPY --chmod=755 busybox /bin/busybox
SHELL ["/bin/busybox", "sh", "-c"]
RUN --mount=type=cache,id=kept,target=/cache busybox mkdir /made; busybox echo 1 > /made/file; busybox date > /cache/used; busybox touch -d @0 /made/file /made
COPY tree /tree
ADD ${url}/file /file
`

/** @param name of the test, for the names of its folders */
export async function openRottingStore(name: string): Promise<RottingStore> {
  const workspace = openWorkspace(name)
  const server = await startSourceServer(workspace.path('no-repositories'))
  server.put('/file', 'fetched', { lastModified: 1_000_000_000 })
  const context = makeContext(workspace.context, server)
  const rebuild = (root: string) => buildIn(root, context)
  const root = workspace.path('store')
  try {
    const { image } = await rebuild(root)
    if (image === undefined) throw new Error('the build made no image')
    await keepFailure(root, workspace.context)
    let copies = 0
    return {
      root,
      digest: image.digest,
      files: filesOf(root, image.digest),
      async copy() {
        const path = workspace.path(`copy-${copies++}`)
        await check('cp', ['-a', '--reflink=auto', root, path])
        return path
      },
      rebuild,
      async remove() {
        await server.stop()
        await workspace.remove()
      },
    }
  } catch (error) {
    await server.stop()
    throw error
  }
}

function makeContext(write: ReturnType<typeof openWorkspace>['context'], { url }: SourceServer): string {
  const context = write('rot', { Dockerfile: dockerfile(url), 'tree/a': 'a\n', 'tree/b/c': 'c\n' })
  const busybox = findProgram('busybox')
  if (busybox === undefined) throw new Error('busybox is not installed: scripts/setup.sh test installs it')
  copyFileSync(busybox, join(context, 'busybox'))
  // Old enough for fingerprints to be kept.
  for (const file of ['tree/a', 'tree/b/c', 'tree/b', 'tree', 'busybox'])
    utimesSync(join(context, file), 1, 1)
  return context
}

async function buildIn(root: string, context: string): Promise<BuildResult> {
  return await build({
    root,
    cwd: '/',
    context,
    tags: ['rot:1.0'],
    // Times as they are: then what the build made is there unpacked, and the image's own record says so.
    outputs: [
      { type: 'image', rewriteTimestamp: false },
      { type: 'oci', dest: `${root}.tar`, rewriteTimestamp: false },
    ],
    buildArgs: { SOURCE_DATE_EPOCH: '0' },
    network: 'none',
  }).result
}

/** A step that fails leaves its tree in the store. */
async function keepFailure(root: string, write: ReturnType<typeof openWorkspace>['context']): Promise<void> {
  const context = write('failing', {
    Dockerfile: 'FROM rot:1.0\nSHELL ["/bin/busybox", "sh", "-c"]\nRUN busybox false\n',
  })
  await build({ root, cwd: '/', context, network: 'none' }).result.catch(() => {})
}

/** One file of each kind. */
function filesOf(root: string, digest: string): Readonly<Record<string, string>> {
  const v1 = (path: string) => join('v1', path)
  const blob = (of: string) => v1(`blobs/sha256/${of.replace('sha256:', '')}`)
  const manifest = parseManifest(readFileSync(join(root, blob(digest))))
  const records = paths(root, 'v1/records').map(
    (path) => [path, readFileSync(join(root, path), 'utf8')] as const,
  )
  const recordWith = (pattern: RegExp) =>
    one(records.filter(([, text]) => pattern.test(text)).map(([path]) => path))
  const ran = recordWith(/"kind": "exec/)
  const snapshot = /"snapshot": "([0-9a-f]{32})"/.exec(readFileSync(join(root, ran), 'utf8'))?.[1]
  const ofSnapshot = (name: string) => v1(`snapshots/${snapshot}/${name}`)
  const under = (directory: string, pattern: RegExp) =>
    one(paths(root, v1(directory)).filter((path) => pattern.test(path)))
  return {
    version: 'version',
    'oci-layout': v1('oci-layout'),
    'image list': v1('index.json'),
    'manifest blob': blob(digest),
    'config blob': blob(manifest.config.digest),
    'layer blob': blob(manifest.layers[1]?.digest ?? ''),
    record: ran,
    'record of an unpacked layer': recordWith(/"diffId"/),
    'marker of a snapshot': ofSnapshot('snapshot.json'),
    'layer form of a snapshot': ofSnapshot('layer.json'),
    'file of a snapshot': ofSnapshot('fs/made/file'),
    'file list': under('files', /./),
    fingerprints: under('cache/fingerprints', /./),
    'name of a source': under('sources/names', /./),
    'marker of a source': under('sources/trees', /source\.json$/),
    'file of a source': under('sources/trees', /\/fs\/./),
    'facts of a cache mount': under('mounts', /meta\.json$/),
    failure: under('failures', /failure\.json$/),
    'record of a build': under('builds', /build\.json$/),
    'index of steps': under('index/steps', /\/[0-9a-f]$/),
  }
}

/** Regular files below a directory, as paths below the root. */
function paths(root: string, directory: string): readonly string[] {
  return readdirSync(join(root, directory), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(root.length + 1))
    .toSorted()
}

function one(found: readonly string[]): string {
  const [first] = found
  if (first === undefined) throw new Error('the store has no file of this kind')
  return first
}

/** What a test of one damage saw. */
export interface Rot {
  /** Of a first look: the kinds of damage that it names, and of notices. */
  readonly found: readonly FindingKind[]
  /** Of a repair, and of a look after it. */
  readonly repaired: VerifyReport
  readonly again: VerifyReport
  /** Of the same build after it. */
  readonly digest: string | undefined
  /**
   * Of the same build on another damaged copy that nobody verified: its image, or the code of its error. After a damaged blob
   * was found it is built once more, as the error says.
   */
  readonly unverified: string | undefined
}

/** Damages one file of a store, and looks. */
export async function rot(store: RottingStore, file: string, damage: Damage): Promise<Rot> {
  const path = store.files[file]
  if (path === undefined) throw new RangeError(`no file ${file}`)
  const [root, other] = [await store.copy(), await store.copy()]
  for (const copy of [root, other]) damages[damage](join(copy, path))
  const { findings } = await verify({ root })
  const repaired = await verify({ root, repair: true })
  const again = await verify({ root })
  const { image } = await store.rebuild(root)
  const first = await imageOrCode(store, other)
  const unverified =
    first === 'ERR_STORE_CORRUPT' && /blob$/.test(file) ? await imageOrCode(store, other) : first
  await check('rm', ['-rf', root, other])
  return { found: findings.map(({ kind }) => kind), repaired, again, digest: image?.digest, unverified }
}

async function imageOrCode(store: RottingStore, root: string): Promise<string | undefined> {
  return await store.rebuild(root).then(
    (built) => built.image?.digest,
    (error) => (isBuildError(error) ? error.code : String(error)),
  )
}

/** What a build comes to that nobody verified the store for: the right image, or an error that says what is damaged. */
export function expectedUnverified(file: string, damage: Damage, digest: string): string {
  const isText = ['flip', 'extend', 'zero', 'fifo'].includes(damage)
  const isRefused =
    (file === 'version' && isText) || (file === 'image list' && (isText || damage === 'truncate'))
  return isRefused ? 'ERR_STORE_CORRUPT' : digest
}

/** What `verify` calls a damaged file of each kind. */
const kinds: Readonly<Record<string, readonly FindingKind[]>> = {
  version: ['layout'],
  'oci-layout': ['layout'],
  'image list': ['image-list'],
  'manifest blob': ['blob', 'image'],
  'config blob': ['blob', 'image'],
  'layer blob': ['blob', 'image'],
  record: ['record'],
  'record of an unpacked layer': ['record'],
  'marker of a snapshot': ['snapshot', 'record', 'record'],
  'layer form of a snapshot': ['layer-form'],
  'file of a snapshot': ['snapshot', 'record', 'record'],
  'file list': ['file-list'],
  fingerprints: ['cache-file'],
  'name of a source': ['source-name'],
  // It has the name of its URL, and that of its digest.
  'marker of a source': ['source', 'source-name', 'source-name'],
  'file of a source': ['source', 'source-name', 'source-name'],
  'facts of a cache mount': ['cache-mount'],
  failure: ['failure'],
  'record of a build': ['build'],
  'index of steps': ['index'],
}

/** Where it is another: that a file is missing is often no damage, but something that is not known and is made again. */
const exceptions: Readonly<Record<string, readonly FindingKind[]>> = {
  // A line end.
  'version truncate': [],
  'manifest blob delete': ['image'],
  'config blob delete': ['image'],
  'layer blob delete': ['image'],
  'record delete': [],
  'record of an unpacked layer delete': [],
  'marker of a snapshot delete': ['leftover', 'record', 'record'],
  'layer form of a snapshot delete': [],
  'file list delete': [],
  'fingerprints delete': [],
  'name of a source delete': [],
  'marker of a source delete': ['leftover', 'source-name', 'source-name'],
  'facts of a cache mount delete': [],
  'index of steps delete': [],
}

/** What {@link rot} has to find. */
export function expectedFindings(file: string, damage: Damage): readonly FindingKind[] {
  const found = exceptions[`${file} ${damage}`] ?? kinds[file]
  if (found === undefined) throw new RangeError(`nothing is expected of ${file}`)
  return found
}

/** Every file that a store has, by what it is. */
export const rottingFiles = Object.keys(kinds)
