import { constants } from 'node:fs'
import { type FileHandle, open, readlink, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { maxDocumentBytes } from '@tsbuild/oci'

/**
 * Opens a file of a layout directory. The directory may come from an archive: no link is followed below it, on no part of the path,
 * and nothing waits for a pipe.
 *
 * @param name below the layout's root
 * @returns undefined where there is none
 * @throws {UserError} `ERR_ARCHIVE_INVALID` for a link and whatever is no regular file
 * @see spec/security.md 3.5, MAN-07
 */
export async function openLayoutFile(root: string, name: string): Promise<FileHandle | undefined> {
  const path = join(root, name)
  let file: FileHandle
  try {
    file = await open(
      path,
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK | constants.O_NOCTTY,
    )
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : undefined
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined
    throw unusable(root, name, code === 'ELOOP' ? 'is a link' : `cannot be read (${String(code)})`, cause)
  }
  let kept = false
  try {
    // Asked of the open file, so that what is put there meanwhile changes nothing.
    const real = await readlink(`/proc/self/fd/${file.fd}`)
    if (real !== join(await realpath(root), name)) throw unusable(root, name, 'is reached through a link')
    if (!(await file.stat()).isFile()) throw unusable(root, name, 'is no regular file')
    kept = true
    return file
  } finally {
    if (!kept) await file.close()
  }
}

/** Reads a small file of a layout whole. @returns undefined where there is none @throws as {@link openLayoutFile} */
export async function readLayoutFile(root: string, name: string): Promise<Buffer | undefined> {
  const file = await openLayoutFile(root, name)
  if (file === undefined) return undefined
  try {
    if ((await file.stat()).size > maxDocumentBytes)
      throw unusable(root, name, `is larger than ${maxDocumentBytes} bytes`)
    return await file.readFile()
  } finally {
    await file.close()
  }
}

function unusable(root: string, name: string, why: string, cause?: unknown): UserError {
  return new UserError('ERR_ARCHIVE_INVALID', `Cannot read the OCI layout "${root}": ${name} ${why}`, {
    cause,
  })
}
