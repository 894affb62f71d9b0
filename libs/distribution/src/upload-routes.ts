import { type Exchange, HttpError, isHttpError, sendEmpty } from '@tsbuild/http-server'
import { accountOf } from '@tsbuild/trust'
import { bodyBound, type DistributionContext, digestFrom, placeOf, repositoryOf } from './context.ts'
import { contentKey } from './layout.ts'
import type { ContentDigest } from './names.ts'
import { isRepositoryName } from './names.ts'
import type { StagedContent, UploadPlace } from './uploads.ts'

/** `POST`: a mount, a blob in one request, or the beginning of an upload. */
export async function beginUpload(context: DistributionContext, exchange: Exchange): Promise<void> {
  const { query, grant, response } = exchange
  const repository = repositoryOf(exchange)
  const mount = query.get('mount')
  if (mount !== undefined) {
    const digest = digestFrom(mount)
    // Where it is not, or may not be read, nothing else is said than that it has to be sent.
    if (await mountBlob(context, exchange, digest)) return sendCreated(exchange, digest)
  }
  const given = query.get('digest')
  if (given !== undefined && mount === undefined) {
    const digest = digestFrom(given)
    const body = exchange.body(bodyBound(context, grant, context.limits.blobBytes))
    await context.uploads.receive(
      digest,
      body,
      async (content) => {
        await keep(context, exchange, digest, content)
        context.allowance.sent(grant, content.size)
      },
      announcedBy(exchange),
    )
    return sendCreated(exchange, digest)
  }
  const id = await context.uploads.begin(repository, accountOf(grant))
  sendEmpty(response, 202, uploadHeaders(exchange, id, 0))
}

async function mountBlob(
  context: DistributionContext,
  exchange: Exchange,
  digest: ContentDigest,
): Promise<boolean> {
  const { repositories, seenIn } = context
  const from = exchange.query.get('from')
  for (const repository of from === undefined ? seenIn.guesses(digest) : [from]) {
    if (!isRepositoryName(repository)) continue
    if (exchange.may('pull', { kind: 'repository', name: repository }) !== 'allowed') continue
    const info = await repositories.findBlob(repository, digest)
    if (info === undefined) continue
    await repositories.linkBlob(repositoryOf(exchange), digest, info.size)
    return true
  }
  return false
}

/** `GET`: how far an upload is. */
export async function getUpload(context: DistributionContext, exchange: Exchange): Promise<void> {
  const place = uploadOf(exchange)
  sendEmpty(exchange.response, 204, uploadHeaders(exchange, place.id, await context.uploads.size(place)))
}

/** `PATCH`: a part, at the end of what there is. */
export async function appendToUpload(context: DistributionContext, exchange: Exchange): Promise<void> {
  const size = await append(context, exchange)
  sendEmpty(exchange.response, 202, uploadHeaders(exchange, uploadOf(exchange).id, size))
}

/** `PUT`: the last part, if there is a body, and the digest of the whole. */
export async function finishUpload(context: DistributionContext, exchange: Exchange): Promise<void> {
  const place = uploadOf(exchange)
  const digest = digestFrom(exchange.query.get('digest'))
  const { 'content-length': length, 'transfer-encoding': coding } = exchange.request.headers
  if (coding !== undefined || (length !== undefined && length !== '0')) await append(context, exchange)
  else await context.uploads.size(place)
  await context.uploads.finish(place, digest, (content) => keep(context, exchange, digest, content))
  sendCreated(exchange, digest)
}

/** `DELETE`: nothing of an upload is left. */
export async function cancelUpload(context: DistributionContext, exchange: Exchange): Promise<void> {
  await context.uploads.cancel(uploadOf(exchange))
  sendEmpty(exchange.response, 204)
}

async function append(context: DistributionContext, exchange: Exchange): Promise<number> {
  const { uploads, limits, allowance } = context
  const { grant } = exchange
  const place = uploadOf(exchange)
  const size = await uploads.size(place)
  const range = partRange(exchange)
  try {
    if (range !== undefined && range.start !== size) {
      throw new HttpError(416, 'BLOB_UPLOAD_INVALID', 'the part does not begin where the upload ends')
    }
    const body = exchange.body(bodyBound(context, grant, limits.blobBytes - size))
    const grown = await uploads.append(place, size, body, announcedBy(exchange))
    allowance.sent(grant, grown - size)
    return grown
  } catch (error) {
    if (!isHttpError(error) || error.status !== 416) throw error
    // Whoever lost count is told where to go on.
    const headers = uploadHeaders(exchange, place.id, await uploads.size(place))
    throw new HttpError(416, error.code, error.message, { headers })
  }
}

/** How long the body is said to be. */
function announcedBy({ request }: Exchange): number | undefined {
  const { 'content-length': length } = request.headers
  return length === undefined ? undefined : Number(length)
}

/** `Content-Range: 0-99`, without a unit, as the specification has it; one with a unit is understood as well. */
function partRange({ request }: Exchange): { readonly start: number } | undefined {
  const header = request.headers['content-range']
  if (header === undefined) return undefined
  const [, first, last] = /^(?:bytes[ =])?(\d{1,15})-(\d{1,15})(?:\/(?:\d{1,15}|\*))?$/.exec(header) ?? []
  const length = Number(last) - Number(first) + 1
  const announced = request.headers['content-length']
  if (first === undefined || length < 1 || (announced !== undefined && Number(announced) !== length)) {
    throw new HttpError(400, 'SIZE_INVALID', 'the Content-Range is not that of the body')
  }
  return { start: Number(first) }
}

/** Makes what was received readable through the repository: first the bytes, then the link, both durable. */
async function keep(
  context: DistributionContext,
  exchange: Exchange,
  digest: ContentDigest,
  { path, size, sha256 }: StagedContent,
): Promise<void> {
  const { store } = context.repositories
  await store.putIfAbsent(contentKey(digest), { path, size }, { sha256, size })
  await context.repositories.linkBlob(repositoryOf(exchange), digest, size)
  context.seenIn.note(digest, repositoryOf(exchange))
}

function uploadOf(exchange: Exchange): UploadPlace {
  return { repository: repositoryOf(exchange), id: exchange.params.id ?? '' }
}

/** The end of a range is its last byte; of nothing it is 0, as registries have it since there are any. */
function uploadHeaders(exchange: Exchange, id: string, size: number): Record<string, string> {
  return {
    Location: placeOf(exchange, `blobs/uploads/${id}`),
    Range: `0-${Math.max(0, size - 1)}`,
    'Docker-Upload-UUID': id,
  }
}

function sendCreated(exchange: Exchange, digest: ContentDigest): void {
  sendEmpty(exchange.response, 201, {
    Location: placeOf(exchange, `blobs/${digest.text}`),
    'Docker-Content-Digest': digest.text,
  })
}

/** Remembers the last four repositories of up to so many blobs. */
export function rememberSeen(maxBlobs: number): DistributionContext['seenIn'] {
  const seen = new Map<string, readonly string[]>()
  return {
    note({ text }, repository) {
      const before = seen.get(text) ?? []
      if (before[0] === repository) return
      seen.delete(text)
      seen.set(text, [repository, ...before.filter((one) => one !== repository)].slice(0, 4))
      const [oldest] = seen.keys()
      if (seen.size > maxBlobs && oldest !== undefined) seen.delete(oldest)
    },
    guesses: ({ text }) => seen.get(text) ?? [],
  }
}
