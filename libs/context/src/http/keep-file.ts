import { constants } from 'node:fs'
import { chmod, copyFile, rename, utimes } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { UserError } from '@tsbuild/errors'
import { parseHttpDate } from '@tsbuild/http'
import { onDisk, type Store } from '@tsbuild/store'
import type { RemoteSources } from '../remote-source.ts'
import type { CredentialMark } from './credentials.ts'
import { type DecodedFile, decodeBody, isEncoded } from './decode.ts'
import type { Downloaded } from './download.ts'
import {
  type FileFacts,
  factsText,
  findFile,
  isIntact,
  type KnownFile,
  nameOfDigest,
  nameOfUrl,
} from './known-file.ts'
import type { SourceUrl } from './source-url.ts'

/** What is kept, and where. */
export interface Keeping {
  readonly store: Store
  readonly source: Parameters<RemoteSources['http']>[0]
  readonly url: SourceUrl
  readonly maxBytes: number
  readonly now: () => number
  readonly signal: AbortSignal
}

/**
 * Checks what was sent and gives it its names in the store.
 * @param credential the mark of what it was fetched with
 * @throws {UserError} `ERR_DIGEST_MISMATCH` if it is not what the checksum says; nothing is kept
 */
export async function keepFile(
  keeping: Keeping,
  downloaded: Downloaded,
  credential: CredentialMark | undefined,
): Promise<KnownFile> {
  const { store, source, url, now } = keeping
  const { path, digest, size } = await decoded(keeping, downloaded)
  if (source.checksum !== undefined && digest !== source.checksum) {
    throw new UserError(
      'ERR_DIGEST_MISMATCH',
      `Cannot fetch ${JSON.stringify(url.shown)}: its digest is ${digest}, expected ${source.checksum}`,
    )
  }
  const { filename } = source
  const facts = { filename, digest, size, ...datesOf(downloaded, now()), etag: downloaded.etag, credential }
  const name = nameOfUrl(url.url, filename)
  return (await nameExisting(store, facts, name)) ?? (await commitNew(store, facts, name, path))
}

/** The same file under another name: a tree of its own, which shares its blocks where the file system can do that. */
export function copyKnown(store: Store, file: KnownFile, filename: string): Promise<KnownFile> {
  const from = join(file.source.path, file.filename)
  return commitFile(store, { ...file, filename }, nameOfDigest(file.digest), (to) =>
    copyFile(from, to, constants.COPYFILE_FICLONE),
  )
}

async function decoded(
  { url, maxBytes, signal }: Keeping,
  downloaded: Downloaded,
): Promise<DecodedFile & { readonly path: string }> {
  if (!isEncoded(downloaded.encoding)) return downloaded
  const path = join(dirname(downloaded.path), 'decoded')
  return { path, ...(await decodeBody(url, downloaded.path, path, { maxBytes, signal })) }
}

/** Where the same file is there already, for example because its server has no ETags, it gets the name too. */
async function nameExisting(store: Store, facts: FileFacts, name: string): Promise<KnownFile | undefined> {
  const { sources } = store
  const same = [findFile(sources, name), findFile(sources, nameOfDigest(facts.digest))].find(
    (file) =>
      file?.digest === facts.digest &&
      file.filename === facts.filename &&
      file.sourceDate === facts.sourceDate,
  )
  if (same === undefined || !(await isIntact(same))) return undefined
  return { ...facts, source: await sources.name(same.source, name, factsText(facts)) }
}

async function commitNew(store: Store, facts: FileFacts, name: string, from: string): Promise<KnownFile> {
  const file = await commitFile(store, facts, name, (to) => rename(from, to))
  // What is found by its digest says nothing about a server.
  const plain = { ...facts, etag: undefined, lastModified: undefined, credential: undefined }
  await store.sources.name(file.source, nameOfDigest(facts.digest), factsText(plain))
  return file
}

/** The file has its final mode and time before its tree has a name. @see spec/dockerfile.md 3.4 */
async function commitFile(
  store: Store,
  facts: FileFacts,
  name: string,
  place: (to: string) => Promise<void>,
): Promise<KnownFile> {
  const draft = await store.sources.draft()
  const path = join(draft.path, facts.filename)
  try {
    await onDisk('write', path, async () => {
      await place(path)
      await chmod(path, 0o600)
      await utimes(path, facts.sourceDate ?? 0, facts.sourceDate ?? 0)
    })
    return { ...facts, source: await draft.commit(name, factsText(facts)) }
  } catch (error) {
    // What cannot be removed now goes with the session; the error that led here is the one to report.
    await draft.release().catch(() => {})
    throw error
  }
}

/**
 * `Last-Modified` tells versions apart only if the file was not changed again within that second; a file that is as young as
 * its answer may be.
 */
function datesOf(downloaded: Downloaded, nowMs: number): Pick<FileFacts, 'sourceDate' | 'lastModified'> {
  const modifiedMs = parseHttpDate(downloaded.lastModified)
  if (modifiedMs === undefined || modifiedMs < 0) return { sourceDate: undefined, lastModified: undefined }
  const settled = (parseHttpDate(downloaded.date) ?? nowMs) - modifiedMs >= 1000
  return {
    sourceDate: Math.floor(modifiedMs / 1000),
    lastModified: settled ? downloaded.lastModified : undefined,
  }
}
