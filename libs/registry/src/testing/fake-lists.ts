import type { IncomingMessage, ServerResponse } from 'node:http'
import { digestBytes } from '@tsbuild/digest'
import { reply, replyError } from './replies.ts'

type Manifests = ReadonlyMap<string, { readonly bytes: Buffer; readonly mediaType: string }>

/** How a fake registry lists what it has. */
export interface FakeLists {
  /** Names in one page, whatever is asked for. Default: all of them. */
  readonly pageSize?: number | undefined
  /** Lists what refers to a manifest, and says so when one is pushed. Default false. */
  readonly referrers?: boolean | undefined
}

/** Answers a request for tags, repositories or referrers. @returns whether the request is done with */
export function answerList(
  lists: FakeLists,
  manifests: Manifests,
  request: IncomingMessage,
  response: ServerResponse,
): boolean {
  const url = new URL(request.url ?? '/', 'http://fake.example')
  const [, repository = '', digest] =
    /^\/v2\/(?:(.+)\/(?:tags\/list|referrers\/([^/]+))|_catalog)$/.exec(url.pathname) ?? []
  if (url.pathname === '/v2/_catalog') {
    const names = [...manifests.keys()].map((key) => key.replace(/[:@].*/, ''))
    replyPage(lists, { url, member: 'repositories', names: [...new Set(names)].sort() }, response)
    return true
  }
  if (repository === '') return false
  if (digest !== undefined) {
    if (lists.referrers === true) replyReferrers(manifests, `${repository}@${digest}`, response)
    else replyError(response, 404, 'NOT_FOUND')
    return true
  }
  const own = [...manifests.keys()].filter((key) => key.startsWith(`${repository}:`))
  const names = own.map((key) => key.slice(repository.length + 1)).sort()
  if (names.length === 0) replyError(response, 404, 'NAME_UNKNOWN')
  else replyPage(lists, { url, member: 'tags', names }, response)
  return true
}

interface NamePage {
  readonly url: URL
  readonly member: string
  readonly names: readonly string[]
}

function replyPage(lists: FakeLists, { url, member, names }: NamePage, response: ServerResponse): void {
  const last = url.searchParams.get('last') ?? ''
  const left = names.filter((name) => name > last)
  const page = left.slice(0, lists.pageSize)
  const more = page.length < left.length
  const link = `<${url.pathname}?last=${page.at(-1)}&n=${lists.pageSize}>; rel="next"`
  reply(response, 200, more ? { link } : {}, JSON.stringify({ [member]: page }))
}

/** What a manifest of the fake registry says it is about. */
export function subjectOf(bytes: Buffer): string | undefined {
  const parsed: { subject?: { digest?: string } } = JSON.parse(bytes.toString())
  return parsed.subject?.digest
}

function replyReferrers(manifests: Manifests, key: string, response: ServerResponse): void {
  const [repository = '', digest = ''] = key.split('@')
  const found = [...manifests].filter(
    ([name, { bytes }]) => name.startsWith(`${repository}@`) && subjectOf(bytes) === digest,
  )
  const index = {
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.index.v1+json',
    manifests: found.map(([, { bytes, mediaType }]) => ({
      mediaType,
      digest: digestBytes(bytes),
      size: bytes.length,
      artifactType: JSON.parse(bytes.toString()).artifactType,
    })),
  }
  reply(response, 200, { 'content-type': index.mediaType }, JSON.stringify(index))
}
