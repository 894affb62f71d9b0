import { createHash } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { reply, startFakeRegistry } from '@tsbuild/registry/testing'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { pushRaw, type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { makeTar } from '../support/tar.ts'
import { check } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let registry: RegistryProcess
beforeAll(async () => {
  workspace = openWorkspace('copy')
  registry = await startRegistry(workspace.path('registry'))
  const context = workspace.context('app', {
    Dockerfile: 'FROM scratch\nARG TARGETARCH\nCOPY file /file\nLABEL arch=$TARGETARCH org.example.note=x\n',
    file: 'content\n',
  })
  for (const arch of ['amd64', 'arm64'])
    await workspace.tsbuild.check([
      '-q',
      '--push',
      '--platform',
      `linux/${arch}`,
      '-t',
      `${registry.host}/app:${arch}`,
      context,
    ])
  const [first = '', second = ''] = ['amd64', 'arm64'].map((arch) => `${registry.host}/app:${arch}`)
  await workspace.tsbuild.check(['index', 'create', '-q', '-t', `${registry.host}/app:all`, first, second])
})
afterAll(async () => {
  await registry?.stop()
  await workspace?.remove()
})

/** What a registry that misbehaves answers. */
interface Answer {
  readonly status?: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

/** A registry that answers whatever a test wants. */
async function startAnswering(answer: (request: { readonly url?: string | undefined }) => Answer) {
  const fake = await startFakeRegistry()
  fake.fault({
    times: Number.POSITIVE_INFINITY,
    act({ request, response }) {
      const { status = 200, headers = {}, body = '' } = answer(request)
      reply(response, status, headers, request.method === 'HEAD' ? undefined : Buffer.from(body))
    },
  })
  return fake
}

const tsbuild = (...args: string[]) => workspace.tsbuild.check(args)
const run = (...args: string[]) => workspace.tsbuild.run(args)
const image = (name: string) => `${registry.host}/${name}`
const uploads = () => registry.requests().filter((line) => /^(?:PATCH|PUT) \S*\/blobs\//.test(line))
const digestOf = async (name: string) =>
  JSON.parse(await tsbuild('inspect', '--remote', '--format', 'json', name)).digest

describe('tsbuild index', () => {
  it('makes an index of images in the registry, and moves nothing', async () => {
    registry.forget()
    const digest = (
      await tsbuild('index', 'create', '-q', '-t', image('app:all'), image('app:amd64'), image('app:arm64'))
    ).trim()
    expect(registry.requests().filter((line) => /^(?:POST|PATCH) /.test(line))).toEqual([])
    const raw = await tsbuild('index', 'inspect', '--raw', image('app:all'))
    expect(`sha256:${createHash('sha256').update(raw).digest('hex')}`).toBe(digest)
    const platforms = JSON.parse(raw).manifests.map(({ platform }: { platform: object }) => platform)
    expect(platforms).toEqual([
      { architecture: 'amd64', os: 'linux' },
      { architecture: 'arm64', os: 'linux' },
    ])
    expect(await tsbuild('index', 'inspect', image('app:all'))).toMatch(
      /Manifests:\n.*linux\/amd64.*\n.*linux\/arm64/,
    )
    expect(
      JSON.parse(
        await check('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${image('app:all')}`]),
      ),
    ).toEqual(JSON.parse(raw))
  })

  it('goes into a docker archive as the image of this machine, and whole only where that is asked for', async () => {
    await tsbuild('index', 'create', '-q', '-t', image('one:all'), image('app:amd64'), image('app:arm64'))
    const archive = workspace.path('one.tar')
    await tsbuild('copy', '-q', image('one:all'), `docker-archive:${archive}`)
    const config = JSON.parse(await check('skopeo', ['inspect', '--config', `docker-archive:${archive}`]))
    expect(config.architecture).toBe('amd64')
    const all = await workspace.tsbuild.run(['copy', '--all', image('one:all'), `docker-archive:${archive}`])
    expect([all.code, all.stderr]).toEqual([1, expect.stringContaining('holds one platform')])
  })

  it('mounts blobs between repositories of one registry, and sends none', async () => {
    registry.forget()
    await tsbuild('index', 'create', '-q', '-t', image('mounted:all'), image('app:amd64'), image('app:arm64'))
    expect(registry.requests().filter((line) => /^POST \S*mount=\S* 201$/.test(line)).length).toBeGreaterThan(
      0,
    )
    expect(uploads()).toEqual([])
    await check('skopeo', [
      'copy',
      '-q',
      '--all',
      '--src-tls-verify=false',
      `docker://${image('mounted:all')}`,
      `dir:${workspace.path('mounted')}`,
    ])
  })

  it('adds to an index, and an image for the same platform takes the place of the other', async () => {
    await tsbuild('index', 'create', '-q', '-t', image('grown:1'), image('app:amd64'))
    const one = JSON.parse(await tsbuild('index', 'inspect', '--raw', image('grown:1')))
    await tsbuild('index', 'create', '-q', '--append', '-t', image('grown:1'), image('app:arm64'))
    const two = JSON.parse(await tsbuild('index', 'inspect', '--raw', image('grown:1')))
    expect(two.manifests).toEqual([
      ...one.manifests,
      expect.objectContaining({ platform: { architecture: 'arm64', os: 'linux' } }),
    ])
    await tsbuild('index', 'create', '-q', '--append', '-t', image('grown:1'), image('app:arm64'))
    expect(JSON.parse(await tsbuild('index', 'inspect', '--raw', image('grown:1')))).toEqual(two)
  })

  it('annotates the index and its entries, takes descriptors, and shows what it would do', async () => {
    const amd64 = JSON.parse(await tsbuild('index', 'create', '--dry-run', image('app:amd64'))).manifests[0]
    writeFileSync(workspace.path('descriptor.json'), JSON.stringify(amd64))
    registry.forget()
    const dry = await tsbuild(
      'index',
      'create',
      '--dry-run',
      '-t',
      image('app:noted'),
      '-f',
      workspace.path('descriptor.json'),
      image('app:arm64'),
      '--annotation',
      'index:a=1',
      '--annotation',
      'manifest-descriptor[linux/arm64]:b=2',
    )
    expect(registry.requests().filter((line) => line.startsWith('PUT'))).toEqual([])
    const { annotations, manifests } = JSON.parse(dry)
    expect(annotations).toEqual({ a: '1' })
    expect(manifests.map((entry: { annotations?: object }) => entry.annotations)).toEqual([
      { b: '2' },
      undefined,
    ])
    const wrong = await run(
      'index',
      'create',
      '-t',
      image('app:noted'),
      image('app:arm64'),
      '--annotation',
      'manifest:a=1',
    )
    expect([wrong.code, wrong.stderr]).toEqual([1, expect.stringContaining('ERR_UNSUPPORTED')])
    expect((await run('index', 'create', image('app:arm64'))).code).toBe(2)
    expect((await run('index', 'creat')).stderr).toContain('Did you mean')
  })

  it('copies one manifest or index as it is', async () => {
    await tsbuild('index', 'create', '-q', '--no-prefer-index', '-t', image('app:same'), image('app:amd64'))
    expect(await digestOf(image('app:same'))).toBe(await digestOf(image('app:amd64')))
    await tsbuild('index', 'create', '-q', '-t', image('app:again'), image('app:all'))
    expect(await digestOf(image('app:again'))).toBe(await digestOf(image('app:all')))
  })
})

describe('an image for several platforms', () => {
  it('is pulled for one of them, for several, or whole, and pushed as it came', async () => {
    const whole = await digestOf(image('app:all'))
    await tsbuild('pull', '-q', image('app:all'))
    expect(
      (
        await tsbuild(
          'inspect',
          '--format',
          '{{.platform}} {{index .config.labels "arch"}}',
          image('app:all'),
        )
      ).trim(),
    ).toBe('linux/amd64 amd64')
    await tsbuild('pull', '-q', '--platform', 'linux/arm64', image('app:all'))
    expect((await tsbuild('inspect', '--format', '{{.platform}}', image('app:all'))).trim()).toBe(
      'linux/arm64',
    )
    await tsbuild('pull', '-q', '--platform', 'linux/arm64,linux/amd64', image('app:all'))
    expect(await tsbuild('images', image('app'))).toContain('linux/amd64, linux/arm64')
    await tsbuild('pull', '-q', '--all-platforms', image('app:all'))
    expect(await tsbuild('images', '--digests', image('app'))).toContain(whole)
    await tsbuild('tag', image('app:all'), image('elsewhere:1'))
    await tsbuild('push', '-q', image('elsewhere:1'))
    expect(await digestOf(image('elsewhere:1'))).toBe(whole)
    const missing = await run('pull', '--platform', 'linux/s390x', image('app:all'))
    expect([missing.code, missing.stderr]).toEqual([
      1,
      expect.stringMatching(/linux\/s390x, only for linux\/amd64, linux\/arm64.*ERR_IMAGE_NOT_FOUND/),
    ])
    await tsbuild('verify')
  })

  it('GC-05: whatever an index or what refers to it reaches outlives a prune', async () => {
    await tsbuild('pull', '-q', '--all-platforms', image('app:all'))
    const raw = JSON.parse(await tsbuild('inspect', '--raw', image('app:all')))
    const layout = workspace.path('with-referrer')
    await tsbuild('copy', '-q', image('app:all'), `oci:${layout}:1`)
    addReferrer(layout, await digestOf(image('app:all')))
    await tsbuild('copy', '-q', '--referrers', `oci:${layout}:1`, 'store:signed:1')
    await tsbuild('prune', '--all', '--force')
    await tsbuild('verify')
    await tsbuild('copy', '-q', '--referrers', 'store:signed:1', `oci:${workspace.path('after')}:1`)
    const index = JSON.parse(readFileSync(join(workspace.path('after'), 'index.json'), 'utf8'))
    expect(index.manifests.map((entry: { artifactType?: string }) => entry.artifactType ?? '')).toContain(
      'application/vnd.test',
    )
    for (const { digest } of raw.manifests)
      expect(await tsbuild('inspect', '--format', '{{.digest}}', digest.slice(0, 20))).not.toBe('')
    const report = JSON.parse(await tsbuild('inspect', '--format', 'json', 'signed:1'))
    expect(report.attestations).toMatchObject([{ type: 'application/vnd.test', kept: 'referrer' }])
    await tsbuild('rmi', 'signed:1', image('app:all'), image('elsewhere:1'))
    await tsbuild('prune', '--all', '--force')
    expect(await tsbuild('verify')).toContain('0 images')
  })
})

/** A manifest about the root of a layout, in the layout. */
function addReferrer(layout: string, subject: string): void {
  const put = (value: object) => {
    const bytes = Buffer.from(JSON.stringify(value))
    const hex = createHash('sha256').update(bytes).digest('hex')
    writeFileSync(join(layout, 'blobs/sha256', hex), bytes)
    return { digest: `sha256:${hex}`, size: bytes.length }
  }
  const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'))
  const { mediaType, size } = index.manifests[0]
  const oci = 'application/vnd.oci'
  const manifest = put({
    schemaVersion: 2,
    mediaType: `${oci}.image.manifest.v1+json`,
    artifactType: 'application/vnd.test',
    config: { mediaType: `${oci}.empty.v1+json`, ...put({}) },
    layers: [],
    subject: { mediaType, digest: subject, size },
  })
  index.manifests.push({
    mediaType: `${oci}.image.manifest.v1+json`,
    ...manifest,
    artifactType: 'application/vnd.test',
  })
  writeFileSync(join(layout, 'index.json'), JSON.stringify(index))
}

const types = {
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  docker: 'application/vnd.docker.distribution.manifest.v2+json',
  index: 'application/vnd.oci.image.index.v1+json',
  list: 'application/vnd.docker.distribution.manifest.list.v2+json',
}
const kinds = Object.keys(types) as (keyof typeof types)[]
const blob = {
  mediaType: 'application/vnd.oci.image.config.v1+json',
  digest: `sha256:${'a'.repeat(64)}`,
  size: 2,
}
const documentOf = (kind: keyof typeof types) => ({
  schemaVersion: 2,
  mediaType: types[kind],
  ...(kind === 'index' || kind === 'list' ? { manifests: [] } : { config: blob, layers: [] }),
})

describe('what a registry sends', () => {
  const serve = (body: object | Buffer, type: string) => {
    const bytes = Buffer.isBuffer(body) ? body : Buffer.from(JSON.stringify(body))
    return startAnswering(({ url = '' }) =>
      url === '/v2/'
        ? {}
        : url.includes('/manifests/')
          ? { headers: { 'content-type': type, 'content-length': String(bytes.length) }, body: bytes }
          : { status: 404 },
    )
  }

  it('MAN-01: is refused unless it is what it was announced as, 4 × 4', async () => {
    for (const kind of kinds) {
      for (const announced of kinds) {
        const fake = await serve(documentOf(kind), types[announced])
        try {
          const { code, stdout, stderr } = await run('inspect', '--remote', '--raw', `${fake.host}/app:1`)
          if (kind === announced) expect(`${stdout}${stderr}`, kind).not.toContain('ERR_MANIFEST_INVALID')
          else
            expect([code, stderr], `${kind} as ${announced}`).toEqual([
              1,
              expect.stringContaining('ERR_MANIFEST_INVALID'),
            ])
        } finally {
          await fake.stop()
        }
      }
    }
  })

  it.each([
    ['layers and manifests', { ...documentOf('manifest'), manifests: [] }, types.manifest],
    ['fsLayers too', { ...documentOf('index'), fsLayers: [] }, types.index],
    ['another type within', { ...documentOf('manifest'), mediaType: types.index }, 'application/json'],
    [
      '4 MiB and a byte',
      Buffer.concat([Buffer.from('{"schemaVersion":2}'), Buffer.alloc(4 * 1024 * 1024 - 18, ' ')]),
      types.manifest,
    ],
    [
      '100,000 brackets',
      Buffer.from(`{"schemaVersion":2,"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
      types.manifest,
    ],
    [
      'a digest twice',
      Buffer.from(
        JSON.stringify(documentOf('manifest')).replace(
          '"size":2',
          `"digest":"sha256:${'b'.repeat(64)}","size":2`,
        ),
      ),
      types.manifest,
    ],
  ])(
    'MAN-01 and MAN-03: a document with %s is refused by inspect, copy, pull and FROM',
    async (_, body, type) => {
      const fake = await serve(body, type)
      try {
        const name = `${fake.host}/app:1`
        const context = workspace.context('from', { Dockerfile: `FROM ${name}\nCOPY file /\n`, file: 'x' })
        for (const args of [
          ['inspect', '--remote', name],
          ['copy', '-q', name, 'store:x'],
          ['pull', '-q', name],
          ['-q', context],
        ]) {
          const { code, stderr } = await run(...args)
          expect([code, stderr], args.join(' ')).toEqual([
            expect.any(Number),
            expect.stringMatching(/ERR_(?:MANIFEST_INVALID|REGISTRY_RESPONSE)/),
          ])
          expect(code, args.join(' ')).not.toBe(0)
        }
      } finally {
        await fake.stop()
      }
    },
  )

  it('MAN-04: no layer is fetched from where a manifest says', async () => {
    let asked = 0
    const canary = await startAnswering(() => {
      asked++
      return {}
    })
    const layer = Buffer.from('layer')
    const layerDigest = `sha256:${createHash('sha256').update(layer).digest('hex')}`
    const config = Buffer.from(
      JSON.stringify({
        architecture: 'amd64',
        os: 'linux',
        config: {},
        rootfs: { type: 'layers', diff_ids: [layerDigest] },
      }),
    )
    const configDigest = `sha256:${createHash('sha256').update(config).digest('hex')}`
    const urls = [`http://${canary.host}/layer`]
    const manifest = Buffer.from(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: types.docker,
        config: {
          mediaType: 'application/vnd.docker.container.image.v1+json',
          digest: configDigest,
          size: config.length,
          urls,
        },
        layers: [
          {
            mediaType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip',
            digest: layerDigest,
            size: layer.length,
            urls,
          },
        ],
      }),
    )
    const fake = await startAnswering(({ url = '' }) => {
      if (/\/manifests\/(?:1|sha256:[0-9a-f]{64})$/.test(url))
        return { headers: { 'content-type': types.docker }, body: manifest }
      if (url.includes(configDigest)) return { body: config }
      return { status: url === '/v2/' ? 200 : 404 }
    })
    try {
      const name = `${fake.host}/foreign:1`
      const outcomes = [
        await run('pull', '-q', name),
        await run('copy', '-q', name, `oci:${workspace.path('foreign')}`),
        await run('copy', '-q', name, image('foreign:1')),
      ]
      for (const { code, stderr } of outcomes)
        expect([code, stderr]).toEqual([1, expect.stringContaining(layerDigest)])
      expect((await run('inspect', '--remote', name)).code).toBe(0)
      expect(asked).toBe(0)
    } finally {
      await fake.stop()
      await canary.stop()
    }
  })

  it('MAN-06: a foreign frontend is refused without a request', async () => {
    let asked = 0
    const fake = await startAnswering(() => {
      asked++
      return { status: 404 }
    })
    try {
      const context = workspace.context('syntax', {
        Dockerfile: `# syntax=${fake.host}/evil/x\nFROM scratch\nCOPY file /\n`,
        file: 'x',
      })
      const { code, stderr } = await run(context)
      expect([code, stderr, asked]).toEqual([1, expect.stringContaining('ERR_UNSUPPORTED'), 0])
    } finally {
      await fake.stop()
    }
  })

  it('MAN-05: labels, variables and annotations of an image are data', async () => {
    const config = {
      architecture: 'amd64',
      os: 'linux',
      config: {
        Labels: {
          'io.tsbuild.trust': 'all',
          'org.mobyproject.buildkit.worker.network': 'host',
          'moby.buildkit.frontend': 'x\x1b[2J',
        },
        Env: [
          'TSBUILD_ROOT=/nowhere',
          'BUILDKIT_PROGRESS=json',
          'DOCKER_CONFIG=/nowhere',
          'TSBUILD_SCOPE=other',
        ],
      },
      rootfs: { type: 'layers', diff_ids: [] },
    }
    const bytes = Buffer.from(JSON.stringify(config))
    const hex = (value: Buffer) => createHash('sha256').update(value).digest('hex')
    const manifest = Buffer.from(
      JSON.stringify({
        ...documentOf('manifest'),
        config: { ...blob, digest: `sha256:${hex(bytes)}`, size: bytes.length },
        annotations: { 'io.tsbuild.trust': 'all' },
      }),
    )
    const files = new Map([
      ['oci-layout', Buffer.from('{"imageLayoutVersion":"1.0.0"}')],
      [
        'index.json',
        Buffer.from(
          JSON.stringify({
            schemaVersion: 2,
            manifests: [
              {
                mediaType: types.manifest,
                digest: `sha256:${hex(manifest)}`,
                size: manifest.length,
                annotations: { 'org.opencontainers.image.ref.name': 'host.test/labels:1' },
              },
            ],
          }),
        ),
      ],
      ...[bytes, manifest].map((value) => [`blobs/sha256/${hex(value)}`, value] as const),
    ])
    writeFileSync(workspace.path('labels.tar'), makeTar([...files].map(([name, data]) => ({ name, data }))))
    await tsbuild('load', '-q', '-i', workspace.path('labels.tar'))
    const context = workspace.context('labels', {
      Dockerfile: 'FROM host.test/labels:1\nCOPY file /\n',
      file: 'x',
    })
    const { stdout, stderr, code } = await run('--progress', 'plain', '-t', 'labelled:1', context)
    expect([code, `${stdout}${stderr}`]).toEqual([0, expect.not.stringContaining('\x1b[2J')])
    const { image: built } = JSON.parse(await tsbuild('inspect', '--format', 'json', 'labelled:1'))
    expect(built.config.labels).toEqual(config.config.Labels)
    expect(built.config.env).toEqual(expect.arrayContaining(config.config.Env))
    expect(await tsbuild('inspect', 'labelled:1')).not.toContain('\x1b')
    await tsbuild('rmi', 'labelled:1', 'host.test/labels:1')
  })
})

describe('MAN-07: links in layouts and archives', () => {
  it('are not followed by copy, load and inspect', async () => {
    const secret = workspace.path('secret')
    writeFileSync(secret, '{"secret":true}')
    const hex = createHash('sha256').update('{"secret":true}').digest('hex')
    const layout = workspace.path('linked')
    mkdirSync(join(layout, 'blobs/sha256'), { recursive: true })
    writeFileSync(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}')
    writeFileSync(
      join(layout, 'index.json'),
      JSON.stringify({
        schemaVersion: 2,
        manifests: [{ mediaType: types.manifest, digest: `sha256:${hex}`, size: 15 }],
      }),
    )
    symlinkSync(secret, join(layout, 'blobs/sha256', hex))
    for (const args of [
      ['copy', '-q', `oci:${layout}`, 'store:x'],
      ['inspect', '--raw', `oci:${layout}`],
    ]) {
      const { code, stdout, stderr } = await run(...args)
      expect([code, stdout, stderr]).toEqual([1, '', expect.stringContaining('ERR_ARCHIVE_INVALID')])
    }
    await check('tar', ['-cf', workspace.path('linked.tar'), '-C', layout, '.'])
    const { code, stderr } = await run('load', '-i', workspace.path('linked.tar'))
    expect([code, stderr]).toEqual([1, expect.stringContaining('ERR_ARCHIVE_INVALID')])
    rmSync(layout, { recursive: true })
  })
})

describe('MAN-08: platforms that lead elsewhere', () => {
  const hostile = [
    'linux/../../x',
    '../x',
    'linux/amd64/../../x',
    '/etc',
    'linux//amd64',
    'linux/amd64/v1/x',
    '.',
    '..',
    'linux\\amd64',
    'li nux/amd64',
    'linux/%2e%2e',
  ]
  it.each(hostile)('%j is no platform of pull, copy, save, inspect and a build', async (platform) => {
    const context = workspace.context('platform', { Dockerfile: 'FROM scratch\nCOPY file /\n', file: 'x' })
    const commands = [
      ['pull', '--platform', platform, image('app:all')],
      ['copy', '--platform', platform, image('app:all'), `oci:${workspace.path('platform-out')}`],
      ['inspect', '--remote', '--platform', platform, image('app:all')],
      ['--platform', platform, '-o', workspace.path('platform-dir'), context],
    ]
    for (const args of commands) {
      const { code, stderr } = await run(...args)
      expect([code, stderr], args.join(' ')).toEqual([
        expect.any(Number),
        expect.stringMatching(/ERR_(?:PLATFORM_INVALID|USAGE|UNSUPPORTED)/),
      ])
    }
  })

  it('in an index are refused as well', async () => {
    await pushRaw(registry.host, 'raw', '1', [])
    for (const architecture of ['../../x', 'a/b', '..', '']) {
      const entry = {
        mediaType: types.manifest,
        digest: await digestOf(image('raw:1')),
        size: 300,
        platform: { os: 'linux', architecture },
      }
      const fake = await startAnswering(({ url = '' }) =>
        url.includes('/manifests/')
          ? {
              headers: { 'content-type': types.index },
              body: JSON.stringify({ schemaVersion: 2, mediaType: types.index, manifests: [entry] }),
            }
          : {},
      )
      try {
        const { code, stderr } = await run('inspect', '--remote', `${fake.host}/app:1`)
        expect([code, stderr], architecture).toEqual([1, expect.stringContaining('ERR_MANIFEST_INVALID')])
      } finally {
        await fake.stop()
      }
    }
  })
})
