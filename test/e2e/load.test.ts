import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { type CountingProxy, startCountingProxy } from '../support/counting-proxy.ts'
import { type Dockerd, startDockerd } from '../support/dockerd.ts'
import { type PodmanService, startPodmanService } from '../support/podman-service.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('load')
})
afterAll(() => workspace?.remove())

/** What both engines can be asked for. */
interface LoadedEngine {
  readonly proxy: CountingProxy
  readonly socket: string
  readonly command: (args: readonly string[]) => Promise<string>
  readonly stop: () => Promise<void>
}

async function dockerEngine(): Promise<LoadedEngine> {
  const daemon: Dockerd = await startDockerd(workspace.path('dockerd'))
  return await behindProxy('docker', workspace.path('dockerd', 'socket'), daemon.docker, daemon.stop)
}

async function podmanEngine(): Promise<LoadedEngine> {
  const service: PodmanService = await startPodmanService(workspace.path('podman'))
  return await behindProxy('podman', service.socket, service.podman, service.stop)
}

async function behindProxy(
  name: string,
  target: string,
  command: LoadedEngine['command'],
  stop: LoadedEngine['stop'],
): Promise<LoadedEngine> {
  const socket = workspace.path(`${name}.sock`)
  const proxy = await startCountingProxy(socket, target)
  return { proxy, socket, command, stop: async () => void (await Promise.all([proxy.stop(), stop()])) }
}

/** What the image prints. */
async function wordOfContainer(command: LoadedEngine['command'], image: string): Promise<string> {
  return await command(['run', '--rm', '--network', 'none', image])
}

/** podman's containers want limits that a test in a container may not have: its file is read without one. */
async function wordOfMount(command: LoadedEngine['command'], image: string): Promise<string> {
  const place = (await command(['image', 'mount', image])).trim()
  try {
    return readFileSync(join(place, 'word'), 'utf8')
  } finally {
    await command(['image', 'unmount', image])
  }
}

/** A layer of 3 MB that does not compress, and a small one after it. */
const dockerfile = [
  'FROM busybox:test',
  'RUN dd if=/dev/urandom of=/big bs=1M count=3 2>/dev/null',
  'COPY word /word',
  'CMD ["cat", "/word"]',
].join('\n')

describe.each([
  ['docker', dockerEngine, 'program dockerd', wordOfContainer],
  ['podman', podmanEngine, 'program podman', wordOfMount],
] as const)('--load into %s', (name, start, program, wordOf) => {
  let engine: LoadedEngine | undefined
  const started = async (context: TestContext): Promise<LoadedEngine> => {
    needs(context, 'root', program)
    engine ??= await start()
    return engine
  }
  afterAll(() => engine?.stop())

  const load = async ({ socket }: LoadedEngine, tag: string, word: string, more: readonly string[] = []) => {
    const context = workspace.context(`context-${name}`, { Dockerfile: dockerfile, word })
    return (
      await workspace.tsbuild.check(['-q', '-t', tag, '--load', ...more, context], {
        env: { DOCKER_HOST: `unix://${socket}` },
      })
    ).trim()
  }

  it('sends the image, and the next time only what is new', async (context) => {
    const using = await started(context)
    const { proxy, command } = using
    const first = await load(using, 'loaded:1', 'first')
    expect(await command(['image', 'inspect', '--format', '{{.Id}}', 'loaded:1'])).toContain(first.slice(7))
    expect(proxy.take()).toBeGreaterThan(4_000_000)
    const second = await load(using, 'loaded:2', 'second')
    expect(second).not.toBe(first)
    expect(proxy.take()).toBeLessThan(100_000)
    for (const [tag, word] of [
      ['1', 'first'],
      ['2', 'second'],
    ])
      expect(await wordOf(command, `loaded:${tag}`)).toBe(word)
    // Nothing but questions and a name: the image is there.
    expect(await load(using, 'loaded:again', 'second')).toBe(second)
    expect(proxy.take()).toBeLessThan(5_000)
    expect(await command(['image', 'inspect', '--format', '{{.Id}}', 'loaded:again'])).toContain(
      second.slice(7),
    )
  })

  it('loads an image whose layers are compressed in another way', async (context) => {
    const using = await started(context)
    const id = await load(using, 'plain:1', 'plain', ['-o', 'type=docker,compression=uncompressed'])
    expect(await using.command(['image', 'inspect', '--format', '{{.Id}}', 'plain:1'])).toContain(id.slice(7))
  })

  it('takes the engine of a docker context', async (context) => {
    const using = await started(context)
    const contexts = workspace.path(
      `config-${name}`,
      'contexts',
      'meta',
      createHash('sha256').update('mine').digest('hex'),
    )
    mkdirSync(contexts, { recursive: true })
    const endpoint = { Host: `unix://${using.socket}`, SkipTLSVerify: false }
    writeFileSync(
      join(contexts, 'meta.json'),
      JSON.stringify({ Name: 'mine', Endpoints: { docker: endpoint } }),
    )
    const files = workspace.context(`named-${name}`, { Dockerfile: 'FROM busybox:test\nLABEL a=b' })
    const args = ['-q', '-t', 'named:1', '-o', 'type=docker,context=mine', files]
    const env = { DOCKER_CONFIG: workspace.path(`config-${name}`), DOCKER_HOST: 'unix:///nonexistent' }
    const id = (await workspace.tsbuild.check(args, { env })).trim()
    expect(await using.command(['image', 'inspect', '--format', '{{.Id}}', 'named:1'])).toContain(id.slice(7))
  })

  it('refuses several platforms before anything is built', async (context) => {
    const using = await started(context)
    const files = workspace.context(`platforms-${name}`, { Dockerfile: 'FROM scratch\nCOPY Dockerfile /' })
    const { code, stderr } = await workspace.tsbuild.run(
      ['-t', 'multi:1', '--load', '--platform', 'linux/amd64,linux/arm64', files],
      { env: { DOCKER_HOST: `unix://${using.socket}` } },
    )
    expect(code).toBe(1)
    expect(stderr).toContain('it keeps one image under a name')
    expect(stderr).not.toContain('COPY')
  })
})

describe('--load without an engine', () => {
  it('ends before the build, and says how to do without', async () => {
    const files = workspace.context('nobody', { Dockerfile: 'FROM busybox:test\nRUN touch /never' })
    const env = { DOCKER_HOST: `unix://${workspace.path('nobody.sock')}` }
    const { code, stderr } = await workspace.tsbuild.run(['-t', 'a:1', '--load', files], { env })
    expect(code).toBe(3)
    expect(stderr).toContain('ERR_ENGINE_UNREACHABLE')
    expect(stderr).toContain('type=docker,dest=')
    expect(stderr).not.toContain('RUN touch')
  })
})
