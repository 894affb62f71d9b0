import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import { InternalError } from '@tsbuild/errors'
import { cancelled, type RetrySettings, sleepFor, type Transport } from '@tsbuild/http'
import type { Store } from '@tsbuild/store'
import type { RemoteSources, RemoteTree, SecretSource } from '../remote-source.ts'
import { authorizationOf, isMarkedBy, markCredential } from './credentials.ts'
import { type DownloadParts, download } from './download.ts'
import { copyKnown, keepFile } from './keep-file.ts'
import { findFile, isIntact, type KnownFile, nameOfDigest, nameOfUrl } from './known-file.ts'
import { createSharedCalls, type SharedOptions } from './shared-calls.ts'
import { parseSourceUrl, type SourceUrl } from './source-url.ts'

/** See {@link createHttpSources}. */
export interface HttpSourcesOptions {
  readonly store: Store
  readonly transport: Transport
  readonly secrets: SecretSource
  /** Milliseconds since the Unix epoch. */
  readonly now: () => number
  /** 32 hex digits, different at each call. */
  readonly randomId?: (() => string) | undefined
  /** The largest file that is fetched; default 64 GiB. */
  readonly maxBytes?: number | undefined
  readonly retry?: RetrySettings | undefined
  /** From 0 to 1, for the jitter of pauses. */
  readonly random?: (() => number) | undefined
  /** Resolves after a pause, or rejects when the signal fires. */
  readonly sleep?: ((ms: number, signal: AbortSignal | undefined) => Promise<void>) | undefined
}

type HttpSource = Parameters<RemoteSources['http']>[0]

/** So that a server which never stops sending does not fill the disk. */
const defaultMaxBytes = 64 * 1024 ** 3

/**
 * Makes the `http` of {@link RemoteSources}. Files are kept in the store's sources, by their URL and by their digest; of one
 * URL at most one download is under way on this machine.
 */
export function createHttpSources(options: HttpSourcesOptions): Pick<RemoteSources, 'http'> {
  const parts: Parts = {
    store: options.store,
    secrets: options.secrets,
    randomId: options.randomId ?? (() => randomBytes(16).toString('hex')),
    download: {
      transport: options.transport,
      retry: {
        settings: options.retry ?? {},
        random: options.random ?? Math.random,
        sleep: options.sleep ?? sleepFor,
      },
      now: options.now,
      maxBytes: options.maxBytes ?? defaultMaxBytes,
    },
  }
  const shared = createSharedCalls<RemoteTree>()
  return {
    http: async (source, call) => {
      if (!isFileName(source.filename))
        throw new InternalError('ERR_INTERNAL', `Cannot name a file ${JSON.stringify(source.filename)}`)
      const url = parseSourceUrl(source.url)
      const key = JSON.stringify([url.url.href, url.userInfo, source.filename, source.checksum])
      const what = `fetch ${JSON.stringify(url.shown)}`
      return shared(key, { ...call, what }, async (sharedCall) => {
        const file = await fetchFile({ parts, source, url, call: sharedCall })
        return treeOf(options.store, url, file)
      })
    },
  }
}

interface Parts {
  readonly store: Store
  readonly secrets: SecretSource
  readonly randomId: () => string
  readonly download: DownloadParts
}

/** One source that is being fetched. */
interface Fetch {
  readonly parts: Parts
  readonly source: HttpSource
  readonly url: SourceUrl
  readonly call: SharedOptions
}

function treeOf(store: Store, url: SourceUrl, file: KnownFile): RemoteTree {
  const { path } = file.source
  return {
    tree: {
      kind: 'directory',
      path,
      ignore: [],
      fingerprints: store.cacheFile('fingerprints', path),
      checkoutUmask: null,
    },
    shown: url.shown,
    pinned: file.digest,
    sourceDate: file.sourceDate,
  }
}

async function fetchFile(fetch: Fetch): Promise<KnownFile> {
  const { parts, source, url, call } = fetch
  const pinned = await findPinned(fetch)
  if (pinned !== undefined) return pinned
  const authorization = await authorizationOf(url, parts.secrets)
  // The name of a lock is shown where waiting for it fails.
  const lock = `http/${digestBytes(nameOfUrl(url.url, source.filename))}`
  return parts.store.locks.withLock(
    lock,
    // Another process may have fetched it while this one waited.
    async () => (await findPinned(fetch)) ?? (await askServer(fetch, authorization)),
    { signal: call.signal },
  )
}

/** With a checksum, a file that has it, whatever its URL was. Its bytes are read again: a checksum is a promise. */
async function findPinned({ parts, source, call }: Fetch): Promise<KnownFile | undefined> {
  if (source.checksum === undefined) return undefined
  const file = findFile(parts.store.sources, nameOfDigest(source.checksum))
  if (file === undefined || file.digest !== source.checksum || !(await isIntact(file))) return undefined
  if (call.signal.aborted) throw cancelled('read a fetched file')
  return file.filename === source.filename ? file : copyKnown(parts.store, file, source.filename)
}

async function askServer(fetch: Fetch, authorization: string | undefined): Promise<KnownFile> {
  const { parts, source, url, call } = fetch
  const known = await findKnown(fetch, authorization)
  let scratch: string | undefined
  const openScratch = async () => {
    scratch ??= await parts.store.sources.scratch()
    return join(scratch, 'body')
  }
  try {
    const wanted = { source: url, authorization, known, ...call }
    const outcome = await download(parts.download, wanted, openScratch)
    if (outcome !== 'unchanged') {
      const credential = await markCredential(authorization, parts.randomId())
      return await keepFile(
        { ...parts.download, ...call, store: parts.store, url, source },
        outcome,
        credential,
      )
    }
    if (known !== undefined) return known
    throw new InternalError('ERR_INTERNAL', 'Cannot keep a file that is unknown')
  } finally {
    if (scratch !== undefined) await rm(scratch, { recursive: true, force: true })
  }
}

/**
 * What the URL gave the last time, if its server may be asked whether that is still so: it was the same credential then, as
 * another may be shown something else. Where a checksum is wanted, what is known was not it.
 */
async function findKnown(
  { parts, source, url }: Fetch,
  authorization: string | undefined,
): Promise<KnownFile | undefined> {
  if (source.checksum !== undefined) return undefined
  const known = findFile(parts.store.sources, nameOfUrl(url.url, source.filename))
  if (known === undefined || known.filename !== source.filename) return undefined
  return (await isMarkedBy(known.credential, authorization)) ? known : undefined
}

/** A border: what became of a URL is one element of a path. */
function isFileName(name: string): boolean {
  return name !== '' && name !== '.' && name !== '..' && !/[/\0]/.test(name)
}
