import { copyFileSync, cpSync, existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { findProgram } from '../support/capabilities.ts'
import { startDockerd } from '../support/dockerd.ts'
import { tinyLayers, writeLayeredImages } from '../support/layered-image.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { repository } from '../support/repository.ts'
import { check } from '../support/tsbuild.ts'
import { openDebianWorkspace, openWorkspace, type Workspace } from '../support/workspace.ts'

/** The images whose every byte must come back. */
const images = ['debian:bookworm', 'node-project:1.0', 'layers:200'] as const

let workspace: Workspace
let registry: RegistryProcess
beforeAll(async () => {
  workspace = await openDebianWorkspace('images')
  registry = await startRegistry(workspace.path('registry'))
  await makeNodeProject()
  const layout = workspace.path('layered')
  writeLayeredImages(layout, tinyLayers(200, findProgram('busybox') ?? ''), [200])
  await workspace.tsbuild.check(['copy', '-q', `oci:${layout}:200`, 'store:layers:200'])
})
afterAll(async () => {
  await registry?.stop()
  await workspace?.remove()
})

/** The example upon Debian, with the Node.js that runs this test. */
async function makeNodeProject(): Promise<void> {
  const context = workspace.context('node', {
    Dockerfile: [
      'FROM debian:bookworm',
      'COPY node /usr/local/bin/node',
      'COPY app /app',
      'ENV NODE_ENV=production',
      'WORKDIR /app',
      'RUN node --version > /version',
      'LABEL org.example.kind=project',
      'CMD ["node", "server.js"]',
    ].join('\n'),
  })
  copyFileSync(process.execPath, join(context, 'node'))
  cpSync(join(repository, 'examples/node-web'), join(context, 'app'), { recursive: true })
  await workspace.tsbuild.check(['-q', '--network', 'none', '-t', 'node-project:1.0', context])
}

interface Shown {
  readonly digest: string
  readonly names: readonly string[]
  readonly image: {
    readonly id: string
    readonly config: { readonly labels?: Readonly<Record<string, string>> }
    readonly layers: readonly {
      readonly digest: string
      readonly diffId: string
      readonly createdBy?: string
    }[]
  }
}

const inspect = async (place: string, by = workspace.tsbuild): Promise<Shown> =>
  JSON.parse(await by.check(['inspect', '--format', 'json', place]))

describe('an image that goes round all places', () => {
  it.each(images)('%s comes back bit for bit', async (name) => {
    const { tsbuild, path } = workspace
    const [short = '', tag = ''] = name.split(':')
    const { digest } = await inspect(`store:${name}`)
    const remote = `${registry.host}/round/${short}:${tag}`
    const route = [
      `store:${name}`,
      `docker://${remote}`,
      `store:back/${short}:1`,
      `oci:${path('layout')}:${short}`,
      `oci-archive:${path(`${short}.oci.tar`)}:${tag}`,
      `docker-archive:${path(`${short}.docker.tar`)}:round/${short}:${tag}`,
      `docker://${registry.host}/again/${short}:${tag}`,
    ]
    for (const [at, to] of route.slice(1).entries())
      expect((await tsbuild.check(['copy', '-q', route[at] ?? '', to])).trim(), to).toBe(digest)
    for (const place of route) expect((await inspect(place)).digest, place).toBe(digest)
    // Others find the same image in all of them.
    const seen = (place: string) =>
      check('skopeo', ['inspect', '--tls-verify=false', '--format', '{{.Digest}}', place])
    for (const place of [route[1], route[3], route[4], route[6]])
      expect((await seen(place ?? '')).trim(), place).toBe(digest)
    await check('skopeo', [
      'copy',
      '-q',
      `docker-archive:${path(`${short}.docker.tar`)}`,
      `dir:${path(`${short}.dir`)}`,
    ])
    // A store that has nothing gets all of it out of the last place.
    const other = openWorkspace('images-other')
    try {
      await other.tsbuild.check(['pull', '-q', `${registry.host}/again/${short}:${tag}`])
      await other.tsbuild.check(['verify'])
      expect((await inspect(`store:${registry.host}/again/${short}:${tag}`, other.tsbuild)).digest).toBe(
        digest,
      )
      await other.tsbuild.check([
        'run',
        '--network',
        'none',
        '--entrypoint',
        '/bin/true',
        `${registry.host}/again/${short}:${tag}`,
      ])
    } finally {
      await other.remove()
    }
  })

  it('keeps the config and the diffIDs in the old form of docker save, which has no manifest', async () => {
    const { tsbuild, path } = workspace
    for (const name of images) {
      const before = await inspect(`store:${name}`)
      const archive = path('old.tar')
      // skopeo unpacks the layers, writes the old form, and a link for each layer that is there twice.
      await tsbuild.check(['copy', '-q', `store:${name}`, `oci:${path('for-skopeo')}:x`])
      await check('rm', ['-f', archive])
      await check('skopeo', [
        'copy',
        '-q',
        `oci:${path('for-skopeo')}:x`,
        `docker-archive:${archive}:old/${name}`,
      ])
      expect(await tsbuild.check(['load', '-q', '-i', archive])).toBe(`docker.io/old/${name}\n`)
      const after = await inspect(`store:old/${name}`)
      expect(after.image.id).toBe(before.image.id)
      expect(after.image.layers.map(({ diffId }) => diffId)).toEqual(
        before.image.layers.map(({ diffId }) => diffId),
      )
      expect(after.image.layers.map(({ digest, diffId }) => digest === diffId)).not.toContain(false)
      await tsbuild.check(['rmi', `old/${name}`])
    }
  })

  it('is loaded by docker, and comes back from it', async () => {
    const { tsbuild, path } = workspace
    const before = await inspect('store:node-project:1.0')
    // Docker's engine has no images of more than 125 layers.
    await tsbuild.check(['save', '-q', '-o', path('for-docker.tar'), 'node-project:1.0', 'debian:bookworm'])
    const dockerd = await startDockerd(path('docker'))
    try {
      const loaded = await dockerd.docker(['load', '-i', path('for-docker.tar')])
      expect(loaded).toContain('Loaded image: node-project:1.0')
      expect(loaded).toContain('Loaded image: debian:bookworm')
      const id = await dockerd.docker(['inspect', '--format', '{{.Id}}', 'node-project:1.0'])
      expect(id.trim()).toBe(before.image.id)
      await dockerd.docker(['save', '-o', path('from-docker.tar'), 'node-project:1.0'])
    } finally {
      await dockerd.stop()
    }
    await tsbuild.check(['tag', 'node-project:1.0', 'kept:1'])
    expect(await tsbuild.check(['load', '-i', path('from-docker.tar')])).toBe(
      'Loaded image: node-project:1.0\n',
    )
    const after = await inspect('store:node-project:1.0')
    expect(after.image.id).toBe(before.image.id)
    await tsbuild.check(['tag', 'kept:1', 'node-project:1.0'])
    await tsbuild.check(['rmi', 'kept:1'])
  })

  it('is loaded by podman, and comes back from it', async () => {
    const { tsbuild, path } = workspace
    const before = await inspect('store:layers:200')
    await tsbuild.check(['save', '-q', '-o', path('for-podman.tar'), 'layers:200'])
    const podman = [...['--root', path('podman'), '--runroot', path('podman-run'), '--storage-driver', 'vfs']]
    await check('podman', [...podman, 'load', '-q', '-i', path('for-podman.tar')])
    const name = 'docker.io/library/layers:200'
    await check('podman', [...podman, 'save', '-q', '-o', path('from-podman.tar'), name])
    await tsbuild.check(['rmi', 'layers:200'])
    expect(await tsbuild.check(['load', '-i', path('from-podman.tar')])).toBe('Loaded image: layers:200\n')
    expect((await inspect('store:layers:200')).image.id).toBe(before.image.id)
    await tsbuild.check(['load', '-q', '-i', path('for-podman.tar')])
    expect((await inspect('store:layers:200')).digest).toBe(before.digest)
  })
})

describe('pull, push, tag, images and rmi', () => {
  it('do what docker does, and say so', async () => {
    const { tsbuild } = workspace
    const name = `${registry.host}/said:1`
    const { digest } = await inspect('store:layers:200')
    await tsbuild.check(['tag', 'layers:200', name])
    expect(await tsbuild.check(['push', name])).toMatch(new RegExp(`^1: digest: ${digest} size: \\d+\n$`))
    registry.forget()
    await tsbuild.check(['push', '-q', name])
    expect(registry.requests().filter((line) => /^(?:POST|PATCH) /.test(line))).toEqual([])
    expect(await tsbuild.check(['rmi', name])).toBe(`Untagged: ${name}\n`)
    expect(await tsbuild.check(['pull', name])).toBe(
      `Digest: ${digest}\nStatus: Downloaded newer image for ${name}\n${name}\n`,
    )
    expect(await tsbuild.check(['pull', name])).toContain('Status: Image is up to date')
    expect(await tsbuild.check(['images', '--digests', '--no-trunc', `${registry.host}/said`])).toContain(
      digest,
    )
    expect(
      await tsbuild.check([
        'images',
        '--filter',
        'label=org.example.kind=project',
        '--format',
        '{{.repository}}:{{.tag}}',
      ]),
    ).toContain('node-project:1.0\n')
    const id = (await inspect(`store:${name}`)).image.id.slice(7, 19)
    const several = await tsbuild.run(['rmi', id])
    expect([several.code, several.stderr]).toEqual([2, expect.stringContaining('--force')])
    expect((await tsbuild.run(['rmi', name, 'not-there'])).code).toBe(1)
    expect(await tsbuild.check(['images', '-q', name])).not.toBe('')
    await tsbuild.check(['rmi', name])
  })

  it('push every tag of a repository', async () => {
    const { tsbuild } = workspace
    const tags = ['a', 'b'].map((tag) => `${registry.host}/every:${tag}`)
    for (const tag of tags) await tsbuild.check(['tag', 'layers:200', tag])
    await tsbuild.check(['push', '-q', '--all-tags', `${registry.host}/every`])
    const list = JSON.parse(
      await check('skopeo', ['list-tags', '--tls-verify=false', `docker://${registry.host}/every`]),
    )
    expect(list.Tags.toSorted()).toEqual(['a', 'b'])
    await tsbuild.check(['rmi', ...tags])
  })

  it('inspect says which instruction made which layer', async () => {
    const { image } = await inspect('store:node-project:1.0')
    expect(image.layers.map(({ createdBy }) => createdBy)).toEqual(
      [
        expect.stringContaining('bootstrap'),
        expect.stringMatching(/^COPY node \/usr\/local\/bin\/node/),
        expect.stringMatching(/^COPY app \/app/),
        expect.stringMatching(/^WORKDIR \/app|^RUN/),
        expect.stringMatching(/^RUN/),
      ].slice(0, image.layers.length),
    )
    expect(image.config.labels).toEqual({ 'org.example.kind': 'project' })
    const raw = await workspace.tsbuild.check(['inspect', '--raw', 'node-project:1.0'])
    expect(JSON.parse(raw).layers).toHaveLength(image.layers.length)
  })
})

describe('save and load', () => {
  it('go through pipes, plain and compressed', async () => {
    const { tsbuild, path } = workspace
    await tsbuild.check(['save', '-q', '-o', path('plain.tar'), 'layers:200'])
    for (const program of ['gzip', 'zstd'] as const) {
      await check('sh', ['-c', `${program} -q -c < ${path('plain.tar')} > ${path(`packed.${program}`)}`])
      const input = readFileSync(path(`packed.${program}`))
      expect(await tsbuild.check(['load'], { input })).toBe('Loaded image: layers:200\n')
      expect(await tsbuild.check(['load', '-q', '-i', path(`packed.${program}`)])).toBe(
        'docker.io/library/layers:200\n',
      )
    }
    const piped = await check(
      'sh',
      ['-c', `'${join(repository, 'node_modules/.bin/tsbuild')}' save -q layers:200 | sha256sum`],
      { env: { TSBUILD_ROOT: tsbuild.root } },
    )
    const file = await check('sh', ['-c', `sha256sum < ${path('plain.tar')}`])
    expect(piped).toBe(file)
  })

  it('leave no file where a name is not there', async () => {
    const outcome = await workspace.tsbuild.run([
      'save',
      '-o',
      workspace.path('none.tar'),
      'layers:200',
      'not-there',
    ])
    expect([outcome.code, existsSync(workspace.path('none.tar'))]).toEqual([1, false])
  })
})
