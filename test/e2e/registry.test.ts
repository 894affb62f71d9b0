import { readFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { startTokenServer } from '../support/token-server.ts'
import { check } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace, writeFiles } from '../support/workspace.ts'

let workspace: Workspace
let registry: RegistryProcess
let context: string

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('registry')
  registry = await startRegistry(workspace.path('registry'))
  context = workspace.context('app', {
    Dockerfile: 'FROM busybox:test\nCOPY file /file\nRUN cat /file > /copy\nCMD ["cat", "/copy"]\n',
    file: 'pushed\n',
  })
})
afterAll(async () => {
  await registry?.stop()
  await workspace?.remove()
})

const uploads = (of: RegistryProcess) =>
  of.requests().filter((line) => /^(POST|PATCH|PUT) \S*\/blobs\//.test(line))
const transfers = (of: RegistryProcess) => of.requests().filter((line) => /^GET \S*\/blobs\//.test(line))

describe('a push', () => {
  it('leaves an image that skopeo pulls, of the digest that the metadata names', async () => {
    const image = `${registry.host}/app:1.0`
    const metadata = workspace.path('metadata.json')
    await workspace.tsbuild.check(['-q', '--push', '-t', image, '--metadata-file', metadata, context])
    const inspected = JSON.parse(
      await check('skopeo', ['inspect', '--tls-verify=false', `docker://${image}`]),
    )
    expect(inspected.Digest).toBe(JSON.parse(readFileSync(metadata, 'utf8'))['containerimage.digest'])
    await check('skopeo', [
      'copy',
      '--src-tls-verify=false',
      `docker://${image}`,
      `oci:${workspace.path('pulled')}:1.0`,
    ])
    await check('umoci', ['unpack', '--image', `${workspace.path('pulled')}:1.0`, workspace.path('bundle')])
    expect(readFileSync(workspace.path('bundle/rootfs/copy'), 'utf8')).toBe('pushed\n')
  })

  it('sends no blob that the registry has', async () => {
    const image = `${registry.host}/twice:1.0`
    await workspace.tsbuild.check(['-q', '--push', '-t', image, context])
    expect(uploads(registry).length).toBeGreaterThan(0)
    registry.forget()
    await workspace.tsbuild.check(['-q', '--push', '-t', image, context])
    expect(uploads(registry)).toEqual([])
  })

  it('sends the blobs once for several tags', async () => {
    const names = ['one', 'two'].map((tag) => `${registry.host}/tags:${tag}`)
    await workspace.tsbuild.check(['-q', '--push', ...names.flatMap((name) => ['-t', name]), context])
    const digests = await Promise.all(
      names.map(
        async (name) =>
          JSON.parse(await check('skopeo', ['inspect', '--tls-verify=false', `docker://${name}`])).Digest,
      ),
    )
    expect(digests[0]).toBe(digests[1])
  })
})

describe('FROM a registry', () => {
  it('pulls, runs, and pulls no blob again', async () => {
    const base = `${registry.host}/base:1.0`
    await workspace.tsbuild.check(['-q', '--push', '-t', base, context])
    const other = await openEmptyWorkspace('pull')
    try {
      const project = other.context('project', { Dockerfile: `FROM ${base}\nRUN cat /copy > /out\n` })
      registry.forget()
      await other.tsbuild.check(['-q', '-o', other.path('out'), project])
      expect(readFileSync(other.path('out/out'), 'utf8')).toBe('pushed\n')
      expect(transfers(registry).length).toBeGreaterThan(0)
      registry.forget()
      const steps = await other.tsbuild.build(['-o', other.path('out2'), project])
      expect(steps.executed).toEqual([])
      expect(transfers(registry)).toEqual([])
    } finally {
      await other.remove()
    }
  })

  it('takes a digest', async () => {
    const name = `${registry.host}/base`
    await workspace.tsbuild.check(['-q', '--push', '-t', `${name}:2.0`, context])
    const { Digest } = JSON.parse(
      await check('skopeo', ['inspect', '--tls-verify=false', `docker://${name}:2.0`]),
    )
    const project = workspace.context('by-digest', {
      Dockerfile: `FROM ${name}:ignored@${Digest}\nRUN true\n`,
    })
    // There is no tag `ignored`: only the digest can have found it, and another digest finds nothing.
    const { stderr, code } = await workspace.tsbuild.run(['--progress', 'plain', project])
    expect(code).toBe(0)
    expect(stderr).toContain(`FROM ${name}:ignored@${Digest}`)
    const other = workspace.context('by-other-digest', {
      Dockerfile: `FROM ${name}:2.0@sha256:${'0'.repeat(64)}\nRUN true\n`,
    })
    const refused = await workspace.tsbuild.run([other])
    expect(refused.stderr).toContain('[ERR_IMAGE_NOT_FOUND]')
    expect(refused.code).toBe(1)
  })
})

async function openEmptyWorkspace(name: string): Promise<Workspace> {
  const { openWorkspace } = await import('../support/workspace.ts')
  return openWorkspace(name)
}

/** `open sesame` as bcrypt of cost 4, which is all that docker-registry reads. */
const htpasswd = 'ali:$2b$04$abcdefghijklmnopqrstuu/LVz6MZlItEy42I2juLihZ66HnQx/cy\n'

/** A docker `config.json` with one registry's credentials; gives the environment that names it. */
function loginTo(name: string, host: string, password: string): { readonly DOCKER_CONFIG: string } {
  const auth = Buffer.from(`ali:${password}`).toString('base64')
  const folder = writeFiles(workspace.path(name), {
    'config.json': JSON.stringify({ auths: { [host]: { auth } } }),
  })
  return { DOCKER_CONFIG: folder }
}

describe('a registry with Basic authentication', () => {
  let guarded: RegistryProcess
  beforeAll(async () => {
    guarded = await startRegistry(workspace.path('guarded'), { type: 'basic', htpasswd })
  })
  afterAll(() => guarded?.stop())

  it('takes a push and gives a pull with the credentials of config.json', async () => {
    const env = loginTo('basic-config', guarded.host, 'open sesame')
    const image = `${guarded.host}/secret/app:1.0`
    await workspace.tsbuild.check(['-q', '--push', '-t', image, context], { env })
    const project = workspace.context('basic-pull', { Dockerfile: `FROM ${image}\nRUN test -f /copy\n` })
    await workspace.tsbuild.check(['-q', '--pull', project], { env })
  })

  it.each([
    ['without credentials', undefined],
    ['with a wrong password', 'close sesame'],
  ])('refuses a push %s, and no secret is shown', async (name, password) => {
    const env = password === undefined ? {} : loginTo(`basic-${name}`, guarded.host, password)
    const outcome = await workspace.tsbuild.run(['--push', '-t', `${guarded.host}/x:1`, context], { env })
    expect(outcome.code).toBe(3)
    expect(outcome.stderr).toContain('ERR_REGISTRY_AUTH')
    expect(outcome.stderr).not.toContain('close sesame')
    expect(outcome.stderr).not.toContain(Buffer.from('ali:close sesame').toString('base64'))
  })
})

describe('a registry with token authentication', () => {
  it('takes a push and gives a pull with a token for the right scope', async () => {
    const tokens = await startTokenServer(workspace.path('tokens'), { user: 'ali', password: 'open sesame' })
    const guarded = await startRegistry(workspace.path('token-registry'), tokens.registryAuth)
    try {
      const env = loginTo('token-config', guarded.host, 'open sesame')
      const image = `${guarded.host}/team/app:1.0`
      await workspace.tsbuild.check(['-q', '--push', '-t', image, context], { env })
      expect(tokens.scopes()).toContain('repository:team/app:pull,push')
      const project = workspace.context('token-pull', { Dockerfile: `FROM ${image}\nRUN test -f /copy\n` })
      await workspace.tsbuild.check(['-q', '--pull', project], { env })
      const wrong = loginTo('token-wrong', guarded.host, 'close sesame')
      const outcome = await workspace.tsbuild.run(['--push', '-t', image, context], { env: wrong })
      expect([outcome.code, outcome.stderr]).toEqual([3, expect.stringContaining('ERR_REGISTRY_AUTH')])
    } finally {
      await guarded.stop()
      await tokens.stop()
    }
  })
})
