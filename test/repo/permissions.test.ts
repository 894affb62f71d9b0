import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Route } from '@tsbuild/http-server'
import { repositoryOfScope } from '@tsbuild/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import {
  type CacheInstance,
  ours,
  startCacheInstance,
  type TestToken,
  tokenOf,
} from '../support/cache-instance.ts'

/**
 * Who may do what on a cache-server: each route of the real table × each thing that it can be about × each kind of grant, asked over
 * HTTP. A new route is in nobody's golden file, and a test below is for those that write without a token.
 */
const golden = join(import.meta.dirname, 'testdata/permissions.txt')

const images = { pull: ['acme/**'], push: ['acme/app'] }
const request: TestToken = { read: ['pr/7', 'ref/main'], write: 'pr/7', repositories: images }
const tokens: Readonly<Record<string, TestToken>> = {
  request,
  pull: { ...request, operations: ['pull'] },
  push: { ...request, operations: ['push'] },
  delete: { ...request, operations: ['pull', 'push', 'delete'] },
  admin: { ...request, operations: ['admin'] },
  idle: { ...request, operations: [] },
  main: { read: ['ref/main'], write: 'ref/main', repositories: { pull: ['acme/**'], push: ['acme/**'] } },
}
const repositories = [
  'acme/app',
  'acme/other',
  'evil/app',
  repositoryOfScope(ours('pr/7')),
  repositoryOfScope(ours('ref/main')),
  repositoryOfScope(ours('pr/8')),
  'cache/acme/app__ref/z6dain',
]
const scopes = ['acme/app:pr/7', 'acme/app:ref/main', 'acme/app:pr/8']

const blob = Buffer.from('a blob that is in every repository')
const config = Buffer.from('{}')
const digestOf = (bytes: Buffer): string => `sha256:${createHash('sha256').update(bytes).digest('hex')}`
const manifest = Buffer.from(
  JSON.stringify({
    schemaVersion: 2,
    mediaType: 'application/vnd.oci.image.manifest.v1+json',
    config: { mediaType: 'application/vnd.oci.empty.v1+json', digest: digestOf(config), size: config.length },
    layers: [{ mediaType: 'application/octet-stream', digest: digestOf(blob), size: blob.length }],
  }),
)
const manifestType = { 'content-type': 'application/vnd.oci.image.manifest.v1+json' }

/** What stands for a parameter that says what a route is about. */
const about: Readonly<Record<string, readonly string[]>> = { 'name...': repositories, 'scope...': scopes }
/** What stands for the others. */
const values: Readonly<Record<string, string>> = {
  digest: digestOf(blob),
  key: digestOf(blob),
  reference: 'latest',
  // No upload has this name: whoever may write there is told so, and nobody else learns anything.
  upload: '00000000-0000-4000-8000-000000000000',
  id: '00000000-0000-4000-8000-000000000000',
  session: '00000000-0000-4000-8000-000000000000',
}
/** Bodies with which those who may get a success, or a refusal that is not about permissions. */
const bodies: Readonly<
  Record<string, { readonly body: string | Buffer; readonly headers: Readonly<Record<string, string>> }>
> = {
  'PUT /v2/{name...}/manifests/{reference}': { body: manifest, headers: manifestType },
  'POST /v1/auth/exchange': { body: '{"token":"x"}', headers: {} },
  'POST /v1/lookup': jsonOf({ keys: [] }),
  'POST /v1/plan': jsonOf({ steps: [] }),
  'POST /v1/missing': jsonOf({ scope: ours('pr/7'), digests: [] }),
  'POST /v1/records': jsonOf({ records: [] }),
}
const json = jsonOf({})
/** One whose tokens would be exchanged. */
const oidc = [{ preset: 'github', audience: 'https://cache', repositories: ['acme/*'] }]

function jsonOf(value: object) {
  return { body: JSON.stringify(value), headers: { 'content-type': 'application/json' } }
}

let folder: string
let closed: CacheInstance
let open: CacheInstance
let readable: CacheInstance

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'trust-permissions-'))
  closed = await startCacheInstance(join(folder, 'closed'), { auth: 'tokens' }, oidc)
  readable = await startCacheInstance(
    join(folder, 'readable'),
    {
      auth: 'tokens',
      publicRead: true,
      publicReadScopes: ['acme/app:ref/main'],
    },
    oidc,
  )
  open = await startCacheInstance(join(folder, 'open'), {}, oidc)
  for (const instance of [closed, readable, open]) for (const name of repositories) await seed(instance, name)
})
afterAll(async () => {
  await Promise.all([closed, readable, open].map((instance) => instance?.close()))
  rmSync(folder, { recursive: true, force: true })
})

