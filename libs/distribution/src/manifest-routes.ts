import { createHash } from 'node:crypto'
import { type Exchange, HttpError, sendBytes, sendEmpty } from '@tsbuild/http-server'
import { bodyBound, type DistributionContext, digestFrom, placeOf, repositoryOf } from './context.ts'
import { digestInvalid, manifestInvalid, manifestUnknown } from './failures.ts'
import { tagKey } from './layout.ts'
import { type ManifestContent, readManifest, referrerDescriptor } from './manifest-content.ts'
import { type ContentDigest, isTag, parseContentDigest } from './names.ts'
import { hasEtag } from './range.ts'
import type { Repositories, StoredManifest } from './repositories.ts'

/** `GET` and `HEAD` of a manifest by tag or digest: the exact bytes that were sent. */
export async function getManifest(context: DistributionContext, exchange: Exchange): Promise<void> {
  const { repositories } = context
  const { request, response } = exchange
  const reference = exchange.params.reference ?? ''
  const manifest = await findManifest(repositories, repositoryOf(exchange), reference)
  if (manifest === undefined) throw manifestUnknown(reference)
  const headers = {
    'Content-Type': manifest.mediaType,
    'Docker-Content-Digest': manifest.digest.text,
    ETag: etagOf(manifest.digest),
    'Cache-Control': 'private, no-cache',
  }
  const noneMatch = request.headers['if-none-match']
  if (noneMatch !== undefined && hasEtag(noneMatch, headers.ETag)) return sendEmpty(response, 304, headers)
  if (request.method === 'HEAD') {
    response.writeHead(200, { ...headers, 'Content-Length': manifest.size })
    response.end()
    return
  }
  const bytes = await repositories.readContent(manifest.digest)
  if (bytes === undefined) throw manifestUnknown(reference)
  sendBytes(response, 200, bytes, headers)
}

async function findManifest(
  repositories: Repositories,
  repository: string,
  reference: string,
): Promise<StoredManifest | undefined> {
  const digest = parseContentDigest(reference)
  if (digest !== undefined) return repositories.findManifest(repository, digest)
  if (!isTag(reference)) return undefined
  const tag = await repositories.readTag(repository, reference)
  return tag?.digest && repositories.findManifest(repository, tag.digest)
}

const etagOf = (digest: ContentDigest) => `"${digest.text}"`

/** What a `PUT` is about: by tag, or by digest with or without tags. */
interface PutRequest {
  readonly digest: ContentDigest
  readonly tags: readonly string[]
  /** What conditions are about. */
  readonly conditional: { readonly tag: string } | 'manifest'
}

/**
 * `PUT` of a manifest by tag or digest. With `If-Match` or `If-None-Match` it is done only where the tag (or, by digest, the
 * manifest) is what the client saw, so that of two who change one tag neither loses what the other did.
 */
export async function putManifest(context: DistributionContext, exchange: Exchange): Promise<void> {
  const { repositories, limits, allowance } = context
  const repository = repositoryOf(exchange)
  const reference = exchange.params.reference ?? ''
  if (parseContentDigest(reference) === undefined) assertTag(repository, reference)
  const bytes = await exchange.readBody(bodyBound(context, exchange.grant, limits.manifestBytes))
  const put = putRequest(exchange, reference, bytes)
  const content = readManifest(bytes, exchange.request.headers['content-type'])
  await assertCondition(repositories, exchange, put)
  await assertReferences(repositories, repository, content)
  await repositories.putManifest(repository, { digest: put.digest, mediaType: content.mediaType }, bytes)
  if (content.subject !== undefined) {
    const descriptor = referrerDescriptor(content, put.digest, bytes.length)
    await repositories.putReferrer(repository, content.subject, {
      v: 1,
      subject: content.subject.text,
      descriptor,
    })
  }
  for (const tag of put.tags) await moveTag(repositories, exchange, tag, put)
  allowance.sent(exchange.grant, bytes.length)
  sendEmpty(exchange.response, 201, {
    Location: placeOf(exchange, `manifests/${put.digest.text}`),
    'Docker-Content-Digest': put.digest.text,
    ETag: etagOf(put.digest),
    ...(content.subject === undefined ? {} : { 'OCI-Subject': content.subject.text }),
    ...(put.tags.length === 0 ? {} : { 'OCI-Tag': put.tags.join(', ') }),
  })
}

/** @throws {HttpError} 400 where the bytes are others than was said */
function putRequest(exchange: Exchange, reference: string, bytes: Buffer): PutRequest {
  const byDigest = parseContentDigest(reference)
  const wanted =
    byDigest ?? (exchange.query.has('digest') ? digestFrom(exchange.query.get('digest')) : undefined)
  const algorithm = wanted?.algorithm ?? 'sha256'
  const digest = digestFrom(`${algorithm}:${createHash(algorithm).update(bytes).digest('hex')}`)
  if (wanted !== undefined && wanted.text !== digest.text)
    throw digestInvalid('the manifest has another digest')
  if (byDigest === undefined) return { digest, tags: [reference], conditional: { tag: reference } }
  const tags = [...new Set(exchange.queryAll('tag'))]
  if (tags.length > maxTags) throw manifestInvalid(`a manifest is given at most ${maxTags} tags at once`)
  for (const tag of tags) assertTag(repositoryOf(exchange), tag)
  return { digest, tags, conditional: 'manifest' }
}

