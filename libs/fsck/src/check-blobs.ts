import { createHash } from 'node:crypto'
import { chmodSync, constants, lstatSync, type Stats } from 'node:fs'
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { digestFromHex } from '@tsbuild/digest'
import { damage, type Found, foreign } from './found.ts'
import { entriesOf, errnoText, isErrno, isStill, kindOf } from './look.ts'
import { quarantine } from './mend.ts'
import type { Scan } from './scan.ts'

/** Files that are read at once: enough to keep a disk busy, and one buffer each. */
const readers = 4
const bufferBytes = 1024 * 1024

/** Hashes every blob. What is damaged is noted for the checks that follow. */
export async function* checkBlobs(scan: Scan): AsyncGenerator<Found, void, undefined> {
  const { layout } = scan
  for (const { name } of entriesOf(join(layout.v1, 'blobs')))
    if (name !== 'sha256') yield foreign(join(layout.v1, 'blobs', name))
  const names = entriesOf(layout.blobs).map(({ name }) => name)
  const queue = names.values()
  const found: Found[] = []
  const reader = async () => {
    const buffer = Buffer.allocUnsafe(bufferBytes)
    for (const name of queue) {
      scan.signal.throwIfAborted()
      found.push(...(await checkBlob(scan, name, buffer)))
    }
  }
  const all = Promise.all(Array.from({ length: Math.min(readers, names.length) }, reader))
  await all
  yield* found.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}

async function checkBlob(scan: Scan, name: string, buffer: Buffer): Promise<readonly Found[]> {
  const path = join(scan.layout.blobs, name)
  if (!/^[0-9a-f]{64}$/.test(name)) return [foreign(path)]
  const digest = digestFromHex(name)
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined) return []
  scan.checked.blobs++
  scan.checked.blobBytes += stats.isFile() ? stats.size : 0
  const problem = stats.isFile()
    ? await wrongBytes(path, name, buffer, scan.signal)
    : `it is ${kindOf(stats)}`
  if (problem === undefined) {
    scan.blobs.set(digest, stats.size)
    return (stats.mode & 0o222) === 0 ? [] : [writable(path, stats)]
  }
  if (!isStill(path, stats)) return []
  scan.damagedBlobs.add(digest)
  const mend = quarantine(scan.layout, path, stats)
  return [damage({ kind: 'blob', path, problem, loses: 'work', mend }, 'is moved to quarantine')]
}

/** @returns what is wrong, undefined for the right bytes and for a blob that is gone */
async function wrongBytes(
  path: string,
  hex: string,
  buffer: Buffer,
  signal: AbortSignal,
): Promise<string | undefined> {
  const hash = createHash('sha256')
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
    try {
      for (;;) {
        signal.throwIfAborted()
        const { bytesRead } = await file.read(buffer, 0, buffer.length)
        if (bytesRead === 0) break
        hash.update(buffer.subarray(0, bytesRead))
      }
    } finally {
      await file.close()
    }
  } catch (error) {
    if (signal.aborted) throw error
    return isErrno(error, 'ENOENT') ? undefined : `it cannot be read (${errnoText(error)})`
  }
  const actual = hash.digest('hex')
  return actual === hex ? undefined : `its bytes have the digest sha256:${actual}`
}

function writable(path: string, stats: Stats): Found {
  const problem = `its mode is 0${(stats.mode & 0o777).toString(8)}: it can be written to`
  const mend = () => {
    chmodSync(path, 0o444)
    return 'repaired' as const
  }
  return damage({ kind: 'blob', path, problem, loses: 'nothing', mend }, 'gets the mode 0444')
}
