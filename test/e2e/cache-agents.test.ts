import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { formatPublicKey, signingKeyOf } from '@tsbuild/trust'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type CacheServerProcess, makeToken, startCacheServer } from '../support/cache-server-process.ts'
import { type CountingPort, startCountingPort } from '../support/counting-proxy.ts'
import { check, type Steps, type Tsbuild, tsbuildWith } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

/**
 * Four agents, each a process with a store of its own, and one server. The steps make random bytes: an image can be the same only where
 * its steps were found.
 */
const dockerfile = [
  'FROM busybox:test AS tools',
  'RUN mkdir /opt && head -c 400000 /dev/urandom > /opt/tool',
  'FROM busybox:test',
  'COPY base.txt /app/base.txt',
  'RUN cat /app/base.txt && head -c 600000 /dev/urandom > /app/compiled',
  'COPY --from=tools /opt /app/tools',
  'COPY app.txt /app/app.txt',
  'RUN cat /app/app.txt && head -c 100000 /dev/urandom > /app/bundle',
].join('\n')

/** An agent: the command on its own store, before a port of its own that counts. */
interface Agent {
  readonly tsbuild: Tsbuild
  readonly port: CountingPort
  /** Builds a context with the cache; gives its steps, the bytes to and from the server, and the image. */
  readonly build: (context: string, ...more: readonly string[]) => Promise<Built>
}

interface Built extends Steps {
  readonly bytes: number
  /** Its id; empty where none was written. */
  readonly image: string
}

let workspace: Workspace
let server: CacheServerProcess
let dir: string
const agents: Agent[] = []

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('cache-agents')
  dir = workspace.path('server')
  server = await startCacheServer(dir, ['--auth', 'tokens'])
}, 120_000)

afterAll(async () => {
  await Promise.all(agents.map(({ port }) => port.stop()))
  await server?.stop()
  await workspace.remove()
})

async function openAgent(name: string, claims: readonly string[], keys?: string): Promise<Agent> {
  const store = workspace.path(`store-${name}`)
  await check('cp', ['-a', '--reflink=auto', workspace.path('store'), store])
  const token = workspace.path(`token-${name}`)
  writeFileSync(token, await makeToken(dir, ...claims), { mode: 0o600 })
  const port = await startCountingPort(server.host)
  const tsbuild = tsbuildWith(store)
  const place = `type=server,url=http://${port.host},token-file=${token}`
  const trust = keys === undefined ? '' : `,keys=${keys}`
  const image = workspace.path(`image-${name}`)
  const buildOnce = async (context: string, more: readonly string[]): Promise<Built> => {
    port.take()
    rmSync(image, { force: true })
    const caches = ['--cache-from', `${place}${trust}`, '--cache-to', `${place}${trust}`]
    const output = more.length === 0 ? ['--iidfile', image, '-t', 'app:1'] : more
    const steps = await tsbuild.build([...caches, ...output, context], {
      env: { HOME: workspace.path(`home-${name}`) },
    })
    return { ...steps, bytes: port.take(), image: existsSync(image) ? readFileSync(image, 'utf8') : '' }
  }
  const agent: Agent = {
    tsbuild,
    port,
    // A cache that takes longer than two seconds is given up, and a test machine may be that busy: then the same agent starts anew.
    build: async (context, ...more) => {
      const before = workspace.path(`before-${name}`)
      await check('cp', ['-a', '--reflink=auto', store, before])
      for (let tries = 1; ; tries++) {
        const built = await buildOnce(context, more)
        if (tries === 5 || !warnings(built).some((message) => /\b2 s\b|did not answer/.test(message))) {
          rmSync(before, { recursive: true })
          return built
        }
        rmSync(store, { recursive: true })
        await check('cp', ['-a', '--reflink=auto', before, store])
      }
    },
  }
  agents.push(agent)
  return agent
}

const warnings = ({ events }: Steps): readonly string[] =>
  events.flatMap((event) => (event.type === 'warning' ? [event.message] : []))

