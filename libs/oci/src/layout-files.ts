import { constants } from 'node:fs'
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { maxDocumentBytes } from './json-document.ts'

/** Of a file that others replace all the time. */
const mostAttempts = 100

/**
 * Opens a file of a layout directory. The directory may come from an archive: no link is followed below it, on no part of the path,
 * and nothing waits for a pipe.
 *
 * @param name below the layout's root
 * @param subject what cannot be done without it, for errors
 * @returns undefined where there is none
 * @throws {UserError} `ERR_ARCHIVE_INVALID` for a link and whatever is no regular file
 * @see spec/security.md 3.5, MAN-07
 */
export async function openLayoutFile(
  root: string,
  name: string,
  subject = subjectOf(root),
): Promise<FileHandle | undefined> {
  const path = join(root, name)
  for (let attempt = 1; ; attempt += 1) {
    const file = await openThere(path, (why, cause) => unusable(subject, name, why, cause))
    if (file === undefined) return undefined
    let isKept = false
    try {
      // Asked of the open file, so that what is put there meanwhile changes nothing.
      const real = await readlink(`/proc/self/fd/${file.fd}`)
      const stats = await file.stat()
      if (real === join(await realpath(root), name)) {
        if (!stats.isFile()) throw unusable(subject, name, 'is no regular file')
        isKept = true
        return file
      }
      // Who writes the same blob at the same time puts another file in its place: the open one has no name then.
      if (stats.nlink > 0 || attempt === mostAttempts)
        throw unusable(subject, name, 'is reached through a link')
    } finally {
      if (!isKept) await file.close()
    }
  }
}

async function openThere(
  path: string,
  refuse: (why: string, cause: unknown) => UserError,
): Promise<FileHandle | undefined> {
  const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY
  try {
    return await open(path, flags)
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw refuse(code === 'ELOOP' ? 'is a link' : `cannot be read (${String(code)})`, cause)
  }
}

/** Reads a small file of a layout whole. @returns undefined where there is none @throws as {@link openLayoutFile} */
export async function readLayoutFile(
  root: string,
  name: string,
  subject = subjectOf(root),
): Promise<Buffer | undefined> {
  const file = await openLayoutFile(root, name, subject)
  if (file === undefined) return undefined
  try {
    if ((await file.stat()).size > maxDocumentBytes)
      throw unusable(subject, name, `is larger than ${maxDocumentBytes} bytes`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

const subjectOf = (root: string) => `Cannot read the OCI layout "${root}"`

function unusable(subject: string, name: string, why: string, cause?: unknown): UserError {
  return new UserError('ERR_ARCHIVE_INVALID', `${subject}: ${name} ${why}`, { cause })
}
