import { chmodSync, lstatSync, mkdirSync, rmSync, type Stats, truncateSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { EnvironmentError } from '@tsbuild/errors'
import { objectOf, oneOf } from '@tsbuild/shape'
import { type Layout, layoutVersion } from '@tsbuild/store'
import { type Check, damage, type Found, foreign, type LayoutMend } from './found.ts'
import { entriesOf, jsonOf, kindOf, lookAt } from './look.ts'

const isOciLayout = objectOf({ imageLayoutVersion: oneOf('1.0.0') })

/** Directories that a store of this version did not always have: they are made when they are needed. */
const younger = ['sources', 'failures', 'mounts', 'index', 'builds']

/** What may stand beside the directories of the layout in `v1`. */
const files = ['oci-layout', 'index.json', 'secret-key']

/**
 * The root, its `version`, and the directories that every store has. Their repairs need no open store, which could not be
 * opened before them.
 *
 * @throws {EnvironmentError} `ERR_STORE_OPEN` where there is no store; `ERR_STORE_FORMAT` for one of another version
 */
export async function* checkLayout(layout: Layout, uid: number): Check<LayoutMend> {
  const root = lstatSync(layout.root, { throwIfNoEntry: false })
  if (root === undefined || lstatSync(layout.v1, { throwIfNoEntry: false }) === undefined)
    throw noStore(layout)
  yield* checkRoot(layout, root, uid)
  if (isUnfinished(layout)) {
    const problem = 'it is missing: the store was never finished, or is being made'
    const path = layout.version
    return yield {
      kind: 'layout',
      severity: 'notice',
      path,
      problem,
      repair: undefined,
      loses: 'nothing',
      mend: undefined,
    }
  }
  yield* checkVersion(layout)
  for (const directory of layout.directories()) yield* checkDirectory(layout, directory)
  const { is } = lookAt(layout.ociLayout)
  if (!isOciLayout(jsonOf(lookAt(layout.ociLayout)))) {
    const problem = is === 'missing' ? 'it is missing' : 'it is no OCI layout file of version 1.0.0'
    yield ofLayout(layout.ociLayout, problem, 'is written anew', () => {
      rmSync(layout.ociLayout, { recursive: true, force: true })
      writeFileSync(layout.ociLayout, '{"imageLayoutVersion":"1.0.0"}', { mode: 0o600 })
    })
  }
  yield* checkStrangers(layout)
}

/** The version comes last, so a store without one that holds nothing is none yet: whoever opens it next makes the rest. */
function isUnfinished(layout: Layout): boolean {
  const holders = [
    layout.records,
    layout.snapshots,
    layout.blobs,
    layout.sourceTrees,
    layout.mounts,
    layout.builds,
  ]
  return (
    lookAt(layout.version).is === 'missing' &&
    entriesOf(layout.root).every(({ name }) => name === 'v1' || name === 'lost+found') &&
    holders.every((path) => entriesOf(path).length === 0)
  )
}

async function* checkRoot({ root }: Layout, stats: Stats, uid: number): Check<LayoutMend> {
  const mode = stats.mode & 0o7777
  if ((mode & 0o077) !== 0) {
    const problem = `its mode is ${mode.toString(8).padStart(4, '0')}: others can look into it`
    yield ofLayout(root, problem, 'gets the mode 0700', () => chmodSync(root, 0o700))
  }
  if (stats.uid !== uid) yield foreign(root, `it belongs to user ${stats.uid}, and this is user ${uid}`)
}

/** A number of a newer layout comes with a directory of it; another number is damage. */
async function* checkVersion(layout: Layout): Check<LayoutMend> {
  const looked = lookAt(layout.version)
  const text = looked.is === 'file' ? looked.bytes.toString().trim() : undefined
  if (text === layoutVersion) return
  const newer = entriesOf(layout.root).find(({ name }) => /^v\d+$/.test(name) && name !== 'v1')
  if (newer !== undefined) throw otherVersion(layout, newer.name)
  const problem =
    text === undefined ? `it is ${looked.is === 'missing' ? 'missing' : 'no file'}` : 'it has no version'
  yield ofLayout(layout.version, problem, 'is written anew', () => {
    rmSync(layout.version, { recursive: true, force: true })
    writeFileSync(layout.version, `${layoutVersion}\n`, { mode: 0o600 })
  })
}

async function* checkDirectory(layout: Layout, path: string): Check<LayoutMend> {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats?.isDirectory() === true) return
  const [top = ''] = relative(layout.v1, path).split('/')
  if (stats === undefined && younger.includes(top)) return
  const problem = stats === undefined ? 'it is missing' : `it is ${kindOf(stats)}`
  yield ofLayout(path, problem, 'is made anew, empty', () => {
    rmSync(path, { force: true })
    mkdirSync(path, { recursive: true, mode: 0o700 })
  })
}

/** Also lock files: their bytes are locked and never written. */
async function* checkStrangers(layout: Layout): Check<LayoutMend> {
  for (const { name } of entriesOf(layout.root))
    if (!['v1', 'version', 'lost+found'].includes(name)) yield foreign(join(layout.root, name))
  const known = layout.directories().map((path) => relative(layout.v1, path).split('/')[0])
  for (const { name } of entriesOf(layout.v1))
    if (![...known, ...files, ...younger].includes(name)) yield foreign(join(layout.v1, name))
  for (const { name } of entriesOf(layout.locks)) {
    const path = join(layout.locks, name)
    const stats = lstatSync(path)
    if (!stats.isFile()) {
      yield ofLayout(path, `it is ${kindOf(stats)}`, 'is removed', () =>
        rmSync(path, { recursive: true, force: true }),
      )
    } else if (stats.size > 0)
      yield ofLayout(path, 'it is not empty', 'is emptied', () => truncateSync(path, 0))
  }
}

function ofLayout(path: string, problem: string, repair: string, how: () => void): Found<LayoutMend> {
  const mend = () => {
    how()
    return 'repaired' as const
  }
  return damage({ kind: 'layout', path, problem, loses: 'nothing', mend }, repair)
}

function noStore({ root }: Layout): EnvironmentError {
  return new EnvironmentError('ERR_STORE_OPEN', `Cannot verify ${JSON.stringify(root)}: there is no store`, {
    details: { path: root },
    hints: ['Name the store with `--root` or TSBUILD_ROOT.'],
  })
}

function otherVersion({ root }: Layout, name: string): EnvironmentError {
  const version = name.slice(1)
  return new EnvironmentError(
    'ERR_STORE_FORMAT',
    `Cannot verify store ${JSON.stringify(root)}: its layout is version ${version}, this program knows version ${layoutVersion}`,
    { details: { path: root, version }, hints: ['Use the tsbuild that made it.'] },
  )
}