/** What a cold build sends, compressed or not, is more than this; a look-up less. */
const layerBytes = 1_000_000
const lookUpBytes = 100_000

describe('four agents and one cache-server', { timeout: 180_000 }, () => {
  let context: string
  let changed: string
  let cold: Built
  let main: Agent

  it('a cold build runs everything, and sends its layers', async () => {
    context = workspace.context('context', {
      Dockerfile: dockerfile,
      'base.txt': 'base\n',
      'app.txt': 'app\n',
    })
    changed = workspace.context('changed', {
      Dockerfile: dockerfile,
      'base.txt': 'base\n',
      'app.txt': 'changed\n',
    })
    main = await openAgent('main', ['--scope', 'acme/app:ref/main', '--read', 'acme/app:ref/main'])
    cold = await main.build(context)
    expect([cold.executed.length, cold.cached.length]).toEqual([6, 0])
    expect(warnings(cold)).toEqual([])
    expect(cold.bytes).toBeGreaterThan(layerBytes)
  })

  it('a second agent of main runs nothing and moves no layer, until somebody wants the image: then each once', async () => {
    const second = await openAgent('second', ['--read', 'acme/app:ref/main', '--ops', 'pull'])
    const warm = await second.build(context, '-o', 'type=cacheonly')
    expect(warm.executed).toEqual([])
    // The step of the other stage is not even looked at: what is copied from it was found.
    expect(warm.cached).toHaveLength(5)
    expect(warm.bytes).toBeLessThan(lookUpBytes)
    const tagged = await second.build(context)
    expect([tagged.executed, tagged.image]).toEqual([[], cold.image])
    expect(tagged.bytes).toBeGreaterThan(layerBytes)
    expect(tagged.bytes).toBeLessThan(layerBytes + 2 * lookUpBytes)
    // Now they are here.
    expect((await second.build(context)).bytes).toBeLessThan(lookUpBytes)
  })

  it('a pull request finds what main has built, runs what it changed, and main never sees that', async () => {
    const request = await openAgent('pr', [
      '--scope',
      'acme/app:pr/7',
      '--read',
      'acme/app:pr/7',
      '--read',
      'acme/app:ref/main',
    ])
    const same = await request.build(context)
    expect([same.executed, same.image]).toEqual([[], cold.image])
    const own = await request.build(changed)
    expect(own.executed.map((name) => name.slice(0, 24))).toEqual([
      '[stage-1 5/6] COPY app.t',
      '[stage-1 6/6] RUN cat /a',
    ])
    // Another agent of the same pull request, with nothing in its store: everything is found.
    const again = await openAgent('pr-again', [
      '--scope',
      'acme/app:pr/7',
      '--read',
      'acme/app:pr/7',
      '--read',
      'acme/app:ref/main',
    ])
    const found = await again.build(changed)
    expect([found.executed, found.image]).toEqual([[], own.image])
    // Another request and main build it themselves: what pull request 7 has is not theirs. Main comes last, for all read what it has.
    for (const [name, scope] of [
      ['pr8', 'pr/8'],
      ['main-again', 'ref/main'],
    ] as const) {
      const agent = await openAgent(name, ['--scope', `acme/app:${scope}`])
      const built = await agent.build(changed)
      expect(built.executed).toHaveLength(2)
      expect(built.image).not.toBe(own.image)
    }
  })

  it('an agent that trusts another key runs everything, says so once, and builds', async () => {
    const keys = workspace.path('keys')
    const stranger = signingKeyOf(Buffer.alloc(32, 9))
    writeFileSync(keys, `acme/app:ref/main ${formatPublicKey(stranger)}\n`)
    const agent = await openAgent('wrong-key', ['--read', 'acme/app:ref/main', '--ops', 'pull'], keys)
    const built = await agent.build(context)
    expect([built.executed.length, built.cached.length]).toEqual([6, 0])
    expect(built.image).not.toBe(cold.image)
    expect(warnings(built).filter((message) => message.includes('not signed'))).toHaveLength(1)
    expect(built.bytes).toBeLessThan(lookUpBytes)
  })
})
