import { type Exchange, HttpError, sendJson } from '@tsbuild/http-server'
import { type DistributionContext, digestFrom, placeOf, repositoryOf } from './context.ts'
import { nameUnknown } from './failures.ts'
import {
  decodeTag,
  encodeTag,
  type ReferrerDescriptor,
  type ReferrerEntry,
  referrersPrefix,
  tagsPrefix,
} from './layout.ts'
import { repositoryNames } from './live-keys.ts'
import { isRepositoryName, isTag } from './names.ts'

/** `GET …/tags/list`: a page of tags, in the order of their bytes. */
export async function listTags(context: DistributionContext, exchange: Exchange): Promise<void> {
  const { store } = context.repositories
  const name = repositoryOf(exchange)
  const size = pageSize(exchange, context.limits.pageEntries)
  const last = exchange.query.get('last')
  if (last !== undefined && last !== '' && !isTag(last)) throw pageInvalid('`last` is no tag')
  const prefix = tagsPrefix(name)
  const after = last === undefined || last === '' ? undefined : `${prefix}${encodeTag(last)}`
  const tags: string[] = []
  let isMore = false
  for await (const { key } of store.list(prefix, { after, signal: exchange.signal })) {
    const tag = decodeTag(key.slice(prefix.length))
    if (tag === undefined) continue
    isMore = tags.length === size
    if (isMore) break
    tags.push(tag)
  }
  if (tags.length === 0 && !isMore && !(await context.repositories.exists(name))) throw nameUnknown(name)
  const headers =
    isMore && size > 0 ? nextPage(placeOf(exchange, 'tags/list'), { n: `${size}`, last: tags.at(-1) }) : {}
  sendJson(exchange.response, 200, { name, tags }, headers)
}

/** Repositories that are looked at for one page, at most: of those that may not be read nothing is said. */
const lookedAt = 10_000

/** `GET /v2/_catalog`: a page of the repositories that may be read, in the order of their keys. */
export async function listRepositories(context: DistributionContext, exchange: Exchange): Promise<void> {
  const size = pageSize(exchange, context.limits.pageEntries)
  const last = exchange.query.get('last') ?? ''
  if (last !== '' && !isRepositoryName(last)) throw pageInvalid('`last` is no name of a repository')
  const names: string[] = []
  const after = last === '' ? undefined : last
  let position = last
  let looked = 0
  let isMore = false
  for await (const name of repositoryNames(context.repositories, { after, signal: exchange.signal })) {
    isMore = size > 0 && (names.length === size || looked === lookedAt)
    if (isMore || size === 0) break
    looked += 1
    position = name
    if (exchange.may('pull', { kind: 'repository', name }) === 'allowed') names.push(name)
  }
  const headers = isMore ? nextPage(`${exchange.base}/v2/_catalog`, { n: `${size}`, last: position }) : {}
  sendJson(exchange.response, 200, { repositories: names }, headers)
}

const indexType = 'application/vnd.oci.image.index.v1+json'

/** Entries that are read at once. */
const readAtOnce = 32

/** `GET …/referrers/<digest>`: an index of the manifests that have a subject. Of nothing it is empty. */
export async function listReferrers(context: DistributionContext, exchange: Exchange): Promise<void> {
  const { repositories, limits } = context
  const name = repositoryOf(exchange)
  const subject = digestFrom(exchange.params.digest)
  const wanted = exchange.query.get('artifactType')
  const last = exchange.query.get('last') ?? ''
  if (last !== '' && !/^[a-z0-9-]{1,140}$/.test(last)) throw pageInvalid('`last` is none of this list')
  const prefix = referrersPrefix(name, subject)
  const manifests: ReferrerDescriptor[] = []
  let bytes = 0
  let position = ''
  let isMore = false
  const batches = inBatches(
    repositories.store.list(prefix, { after: last === '' ? undefined : prefix + last }),
  )
  for await (const keys of batches) {
    const entries = await Promise.all(keys.map((key) => repositories.readReferrer(name, key)))
    for (const [index, entry] of entries.entries()) {
      if (!isWanted(entry, wanted)) continue
      const size = JSON.stringify(entry.descriptor).length + 1
      isMore =
        manifests.length > 0 && (bytes + size > limits.pageBytes || manifests.length === limits.pageEntries)
      if (isMore) break
      bytes += size
      position = keys[index]?.slice(prefix.length) ?? ''
      manifests.push(entry.descriptor)
    }
    if (isMore) break
  }
  const address = placeOf(exchange, `referrers/${subject.text}`)
  sendJson(
    exchange.response,
    200,
    { schemaVersion: 2, mediaType: indexType, manifests },
    {
      'Content-Type': indexType,
      ...(wanted === undefined ? {} : { 'OCI-Filters-Applied': 'artifactType' }),
      ...(isMore ? nextPage(address, { artifactType: wanted, last: position }) : {}),
    },
  )
}

function isWanted(
  entry: ReferrerEntry | undefined,
  artifactType: string | undefined,
): entry is ReferrerEntry {
  return entry !== undefined && (artifactType === undefined || entry.descriptor.artifactType === artifactType)
}

async function* inBatches(infos: AsyncIterable<{ readonly key: string }>): AsyncGenerator<readonly string[]> {
  let batch: string[] = []
  for await (const { key } of infos) {
    batch.push(key)
    if (batch.length < readAtOnce) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}

/**
 * How many entries a client wants, and may have at once.
 * @throws {HttpError} 400 for what is no whole number from 0 on
 */
function pageSize({ query }: Exchange, most: number): number {
  const written = query.get('n')
  if (written === undefined) return most
  if (!/^[0-9]{1,30}$/.test(written)) throw pageInvalid('`n` is no whole number')
  return Math.min(Number(written), most)
}

function pageInvalid(message: string): HttpError {
  return new HttpError(400, 'PAGINATION_NUMBER_INVALID', message)
}

function nextPage(
  path: string,
  query: Readonly<Record<string, string | undefined>>,
): { readonly Link: string } {
  const given = Object.entries(query).filter((pair): pair is [string, string] => pair[1] !== undefined)
  return { Link: `<${path}?${new URLSearchParams(given)}>; rel="next"` }
}
