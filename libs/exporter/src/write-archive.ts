import type { Writable } from 'node:stream'
import { isBuildError } from '@tsbuild/errors'
import type { Part } from '@tsbuild/native'
import type { ArchivePart, Descriptor } from '@tsbuild/oci'
import type { Store } from '@tsbuild/store'
import type { ExporterOptions } from './types.ts'
import { outputError, writeOutputFile } from './write-output.ts'

/** More of it does not fit into one part of a request. */
const inlineBytes = 64 * 1024

/** From here on the helper writes an archive sooner than we do: starting it takes 5 ms, hashing and copying here 2 ms for each MB. */
const worthBytes = 16 * 1024 * 1024

/** Whether an archive is large enough for {@link writeArchive}. */
export function isWorthHelper(parts: readonly ArchivePart[]): boolean {
  const sizes = parts.map((part) => (part.kind === 'blob' ? part.blob.size : 0))
  return sizes.reduce((sum, size) => sum + size, 0) >= worthBytes
}

/**
 * Writes the parts of an archive to a file or to standard output by the helper: the kernel copies the blobs, and they are
 * verified meanwhile, so that what is damaged on disk is in no archive. A file appears under its name as with `writeOutput`.
 *
 * @throws {EnvironmentError} `ERR_STORE_CORRUPT` for a damaged blob, which is moved to quarantine; `ERR_OUTPUT`,
 *   `ERR_STORE_NO_SPACE`
 */
export async function writeArchive(
  { store, native }: Pick<ExporterOptions, 'store' | 'native'>,
  parts: readonly ArchivePart[],
  dest: string | number,
  signal: AbortSignal,
): Promise<void> {
  const request = parts.flatMap((part) => requestParts(store, part))
  const write = async (fd: number) => {
    try {
      await native.concat(request, fd, { signal })
    } catch (error) {
      if (!signal.aborted) await findDamage(store, parts, error)
      throw asSystemError(error)
    }
  }
  if (typeof dest === 'string') return await writeOutputFile(dest, write)
  await write(dest).catch((error) => {
    throw outputError('-', error)
  })
}

/** The descriptor behind a stream that nobody has written to yet, where that is standard output. */
export function standardOutput(out: Writable): number | undefined {
  const isStandard = 'fd' in out && out.fd === 1 && out.writableLength === 0
  return isStandard ? 1 : undefined
}

function requestParts(store: Store, part: ArchivePart): readonly Part[] {
  if (part.kind === 'blob') {
    const { digest, size: sizeBytes } = part.blob
    return [{ kind: 'file', path: store.blobs.path(digest), sizeBytes, digest }]
  }
  const pieces: Part[] = []
  for (let at = 0; at < part.bytes.length; at += inlineBytes) {
    const data = Buffer.from(part.bytes.subarray(at, at + inlineBytes)).toString('base64')
    pieces.push({ kind: 'inline', data })
  }
  return pieces
}

/** Where a blob is not what it should be, the store says so and puts it away. */
async function findDamage(store: Store, parts: readonly ArchivePart[], error: unknown): Promise<void> {
  if (!isBuildError(error) || !isAboutBlobs(error)) return
  for (const part of parts) if (part.kind === 'blob') await readThrough(store, part.blob)
}

function isAboutBlobs({ code, details }: { readonly code: string; readonly details?: unknown }): boolean {
  const isWrong =
    code === 'ERR_SIZE_MISMATCH' || code === 'ERR_DIGEST_MISMATCH' || code === 'ERR_HELPER_INTERNAL'
  return isWrong || ['ENOENT', 'ELOOP', 'EIO', 'ENXIO'].includes(errnoOf(details) ?? '')
}

async function readThrough(store: Store, blob: Descriptor): Promise<void> {
  for await (const _ of store.blobs.stream(blob)) {
    // It throws at the end.
  }
}

/** What the kernel said to the helper, as it would have said it to us. */
function asSystemError(error: unknown): unknown {
  const code = isBuildError(error) ? errnoOf(error.details) : undefined
  if (code === undefined || !(error instanceof Error)) return error
  return Object.assign(new Error(error.message, { cause: error }), { code })
}

function errnoOf(details: unknown): string | undefined {
  const isNamed = typeof details === 'object' && details !== null && 'errno' in details
  return isNamed && typeof details.errno === 'string' ? details.errno : undefined
}
