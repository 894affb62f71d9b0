import { randomBytes } from 'node:crypto'
import { linkSync, renameSync } from 'node:fs'
import { open } from 'node:fs/promises'
import { type Disk, readSmallFile, removeFile } from './disk.ts'
import { onDisk, unlessErrnoSync } from './fs-failure.ts'
import type { Layout } from './layout.ts'
import type { Session } from './session.ts'

const keyBytes = 32

/**
 * The store's own key, for digests of secrets that nobody can guess a value against: 32 random bytes, made when they are
 * first needed. Of several processes that make one at a time the first wins. Without it the digests in records are of no use
 * to anybody, so a store that is given away can be given without it.
 */
export async function readSecretKey(layout: Layout, disk: Disk, session: Session): Promise<Uint8Array> {
  const path = layout.secretKey
  const known = whole(path)
  if (known !== undefined) return known
  return await onDisk('write', path, async () => {
    const temporary = session.temporaryFile()
    const file = await open(temporary, 'wx', 0o600)
    try {
      await file.writeFile(randomBytes(keyBytes))
      await disk.syncFile(file)
    } finally {
      await file.close()
    }
    if (unlessErrnoSync(['EEXIST'], () => linkSync(temporary, path) ?? true) === true) removeFile(temporary)
    // What stands there is no key: a power cut left it, or another hand.
    else if (whole(path) === undefined) renameSync(temporary, path)
    else removeFile(temporary)
    await disk.syncDirectories([layout.v1])
    return whole(path) ?? (await readSecretKey(layout, disk, session))
  })
}

function whole(path: string): Uint8Array | undefined {
  const bytes = readSmallFile(path)
  return bytes?.length === keyBytes ? bytes : undefined
}
