import {
  closeSync,
  constants,
  type Dirent,
  fstatSync,
  lstatSync,
  openSync,
  readdirSync,
  readFileSync,
  type Stats,
} from 'node:fs'
import { parseJson } from '@tsbuild/shape'
import { unseal } from '@tsbuild/store'

/** What lies at a path: a regular file with its bytes, or why there is none. */
export type Looked =
  | { readonly is: 'file'; readonly bytes: Buffer; readonly stats: Stats }
  | { readonly is: 'missing' }
  | { readonly is: 'other'; readonly problem: string; readonly stats: Stats | undefined }

/** No file of the store that is read whole is larger; one that is, is damaged. */
const maxBytes = 256 * 1024 * 1024

/** Reads a small file without following a link and without waiting at a FIFO. Never throws. */
export function lookAt(path: string): Looked {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return { is: 'missing' }
  if (!stats.isFile()) return { is: 'other', problem: `it is ${kindOf(stats)}`, stats }
  if (stats.size > maxBytes) return { is: 'other', problem: `it has ${stats.size} bytes`, stats }
  try {
    const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      return { is: 'file', bytes: readFileSync(fd), stats: fstatSync(fd) }
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return { is: 'missing' }
    return { is: 'other', problem: `it cannot be read (${errnoText(error)})`, stats }
  }
}

/** What is said of a file that {@link isCutOff}. */
export const cutOffProblem = 'the power went before it was on the disk'

/**
 * Whether a file is what a power cut leaves of one that nothing makes durable: without a byte, or with zeros where its bytes
 * should be. Logs, history and the index are not synced, and whoever reads them knows; so that is no damage.
 */
export function isCutOff(looked: Looked): boolean {
  return looked.is === 'file' && (looked.bytes.length === 0 || looked.bytes.includes(0))
}

/** Whether a path still has the file that was looked at: what was replaced or deleted meanwhile is no finding. */
export function isStill(path: string, stats: Stats): boolean {
  const now = lstatSync(path, { throwIfNoEntry: false })
  return now !== undefined && now.ino === stats.ino && now.dev === stats.dev && now.mtimeMs === stats.mtimeMs
}

/** The entries of a directory by name; none where there is no directory. */
export function entriesOf(path: string): readonly Dirent[] {
  try {
    return readdirSync(path, { withFileTypes: true }).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  } catch (error) {
    if (isErrno(error, 'ENOENT', 'ENOTDIR')) return []
    throw error
  }
}

/** The JSON value of a file; undefined for what is none. */
export function jsonOf(looked: Looked): unknown {
  return looked.is === 'file' ? parseJson(looked.bytes.toString()) : undefined
}

/** The JSON value of a file that the store seals; undefined for what is none, or was changed. */
export function sealedJson(looked: Looked, name: string): unknown {
  if (looked.is === 'missing') return undefined
  const sealed = sealedText(looked, name)
  return 'text' in sealed ? parseJson(sealed.text) : undefined
}

/** The text of a file that the store seals, or why there is none. @param name that it is sealed for */
export function sealedText(
  looked: Exclude<Looked, { is: 'missing' }>,
  name: string,
): { readonly text: string; readonly isSealed: boolean } | { readonly problem: string } {
  if (looked.is === 'other') return { problem: looked.problem }
  const sealed = unseal(name, looked.bytes)
  if (sealed.is === 'damaged') return { problem: 'its seal does not fit its bytes and its name' }
  return { text: sealed.text, isSealed: sealed.is === 'whole' }
}

/** A kind of file with its article: `a symbolic link`. */
export function kindOf(stats: Stats): string {
  if (stats.isFile()) return 'a regular file'
  if (stats.isDirectory()) return 'a directory'
  if (stats.isSymbolicLink()) return 'a symbolic link'
  if (stats.isFIFO()) return 'a FIFO'
  return stats.isSocket() ? 'a socket' : 'a device'
}

/** Whether a failed system call has one of these errors. */
export function isErrno(error: unknown, ...names: readonly string[]): boolean {
  return names.includes(errnoText(error))
}

/** `EIO` */
export function errnoText(error: unknown): string {
  return error instanceof Error && 'code' in error ? String(error.code) : String(error)
}