async function send(
  instance: CacheInstance,
  method: string,
  path: string,
  token: string | undefined,
  sent = json,
): Promise<number> {
  const headers = { ...sent.headers, ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
  const hasBody = method !== 'GET' && method !== 'HEAD'
  const response = await fetch(`${instance.url}${path}`, {
    method,
    headers,
    ...(hasBody ? { body: sent.body } : {}),
    redirect: 'manual',
  })
  await response.arrayBuffer()
  return response.status
}

/** Puts a blob and a manifest into a repository, by a token that may; into that of no scope nothing can be put. */
async function seed(instance: CacheInstance, name: string): Promise<void> {
  const scope =
    repositories.indexOf(name) > 2 ? ['pr/7', 'ref/main', 'pr/8'][repositories.indexOf(name) - 3] : undefined
  const token = await tokenOf(instance.key, {
    ...(scope === undefined ? {} : { read: [scope], write: scope }),
    repositories: { pull: ['**'], push: ['**'] },
  })
  for (const bytes of [blob, config]) {
    const path = `/v2/${name}/blobs/uploads/?digest=${encodeURIComponent(digestOf(bytes))}`
    await send(instance, 'POST', path, token, {
      body: bytes as never,
      headers: { 'content-type': 'application/octet-stream' },
    })
  }
  await send(instance, 'PUT', `/v2/${name}/manifests/latest`, token, {
    body: manifest as never,
    headers: manifestType,
  })
}

/** The paths of a route with what stands for its parameters, each with what it is about. */
function pathsOf(route: Route): readonly (readonly [string, string])[] {
  const names = [...route.path.matchAll(/\{([^}]+)\}/g)].map(([, name = '']) => name)
  const subject = names.find((name) => about[name] !== undefined)
  const fill = (text: string): string =>
    text.replace(/\{([^}]+)\}/g, (_, name: string) => {
      const value = values[name.replace('...', '')]
      if (value === undefined) throw new Error(`Say in this test what {${name}} of ${route.path} may be`)
      return value
    })
  if (subject === undefined) return [['', fill(route.path)]]
  return (about[subject] ?? []).map((value) => [value, fill(route.path.replace(`{${subject}}`, value))])
}

const nameOf = ({ method, path }: Route): string => `${method} ${path}`

describe('permissions of a cache-server', () => {
  it('of every route are those of the golden file', async () => {
    const grants: [string, CacheInstance, string | undefined][] = [
      ['nobody', closed, undefined],
      ['public', readable, undefined],
      ['forged', closed, 'a.b.c'],
    ]
    for (const [name, token] of Object.entries(tokens))
      grants.push([name, closed, await tokenOf(closed.key, token)])
    grants.push(['loopback', open, undefined])
    const lines: string[] = []
    const routes = [...closed.routes].sort((a, b) =>
      nameOf(a).split(' ').reverse().join().localeCompare(nameOf(b).split(' ').reverse().join(), 'en'),
    )
    for (const route of routes) {
      lines.push('', `${nameOf(route)}  (${route.needs})`)
      for (const [subject, path] of pathsOf(route)) {
        const statuses: string[] = []
        for (const [name, instance, token] of grants) {
          const status = await send(
            instance,
            route.method,
            path,
            token,
            (bodies[nameOf(route)] ?? json) as typeof json,
          )
          statuses.push(`${name} ${status}`)
          if (route.method === 'DELETE' && status < 300)
            for (const each of repositories) await seed(instance, each)
        }
        lines.push(`  ${subject.padEnd(28)} ${statuses.join('  ')}`)
      }
    }
    const table = `${lines.slice(1).join('\n')}\n`
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(golden, table)
    expect(table).toBe(readFileSync(golden, 'utf8'))
  })

  it('has a line for every route, and none for others', () => {
    const written = readFileSync(golden, 'utf8')
      .split('\n')
      .filter((line) => /^[A-Z]/.test(line))
      .map((line) => line.split('  ')[0])
    expect([...written].sort()).toEqual(closed.routes.map(nameOf).sort())
  })

  it('CAC-05: nobody writes without a token: 401 to PUT, PATCH, POST and DELETE on every route', async () => {
    const writes = closed.routes.filter(({ method }) => method !== 'GET' && method !== 'HEAD')
    expect(writes.length).toBeGreaterThan(4)
    for (const route of writes) {
      for (const [, path] of pathsOf(route)) {
        const sent = (bodies[nameOf(route)] ?? json) as typeof json
        const tries: [CacheInstance, string | undefined][] = [
          [closed, undefined],
          [closed, 'x'],
          [readable, 'x'],
        ]
        // What is asked by POST and only read is open to everybody with `publicRead`.
        if (route.needs !== 'pull') tries.push([readable, undefined])
        for (const [instance, token] of tries)
          expect([nameOf(route), path, await send(instance, route.method, path, token, sent)]).toEqual([
            nameOf(route),
            path,
            401,
          ])
      }
    }
  })

  it('a server that everybody may read from has one route more, which is public and only reads', () => {
    const names = new Set(closed.routes.map(nameOf))
    const more = readable.routes.filter((route) => !names.has(nameOf(route)))
    expect(more.map((route) => [nameOf(route), route.needs])).toEqual([['GET /v2/token', 'public']])
    expect(readable.routes).toHaveLength(closed.routes.length + 1)
  })

  it('CAC-05: no method of any path gives nobody a success, but for those that are public', async () => {
    const open = new Set(closed.routes.filter(({ needs }) => needs === 'public').map(nameOf))
    expect([...open].sort()).toEqual(['GET /healthz', 'GET /readyz', 'POST /v1/auth/exchange'])
    const paths = [...new Set(closed.routes.map(({ path }) => path))]
    for (const path of paths) {
      for (const method of ['GET', 'HEAD', 'PUT', 'POST', 'PATCH', 'DELETE', 'OPTIONS']) {
        if (path !== '/v1/auth/exchange' && open.has(`${method === 'HEAD' ? 'GET' : method} ${path}`))
          continue
        const [, filled = ''] = pathsOf({ path } as Route)[0] ?? []
        expect([
          method,
          path,
          await send(closed, method, filled, undefined, (bodies[`${method} ${path}`] ?? json) as typeof json),
        ]).toEqual([method, path, expect.toSatisfy((status) => [401, 404, 405].includes(status))])
      }
    }
  })
})
