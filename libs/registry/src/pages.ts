import { type BuildError, UserError } from '@tsbuild/errors'
import type { HttpResponse } from '@tsbuild/http'
import { type ImageReference, parseReference } from '@tsbuild/oci'
import type { Connection, RegistryRequest } from './connection.ts'
import { resolveLocation } from './endpoint.ts'
import { nonsense, type Purpose, readBody } from './failures.ts'
import { pullScope } from './manifests.ts'
import type { CallOptions } from './types.ts'

/** What every registry gives in one page; some refuse to be asked for more. */
const namesPerPage = 1000
const maxPageBytes = 16 * 1024 * 1024
const maxPages = 10_000
const maxNames = 1_000_000

/** Lists the tags of a repository; see `RegistryClient.listTags`. */
export async function listTags(
  connection: Connection,
  reference: ImageReference,
  options: CallOptions,
): Promise<readonly string[]> {
  const { registry, repository } = reference
  const name = `${registry}/${repository}`
  const purpose = { what: `list the tags of ${name}`, host: registry }
  const refuse = (response: HttpResponse) =>
    response.status === 404
      ? new UserError('ERR_IMAGE_NOT_FOUND', `Cannot ${purpose.what}: the registry does not have it`)
      : undefined
  const target = `/v2/${repository}/tags/list?n=${namesPerPage}`
  const list = { registry, scopes: [pullScope(repository)], target, purpose, member: 'tags', refuse }
  const tags = await readNames(connection, list, options)
  return tags.filter((tag) => isReference(`${registry}/${repository}:${tag}`))
}

/** Statuses of registries that do not know the catalogue. */
const withoutCatalogue = new Set([400, 404, 405, 501])

/** Lists the repositories of a registry; see `RegistryClient.listRepositories`. */
export async function listRepositories(
  connection: Connection,
  registry: string,
  options: CallOptions,
): Promise<readonly string[]> {
  const purpose = { what: `list the repositories of ${registry}`, host: registry }
  const refuse = (response: HttpResponse) =>
    withoutCatalogue.has(response.status)
      ? new UserError('ERR_UNSUPPORTED', `Cannot ${purpose.what}: the registry has no catalogue`)
      : undefined
  const target = `/v2/_catalog?n=${namesPerPage}`
  const list = { registry, scopes: ['registry:catalog:*'], target, purpose, member: 'repositories', refuse }
  const repositories = await readNames(connection, list, options)
  return repositories.filter((repository) => isReference(`${registry}/${repository}`))
}

interface NameList extends Pages {
  /** The member of each page that holds the names. */
  readonly member: string
}

async function readNames(
  connection: Connection,
  list: NameList,
  options: CallOptions,
): Promise<readonly string[]> {
  const names: string[] = []
  for await (const page of readPages(connection, list, options)) {
    // A page may have more names than a call can have arguments.
    for (const name of namesOf(page.bytes, list)) names.push(name)
    if (names.length > maxNames) throw nonsense(list.purpose, `with more than ${maxNames} names`)
  }
  return names
}

function namesOf(page: Buffer, { member, purpose }: NameList): readonly string[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(page.toString())
  } catch {
    throw nonsense(purpose, 'something that is not JSON')
  }
  const isObject = typeof parsed === 'object' && parsed !== null
  const names: unknown = isObject ? Object.getOwnPropertyDescriptor(parsed, member)?.value : undefined
  // Go writes an empty list as null.
  if (isObject && (names === null || names === undefined)) return []
  if (Array.isArray(names) && names.every((name) => typeof name === 'string')) return names
  throw nonsense(purpose, `"${member}" that are no list of names`)
}

/** A list that a registry gives page by page. */
export interface Pages {
  readonly registry: string
  readonly scopes: readonly string[]
  readonly target: string
  readonly headers?: RegistryRequest['headers']
  readonly purpose: Purpose
  /** The error for a status that means something for this list; undefined for the usual one. */
  readonly refuse: (response: HttpResponse) => BuildError | undefined
}

/** One page as it was sent. */
export interface Page {
  readonly bytes: Buffer
  readonly header: HttpResponse['header']
}

/**
 * Reads the pages of a list one after the other, as their `Link` headers lead; these lead nowhere but to the registry
 * itself. At most 10,000 pages of 16 MiB.
 *
 * @throws {EnvironmentError} `ERR_REGISTRY_RESPONSE` if a page leads to another host, or back to one that was read
 * @see https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-tags
 */
export async function* readPages(
  connection: Connection,
  pages: Pages,
  { signal }: CallOptions,
): AsyncGenerator<Page> {
  const { registry, scopes, headers, purpose } = pages
  const seen = new Set<string>()
  let target: string | URL = pages.target
  for (;;) {
    const request: RegistryRequest = { registry, scopes, method: 'GET', target, headers, purpose, signal }
    const page = await connection.retry(purpose, signal, async () => {
      const response = await connection.exchange(request)
      if (response.status !== 200) {
        const refused = pages.refuse(response)
        if (refused === undefined) throw await connection.failure(response, purpose)
        await response.discard()
        throw refused
      }
      return { bytes: await readBody(response, maxPageBytes, purpose), header: response.header }
    })
    yield page
    const link = nextLink(page.header('link'))
    if (link === undefined) return
    const endpoint = connection.endpoint(registry)
    const next = resolveLocation(endpoint, new URL(target, endpoint.origin), link)
    if (next.origin !== endpoint.origin.origin) throw nonsense(purpose, `with a next page on ${next.host}`)
    if (seen.has(next.href)) throw nonsense(purpose, 'with a next page that was read before')
    if (seen.size >= maxPages) throw nonsense(purpose, `with more than ${maxPages} pages`)
    seen.add(next.href)
    target = next
  }
}

/** The address of `rel="next"` in a `Link` header. @see RFC 8288 section 3 */
export function nextLink(header: string | undefined): string | undefined {
  for (const [, address, parameters] of (header ?? '').matchAll(/<([^<>]*)>([^<>]*)/g)) {
    if (/;\s*rel\s*=\s*(?:"(?:[^"]*\s)?next(?:\s[^"]*)?"|next\b)/i.test(parameters ?? '')) return address
  }
  return undefined
}

function isReference(text: string): boolean {
  try {
    parseReference(text)
    return true
  } catch {
    return false
  }
}
