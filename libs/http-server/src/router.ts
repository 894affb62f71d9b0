import type { Method, Params, Route } from './types.ts'

/** What the table says about a path. */
export type Match =
  | { readonly kind: 'route'; readonly route: Route; readonly params: Params }
  /** The path is there, for other methods. */
  | { readonly kind: 'method'; readonly allow: readonly string[] }
  | { readonly kind: 'none' }

type Part =
  | { readonly kind: 'literal'; readonly text: string }
  | { readonly kind: 'one'; readonly name: string }
  | { readonly kind: 'many'; readonly name: string }

/** Routes with one path. */
interface Line {
  readonly parts: readonly Part[]
  /** The index of the part that takes several components; -1 where each takes one. */
  readonly many: number
  readonly routes: ReadonlyMap<string, Route>
}

/**
 * Makes the look-up of a table. Of two paths that match the one with more literal components counts, so that
 * `…/blobs/uploads/` is not a digest.
 *
 * @throws {TypeError} where two routes are the same, or a path has two parts that take several components
 */
export function createRouter(
  routes: readonly Route[],
): (method: string, components: readonly string[]) => Match {
  const byPath = new Map<string, Map<Method, Route>>()
  for (const route of routes) {
    const same = byPath.get(route.path) ?? new Map<Method, Route>()
    if (same.has(route.method)) throw new TypeError(`Two routes are ${route.method} ${route.path}`)
    byPath.set(route.path, same.set(route.method, route))
  }
  const lines = [...byPath].map(([path, methods]) => lineOf(path, methods))
  lines.sort((a, b) => literals(b) - literals(a))
  return (method, components) => find(lines, method, components)
}

function lineOf(path: string, routes: ReadonlyMap<string, Route>): Line {
  const parts = path.slice(1).split('/').map(partOf)
  const many = parts.findIndex((part) => part.kind === 'many')
  if (!path.startsWith('/') || parts.filter((part) => part.kind === 'many').length > 1) {
    throw new TypeError(`Not a path of a route: ${path}`)
  }
  return { parts, many, routes }
}

function partOf(text: string): Part {
  const [, name, several] = /^\{(\w+)(\.\.\.)?\}$/.exec(text) ?? []
  if (name === undefined) return { kind: 'literal', text }
  return { kind: several === undefined ? 'one' : 'many', name }
}

const literals = (line: Line) => line.parts.filter((part) => part.kind === 'literal').length

function find(lines: readonly Line[], method: string, components: readonly string[]): Match {
  const allow = new Set<string>()
  for (const line of lines) {
    const params = match(line, components)
    if (params === undefined) continue
    // Whatever is read can be asked about.
    const route = line.routes.get(method) ?? (method === 'HEAD' ? line.routes.get('GET') : undefined)
    if (route !== undefined) return { kind: 'route', route, params }
    for (const other of line.routes.keys()) {
      allow.add(other)
      if (other === 'GET') allow.add('HEAD')
    }
  }
  return allow.size === 0 ? { kind: 'none' } : { kind: 'method', allow: [...allow].sort() }
}

function match(line: Line, given: readonly string[]): Params | undefined {
  const { parts, many } = line
  const last = parts.at(-1)
  const components =
    last?.kind === 'literal' && last.text === '' && given.at(-1) !== '' && given.length > 0
      ? [...given, '']
      : given
  const extra = components.length - parts.length
  if (many === -1 ? extra !== 0 : extra < 0) return undefined
  const params: Record<string, string> = Object.create(null)
  for (let index = 0; index < parts.length; index += 1) {
    const part = parts[index] as Part
    const at = many !== -1 && index > many ? index + extra : index
    const component = components[at] as string
    if (part.kind === 'literal') {
      if (part.text !== component) return undefined
      continue
    }
    const value = part.kind === 'one' ? component : components.slice(at, at + extra + 1).join('/')
    if (component === '' || value.endsWith('/')) return undefined
    params[part.name] = value
  }
  return params
}
