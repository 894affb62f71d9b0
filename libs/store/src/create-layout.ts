import { chmodSync, existsSync, linkSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { dirname, isAbsolute } from 'node:path'
import { EnvironmentError } from '@tsbuild/errors'
import { type Disk, readSmallFile, removeFile } from './disk.ts'
import { errnoOf, onDisk, onDiskSync, unlessErrnoSync } from './fs-failure.ts'
import { type Layout, layoutVersion } from './layout.ts'
import { emptyIndex } from './local-images.ts'
import type { Session } from './session.ts'

/** What may stand beside `v1` in a directory that is about to become a store: it was interrupted, or is a mount. */
const harmless = new Set(['v1', 'lost+found'])

/**
 * Makes sure that a complete store of our layout is at the root: one small read where there is one.
 *
 * @throws {EnvironmentError} `ERR_STORE_FORMAT` if a newer version of tsbuild made it
 * @throws {EnvironmentError} `ERR_STORE_OPEN` if the root is no absolute path, no directory, or one with other content, or
 *   if the store is another user's
 */
export async function ensureLayout(layout: Layout, disk: Disk, session: Session): Promise<void> {
  const { root } = layout
  if (!isAbsolute(root) || root.includes('\0')) throw cannotOpen(root, 'expected an absolute path')
  const version = onDiskSync('open store', root, () => readSmallFile(layout.version))
    ?.toString()
    .trim()
  if (version !== undefined && version !== layoutVersion) throw wrongVersion(root, version)
  assertOurs(layout)
  if (version === layoutVersion) return
  await onDisk('make store', root, () => create(layout, disk, session))
}

/**
 * Of the marks of overlayfs in a user's store root sees none, so files that a step has deleted would come back; and the owner could not
 * read what root leaves there. The directory above may be anybody's.
 */
function assertOurs({ root, v1 }: Layout): void {
  const user = process.geteuid?.()
  const owner = onDiskSync('open store', root, () =>
    unlessErrnoSync(['ENOENT', 'ENOTDIR'], () => statSync(v1).uid),
  )
  if (user === undefined || owner === undefined || owner === user) return
  throw cannotOpen(root, `it belongs to user ${owner}, and this is user ${user}`, [
    'A store is of one user. Run tsbuild as that user, or name another store with `--root`.',
  ])
}

/** Any number of processes may do this at once; what is there already stays. */
async function create(layout: Layout, disk: Disk, session: Session): Promise<void> {
  const { root } = layout
  if (unlessErrnoSync(['ENOTDIR'], () => makeRoot(root)) !== true)
    throw cannotOpen(root, 'it is not a directory')
  // Another process may have finished since the version was looked for.
  const others = readdirSync(root).filter((name) => !harmless.has(name))
  const newer = others.find((name) => /^v\d+$/.test(name))
  if (newer !== undefined) throw wrongVersion(root, newer.slice(1))
  if (others.length > 0 && !others.includes('version')) {
    throw cannotOpen(root, `it is not empty (${JSON.stringify(others[0])}) and is no store`)
  }
  chmodSync(root, 0o700)
  for (const directory of layout.directories()) mkdirSync(directory, { recursive: true, mode: 0o700 })
  writeIfMissing(session, layout.ociLayout, '{"imageLayoutVersion":"1.0.0"}')
  writeIfMissing(session, layout.index, emptyIndex)
  await disk.syncTree(root)
  writeIfMissing(session, layout.version, `${layoutVersion}\n`)
  await disk.syncTree(root)
}

/**
 * Makes a directory and those above it. Node's own recursion never ends below /proc, where mkdir(2) says ENOENT though the
 * directory above is there.
 *
 * @returns whether a directory is there now
 */
function makeRoot(path: string): boolean {
  try {
    mkdirSync(path, 0o700)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'ENOENT' && !existsSync(dirname(path))) {
      makeRoot(dirname(path))
      unlessErrnoSync(['EEXIST'], () => mkdirSync(path, 0o700))
    } else if (errno !== 'EEXIST') throw error
  }
  return statSync(path).isDirectory()
}

/** Links the complete file into place, so that nobody reads half of it and nobody's newer one is overwritten. */
function writeIfMissing(session: Session, path: string, text: string): void {
  const temporary = session.temporaryFile()
  try {
    writeFileSync(temporary, text, { flag: 'wx', mode: 0o600 })
    unlessErrnoSync(['EEXIST'], () => linkSync(temporary, path))
  } finally {
    removeFile(temporary)
  }
}

function cannotOpen(
  root: string,
  state: string,
  hints: readonly string[] = ['Name an empty or new directory with `--root`.'],
): EnvironmentError {
  return new EnvironmentError('ERR_STORE_OPEN', `Cannot open store ${JSON.stringify(root)}: ${state}`, {
    details: { path: root },
    hints,
  })
}

function wrongVersion(root: string, version: string): EnvironmentError {
  const known = /^\d{1,9}$/.test(version)
  return new EnvironmentError(
    known ? 'ERR_STORE_FORMAT' : 'ERR_STORE_CORRUPT',
    `Cannot open store ${JSON.stringify(root)}: its layout is version ${JSON.stringify(version.slice(0, 40))}, ` +
      `this program knows version ${layoutVersion}`,
    {
      details: { path: root, version: version.slice(0, 40) },
      hints: [
        Number(version) < Number(layoutVersion)
          ? 'An older tsbuild made it. Choose another store with `--root`; this one can be deleted.'
          : 'Use the newer tsbuild, or choose another store with `--root`.',
      ],
    },
  )
}
