import { readFileSync } from 'node:fs'
import { chmod, link, open, readdir, rm, stat } from 'node:fs/promises'
import { dirname, isAbsolute, join } from 'node:path'
import { EnvironmentError } from '@tsbuild/errors'
import { FileLocks, makeDirectories, syncDirectory } from '@tsbuild/store'
import { onDisk, unlessErrno } from '../failures.ts'
import type { OpenObjectStore } from '../types.ts'
import { Directories } from './directories.ts'
import { FsStore } from './fs-store.ts'
import { FsLayout, formatVersion } from './layout.ts'
import { openTemporaries } from './temporaries.ts'

/** What a store in a directory is opened with. */
export interface FsStoreOptions {
  /** An absolute path; made where it is missing. A local file system: locks and syncs are those of this machine's kernel. */
  readonly root: string
  /** Unix ms. */
  readonly now: () => number
  /** 32 lowercase hex digits, never the same twice. */
  readonly randomId: () => string
  /** Whether what is acknowledged survives a power cut (`full`), or only the end of the process. */
  readonly durability: 'full' | 'none'
}

/**
 * Opens the store in a directory, and makes it where there is none. Any number of processes of one machine and user may have it
 * open.
 *
 * @throws {EnvironmentError} `ERR_STORE_OPEN` where the root is no absolute path, another user's, or holds something else
 * @throws {EnvironmentError} `ERR_STORE_FORMAT` where a newer version made it
 * @see docs/dev/object-store.md
 */
export async function openFsStore(options: FsStoreOptions): Promise<OpenObjectStore> {
  const layout = new FsLayout(options.root)
  await ensureLayout(layout, options)
  const temporaries = await openTemporaries(layout, options)
  return new FsStore({
    layout,
    temporaries,
    directories: new Directories(layout.objects, options.durability),
    locks: new FileLocks(layout.lock('keys')),
    now: options.now,
  })
}

const versionText = `tsbuild-objects ${formatVersion}\n`
const versionPattern = /^tsbuild-objects ([1-9]\d{0,8})\n$/
/** What may be in a directory that is to become a store: an interrupted attempt, or the root of a file system. */
const harmless = new Set(['v1', 'lost+found'])

async function ensureLayout(layout: FsLayout, { randomId, durability }: FsStoreOptions): Promise<void> {
  const { root } = layout
  if (!isAbsolute(root) || root.includes('\0')) throw cannotOpen(root, 'expected an absolute path')
  if (isMade(layout)) return assertOurs(root)
  await onDisk('make object store', root, async () => {
    const isThere = await unlessErrno(['EEXIST'], () => makeDirectories(root, 0o700).then(() => true))
    if (isThere === undefined) throw cannotOpen(root, 'it is not a directory')
    await assertOurs(root)
    const others = (await readdir(root)).filter((name) => !harmless.has(name) && name !== 'version')
    const other = others[0]
    if (other !== undefined)
      throw cannotOpen(root, `it is not empty (${JSON.stringify(other)}) and is no object store`)
    await chmod(root, 0o700)
    for (const path of [layout.objects, layout.temporary, layout.scratch, layout.locks])
      await makeDirectories(path, 0o700)
    const draft = join(dirname(layout.temporary), `version-${randomId()}`)
    const file = await open(draft, 'wx', 0o600)
    try {
      await file.writeFile(versionText)
      await file.sync()
    } finally {
      await file.close()
    }
    if (durability === 'full') for (const path of [dirname(layout.objects), root]) await syncDirectory(path)
    // The first one counts: of several processes that make it at once all write the same.
    await unlessErrno(['EEXIST'], () => link(draft, layout.version))
    await rm(draft, { force: true })
    if (durability === 'full') for (const path of [root, dirname(root)]) await syncDirectory(path)
  })
  isMade(layout)
}

/** @throws {EnvironmentError} `ERR_STORE_FORMAT`, `ERR_STORE_OPEN` where the version is not ours */
function isMade(layout: FsLayout): boolean {
  const text = readVersion(layout)
  if (text === undefined) return false
  const version = versionPattern.exec(text)?.[1]
  if (version === String(formatVersion)) return true
  if (version === undefined) throw cannotOpen(layout.root, `its file "version" is none of an object store`)
  throw new EnvironmentError(
    'ERR_STORE_FORMAT',
    `Cannot open object store ${JSON.stringify(layout.root)}: its format is ${version}, this program knows ${formatVersion}`,
    { details: { path: layout.root, version } },
  )
}

function readVersion({ version }: FsLayout): string | undefined {
  try {
    return readFileSync(version, 'utf8')
  } catch (error) {
    if (error instanceof Error && 'code' in error && ['ENOENT', 'ENOTDIR'].includes(String(error.code)))
      return undefined
    throw error
  }
}

/** Root can write another user's store, and would leave files in it that the user cannot. */
async function assertOurs(root: string): Promise<void> {
  const user = process.geteuid?.()
  const owner = (await onDisk('open object store', root, () => stat(root))).uid
  if (user !== undefined && owner !== user)
    throw cannotOpen(root, `it belongs to user ${owner}, and this is user ${user}`)
}

function cannotOpen(root: string, state: string): EnvironmentError {
  return new EnvironmentError(
    'ERR_STORE_OPEN',
    `Cannot open object store ${JSON.stringify(root)}: ${state}`,
    {
      details: { path: root },
      hints: ['Name a new or empty directory of the user that the server runs as.'],
    },
  )
}
