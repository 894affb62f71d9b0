import type { Connection } from './connection.ts'
import { searchHost } from './endpoint.ts'
import { nonsense, type Purpose, readBody } from './failures.ts'
import { listRepositories } from './pages.ts'
import type { FoundRepository, SearchOptions } from './types.ts'

const hub = 'docker.io'
/** What the Hub gives at most in one answer. */
const hubPageSize = 100
const maxAnswerBytes = 4 * 1024 * 1024
const defaultLimit = 25

/** Searches a registry for repositories; see `RegistryClient.search`. */
export async function searchRegistry(
  connection: Connection,
  registry: string,
  term: string,
  options: SearchOptions,
): Promise<readonly FoundRepository[]> {
  const limit = options.limit ?? defaultLimit
  if (registry === hub) return searchIndex(connection, searchHost, term, { ...options, limit })
  const all = await listRepositories(connection, registry, options)
  const wanted = term.toLowerCase()
  const found = all.filter((name) => name.includes(wanted)).slice(0, limit)
  return found.map((name) => ({ name, description: undefined, stars: undefined, official: undefined }))
}

/**
 * Asks the Hub's search, which is older than the distribution protocol.
 *
 * @param host where `/v1/search` is
 */
export async function searchIndex(
  connection: Connection,
  host: string,
  term: string,
  { limit, signal }: SearchOptions & { readonly limit: number },
): Promise<readonly FoundRepository[]> {
  const purpose = { what: `search ${hub}`, host }
  const n = String(Math.min(limit, hubPageSize))
  const target = `/v1/search?${new URLSearchParams({ q: term, n })}`
  const found = await connection.retry(purpose, signal, async () => {
    const response = await connection.exchange({
      registry: host,
      scopes: [],
      method: 'GET',
      target,
      headers: { accept: 'application/json' },
      purpose,
      signal,
    })
    if (response.status !== 200) throw await connection.failure(response, purpose)
    return readResults(await readBody(response, maxAnswerBytes, purpose), purpose)
  })
  return found.slice(0, limit)
}

function readResults(body: Buffer, purpose: Purpose): readonly FoundRepository[] {
  let parsed: unknown
  try {
    parsed = JSON.parse(body.toString())
  } catch {
    throw nonsense(purpose, 'something that is not JSON')
  }
  const results = member(parsed, 'results')
  if (results === null) return []
  if (!Array.isArray(results)) throw nonsense(purpose, 'without results')
  return results.map((result: unknown) => {
    const name = member(result, 'name')
    if (typeof name !== 'string') throw nonsense(purpose, 'a result without a name')
    const [description, stars] = [member(result, 'description'), member(result, 'star_count')]
    return {
      name,
      description: typeof description === 'string' && description !== '' ? description : undefined,
      stars: typeof stars === 'number' ? stars : undefined,
      official: member(result, 'is_official') === true,
    }
  })
}

function member(value: unknown, name: string): unknown {
  return typeof value === 'object' && value !== null
    ? Object.getOwnPropertyDescriptor(value, name)?.value
    : undefined
}