const maxTags = 32

function assertTag(repository: string, tag: string): void {
  // A key has an end: a tag of many capitals in a repository with a very long name does not fit.
  if (isTag(tag) && tagKey(repository, tag).length <= 512) return
  throw new HttpError(400, 'TAG_INVALID', 'a tag is 1 to 128 letters, digits, dots, underscores and hyphens')
}

/** @throws {HttpError} 412 */
async function assertCondition(
  repositories: Repositories,
  exchange: Exchange,
  put: PutRequest,
): Promise<void> {
  const { 'if-match': match, 'if-none-match': noneMatch } = exchange.request.headers
  if (match === undefined && noneMatch === undefined) return
  const repository = repositoryOf(exchange)
  const now =
    put.conditional === 'manifest'
      ? (await repositories.findManifest(repository, put.digest))?.digest
      : (await repositories.readTag(repository, put.conditional.tag))?.digest
  checkCondition(exchange, now)
}

function checkCondition(exchange: Exchange, now: ContentDigest | undefined): void {
  const { 'if-match': match, 'if-none-match': noneMatch } = exchange.request.headers
  const etag = now === undefined ? undefined : etagOf(now)
  const isMatched = match === undefined || (etag !== undefined && hasEtag(match, etag))
  const isOther = noneMatch === undefined || etag === undefined || !hasEtag(noneMatch, etag)
  if (isMatched && isOther) return
  throw new HttpError(412, 'DENIED', 'what is there is not what the request was made for', {
    headers: etag === undefined ? {} : { ETag: etag },
  })
}

/** The tag is changed only from what the condition was true for; without one the last who asks wins. */
async function moveTag(
  repositories: Repositories,
  exchange: Exchange,
  tag: string,
  put: PutRequest,
): Promise<void> {
  const repository = repositoryOf(exchange)
  for (;;) {
    const before = await repositories.readTag(repository, tag)
    if (put.conditional !== 'manifest') checkCondition(exchange, before?.digest)
    if (before?.digest?.text === put.digest.text) return
    if (await repositories.changeTag(repository, tag, before?.version ?? null, put.digest)) return
  }
}

/** References that are looked up at once. */
const lookups = 16

/** @throws {HttpError} 400 `MANIFEST_BLOB_UNKNOWN`, with the digests that are missing */
async function assertReferences(
  repositories: Repositories,
  repository: string,
  { blobs, manifests }: ManifestContent,
): Promise<void> {
  const wanted = [
    ...blobs.map((digest) => async () => (await repositories.findBlob(repository, digest)) ?? digest.text),
    ...manifests.map(
      (digest) => async () => (await repositories.findManifest(repository, digest)) ?? digest.text,
    ),
  ]
  const missing: string[] = []
  const next = wanted.values()
  await Promise.all(
    Array.from({ length: lookups }, async () => {
      for (const look of next) {
        const found = await look()
        if (typeof found === 'string') missing.push(found)
      }
    }),
  )
  if (missing.length === 0) return
  const message = `${missing.length} blobs or manifests that the manifest names are not in the repository`
  throw new HttpError(400, 'MANIFEST_BLOB_UNKNOWN', message, { detail: { digests: missing.slice(0, 100) } })
}

/** `DELETE` of a tag, or of a manifest with its tags. */
export async function deleteManifest(context: DistributionContext, exchange: Exchange): Promise<void> {
  const { repositories } = context
  const repository = repositoryOf(exchange)
  const reference = exchange.params.reference ?? ''
  const digest = parseContentDigest(reference)
  const wasThere =
    digest === undefined
      ? isTag(reference) && (await deleteTag(repositories, repository, reference))
      : await deleteByDigest(repositories, repository, digest)
  if (!wasThere) throw manifestUnknown(reference)
  sendEmpty(exchange.response, 202)
}

async function deleteTag(repositories: Repositories, repository: string, tag: string): Promise<boolean> {
  for (;;) {
    const before = await repositories.readTag(repository, tag)
    if (before === undefined) return false
    if (await repositories.changeTag(repository, tag, before.version, null)) return true
  }
}

/** The link first: with it gone nothing that still names the manifest leads to it. */
async function deleteByDigest(
  repositories: Repositories,
  repository: string,
  digest: ContentDigest,
): Promise<boolean> {
  const manifest = await repositories.findManifest(repository, digest)
  if (manifest === undefined) return false
  const bytes = await repositories.readContent(digest)
  await repositories.unlinkManifest(repository, digest)
  const subject = bytes === undefined ? undefined : readManifest(bytes, manifest.mediaType).subject
  if (subject !== undefined) await repositories.removeReferrer(repository, subject, digest)
  await repositories.untag(repository, digest)
  return true
}
