import { createHash } from 'node:crypto'
import { createReadStream, lstatSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { type Digest, digestFromHex, isDigest, parseDigest } from '@tsbuild/digest'
import type { FetchedSource, SourceStore } from '@tsbuild/store'
import type { CredentialMark } from './credentials.ts'

/** What is kept of a file with its tree. Never a URL, a header that was sent, or a credential. */
export interface FileFacts {
  readonly filename: string
  readonly digest: Digest
  /** In bytes. */
  readonly size: number
  /** Unix seconds, by its server. */
  readonly sourceDate: number | undefined
  /** As the server wrote it. */
  readonly etag: string | undefined
  /** The header, where it tells versions apart. */
  readonly lastModified: string | undefined
  /** Of what it was fetched with; undefined for nothing. */
  readonly credential: CredentialMark | undefined
}

/** A file that is in the store. */
export interface KnownFile extends FileFacts {
  readonly source: FetchedSource
}

/** The name of what a URL gave the last time. The store keeps only its hash. */
export function nameOfUrl(url: URL, filename: string): string {
  return JSON.stringify(['http', 1, 'url', url.href, filename])
}

/** The name of a file with these bytes, wherever it came from. */
export function nameOfDigest(digest: Digest): string {
  return JSON.stringify(['http', 1, 'digest', digest])
}

/** The file of a name; undefined where there is none, or it is not what is said of it. */
export function findFile(sources: SourceStore, name: string): KnownFile | undefined {
  const source = sources.get(name)
  const facts = source === undefined ? undefined : parseFacts(source.text)
  if (source === undefined || facts === undefined) return undefined
  const stat = lstatSync(join(source.path, facts.filename), { throwIfNoEntry: false })
  return stat?.isFile() && stat.size === facts.size ? { ...facts, source } : undefined
}

/** Whether the file still has the bytes of its digest. */
export async function isIntact(file: KnownFile): Promise<boolean> {
  return (await digestOfFile(join(file.source.path, file.filename))) === file.digest
}

/** Reads a whole file. */
async function digestOfFile(path: string): Promise<Digest> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return digestFromHex(hash.digest('hex'))
}

/** For the store. */
export function factsText(facts: FileFacts): string {
  const { filename, digest, size, sourceDate, etag, lastModified, credential } = facts
  return JSON.stringify({ filename, digest, size, sourceDate, etag, lastModified, credential })
}

function parseFacts(text: string): FileFacts | undefined {
  let value: Partial<Record<keyof FileFacts, unknown>> | null
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { filename, digest, size, sourceDate, etag, lastModified } = value
  if (typeof filename !== 'string' || typeof digest !== 'string' || !isDigest(digest)) return undefined
  if (typeof size !== 'number') return undefined
  const credential = parseMark(value.credential)
  if (credential === 'malformed') return undefined
  return {
    filename,
    digest: parseDigest(digest),
    size,
    sourceDate: typeof sourceDate === 'number' ? sourceDate : undefined,
    etag: typeof etag === 'string' ? etag : undefined,
    lastModified: typeof lastModified === 'string' ? lastModified : undefined,
    credential,
  }
}

function parseMark(value: unknown): CredentialMark | undefined | 'malformed' {
  if (value === undefined) return undefined
  if (typeof value !== 'object' || value === null || !('salt' in value) || !('key' in value))
    return 'malformed'
  const { salt, key } = value
  return typeof salt === 'string' && typeof key === 'string' ? { salt, key } : 'malformed'
}
