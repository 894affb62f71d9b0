import { type Exchange, HttpError, sendEmpty } from '@tsbuild/http-server'
import { type DistributionContext, digestFrom, repositoryOf } from './context.ts'
import { blobUnknown } from './failures.ts'
import { contentKey } from './layout.ts'
import type { ContentDigest } from './names.ts'
import { hasEtag, pickRange } from './range.ts'
import { sendObject } from './send-object.ts'

/** `GET` and `HEAD` of a blob: whole, a range of it, or nothing new. */
export async function getBlob(context: DistributionContext, exchange: Exchange): Promise<void> {
  const { request, response } = exchange
  const repository = repositoryOf(exchange)
  const digest = digestFrom(exchange.params.digest)
  const info = await context.repositories.findBlob(repository, digest)
  if (info === undefined) throw blobUnknown(digest.text)
  context.seenIn.note(digest, repository)
  const headers = blobHeaders(digest)
  const { 'if-none-match': noneMatch, 'if-range': ifRange, range } = request.headers
  if (noneMatch !== undefined && hasEtag(noneMatch, headers.ETag)) return sendEmpty(response, 304, headers)
  const isSame = ifRange === undefined || ifRange === headers.ETag
  const picked = request.method === 'GET' && isSame ? pickRange(range, info.size) : undefined
  if (picked === 'unsatisfiable') throw unsatisfiable(info.size)
  const part = picked ?? { start: 0, end: info.size - 1 }
  const all = {
    ...headers,
    'Content-Length': part.end - part.start + 1,
    ...(picked === undefined ? {} : { 'Content-Range': `bytes ${part.start}-${part.end}/${info.size}` }),
  }
  const status = picked === undefined ? 200 : 206
  if (request.method === 'HEAD' || info.size === 0) {
    response.writeHead(status, all)
    response.end()
    return
  }
  const object = await context.repositories.store.get(contentKey(digest), {
    range: picked,
    signal: exchange.signal,
  })
  if (object === undefined) throw blobUnknown(digest.text)
  response.writeHead(status, all)
  await sendObject(response, object, part)
}

/** Bytes of a digest never change; who may read them does. */
function blobHeaders(digest: ContentDigest) {
  return {
    'Content-Type': 'application/octet-stream',
    'Docker-Content-Digest': digest.text,
    ETag: `"${digest.text}"`,
    'Accept-Ranges': 'bytes',
    'Cache-Control': 'private, no-cache',
  }
}

function unsatisfiable(size: number): HttpError {
  return new HttpError(416, 'RANGE_INVALID', 'the range begins behind the end of the blob', {
    headers: { 'Content-Range': `bytes */${size}` },
  })
}

/** `DELETE` of a blob: from this repository; others, and manifests that name it, are not asked. */
export async function deleteBlob(context: DistributionContext, exchange: Exchange): Promise<void> {
  const digest = digestFrom(exchange.params.digest)
  const wasThere = await context.repositories.unlinkBlob(repositoryOf(exchange), digest)
  if (!wasThere) throw blobUnknown(digest.text)
  sendEmpty(exchange.response, 202)
}
