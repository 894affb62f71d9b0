import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { createServer, request as forward } from 'node:http'
import { connect, type Socket } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { check } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, readLine, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let registry: RegistryProcess
let context: string

beforeAll(async () => {
  workspace = await openBusyboxWorkspace('outputs')
  registry = await startRegistry(workspace.path('registry'))
  context = workspace.context('app', {
    Dockerfile: 'FROM busybox:test\nCOPY file /file\nRUN cat /file > /copy\nCMD ["cat", "/copy"]\n',
    file: 'written\n',
  })
})
afterAll(async () => {
  await registry?.stop()
  await workspace?.remove()
})

interface Entry {
  readonly mediaType: string
  readonly digest: string
  readonly annotations?: Readonly<Record<string, string>>
}
interface Document {
  readonly mediaType: string
  readonly config: Entry
  readonly layers: readonly Entry[]
  readonly manifests: readonly Entry[]
  readonly annotations?: Readonly<Record<string, string>>
}

const raw = async (place: string, ...flags: readonly string[]) =>
  JSON.parse(await check('skopeo', ['inspect', '--raw', ...flags, place])) as Document

/** Builds to an OCI layout; gives its index, and its blobs by digest. */
async function layout(name: string, attributes: string, flags: readonly string[] = [], from = context) {
  const dest = workspace.path(name)
  await workspace.tsbuild.check(['-q', ...flags, '-o', `type=oci,tar=false,dest=${dest}${attributes}`, from])
  const path = (digest: string) => `${dest}/blobs/sha256/${digest.slice('sha256:'.length)}`
  const json = (digest: string) => JSON.parse(readFileSync(path(digest), 'utf8'))
  const index = JSON.parse(readFileSync(`${dest}/index.json`, 'utf8')) as Document
  return { dest, path, json, index, root: json(index.manifests[0]?.digest ?? '') as Document }
}

const oci = 'application/vnd.oci.image'
const docker = 'application/vnd.docker'

describe('an image in a file or a directory', () => {
  it('of the type oci is read by skopeo, umoci and podman', async (t) => {
    const archive = workspace.path('read.tar')
    await workspace.tsbuild.check(['-q', '-t', 'read:1', '-o', `type=oci,dest=${archive}`, context])
    await check('skopeo', ['copy', `oci-archive:${archive}`, `oci:${workspace.path('read')}:1`])
    await check('umoci', ['unpack', '--image', `${workspace.path('read')}:1`, workspace.path('bundle')])
    expect(readLine(workspace.path('bundle/rootfs/copy'))).toBe('written')
    needs(t, 'root', 'program podman')
    expect(await loadIntoPodman(archive)).toContain('read:1')
  })

  it.each(['true', 'false'])(
    'of the type docker and oci-mediatypes=%s is loaded by podman',
    async (types) => {
      const archive = workspace.path(`docker-${types}.tar`)
      const output = `type=docker,dest=${archive},oci-mediatypes=${types}`
      await workspace.tsbuild.check(['-q', '-t', `docker-${types}:1`, '-o', output, context])
      const { config } = await raw(`docker-archive:${archive}`)
      expect(config.mediaType).toBe(`${docker}.container.image.v1+json`)
      expect(await loadIntoPodman(archive)).toContain(`docker-${types}:1`)
    },
  )

  it('is a layout directory with tar=false, to which others are added, and one of the same name replaces', async () => {
    const first = await layout('layout', '', ['-t', 'one:1', '-t', 'one:2'])
    const refs = (index: Document) =>
      index.manifests.map(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'])
    expect(refs(first.index)).toEqual(['1', '2'])
    expect(first.index.manifests[0]?.annotations?.['io.containerd.image.name']).toBe(
      'docker.io/library/one:1',
    )
    const second = await layout('layout', '', ['-t', 'two:2', '--label', 'second=yes'])
    expect(refs(second.index)).toEqual(['1', '2'])
    expect(second.index.manifests[0]?.digest).toBe(first.index.manifests[0]?.digest)
    expect(second.index.manifests[1]?.digest).not.toBe(first.index.manifests[1]?.digest)
    for (const tag of ['1', '2']) await check('umoci', ['stat', '--image', `${second.dest}:${tag}`])
    const config = JSON.parse(await check('skopeo', ['inspect', `oci:${second.dest}:2`]))
    expect(config.Labels).toEqual({ second: 'yes' })
    expect(readdirSync(second.dest).toSorted()).toEqual(['blobs', 'index.json', 'oci-layout'])
  })

  it('is not written among the files of another directory', async () => {
    const dest = workspace.path('foreign')
    mkdirSync(dest)
    writeFileSync(`${dest}/kept`, 'kept')
    const outcome = await workspace.tsbuild.run(['-o', `type=oci,tar=false,dest=${dest}`, context])
    expect([outcome.code, outcome.stderr]).toEqual([1, expect.stringContaining('[ERR_ARCHIVE_INVALID]')])
    expect(readdirSync(dest)).toEqual(['kept'])
  })
})

/** What `podman load` says, with a store of its own. */
async function loadIntoPodman(archive: string): Promise<string> {
  const folder = workspace.path('podman')
  const place = ['--root', `${folder}/root`, '--runroot', `${folder}/run`, '--storage-driver', 'vfs']
  return await check('podman', [...place, 'load', '-i', archive])
}

describe('the form of an image', () => {
  const media = (document: Document) => document.layers.map((layer) => layer.mediaType)

  it.each([
    ['compression=uncompressed', [`${oci}.layer.v1.tar+gzip`, `${oci}.layer.v1.tar`]],
    ['compression=zstd,force-compression=true', [`${oci}.layer.v1.tar+zstd`, `${oci}.layer.v1.tar+zstd`]],
    ['compression=zstd,compression-level=19', [`${oci}.layer.v1.tar+gzip`, `${oci}.layer.v1.tar+zstd`]],
    ['compression=estargz,force-compression=true', [`${oci}.layer.v1.tar+gzip`, `${oci}.layer.v1.tar+gzip`]],
    [
      'oci-mediatypes=false',
      [`${docker}.image.rootfs.diff.tar.gzip`, `${docker}.image.rootfs.diff.tar.gzip`],
    ],
    [
      'compatibility-version=20',
      [`${docker}.image.rootfs.diff.tar.gzip`, `${docker}.image.rootfs.diff.tar.gzip`],
    ],
    ['compatibility-version=30', [`${oci}.layer.v1.tar+gzip`, `${oci}.layer.v1.tar+gzip`]],
    ['compatibility-version=10,compression=zstd', [`${oci}.layer.v1.tar+gzip`, `${oci}.layer.v1.tar+zstd`]],
  ])('is with %s of the media types %j, the base first', async (attributes, [base, own]) => {
    const { root } = await layout(`form-${attributes.replaceAll(/\W/g, '-')}`, `,${attributes}`)
    expect(new Set(media(root).slice(0, -2))).toEqual(new Set([base]))
    expect(new Set(media(root).slice(-2))).toEqual(new Set([own]))
    const isDocker = own?.startsWith(docker) === true
    expect(root.mediaType).toBe(
      isDocker ? `${docker}.distribution.manifest.v2+json` : `${oci}.manifest.v1+json`,
    )
    expect(root.config.mediaType).toBe(
      isDocker ? `${docker}.container.image.v1+json` : `${oci}.config.v1+json`,
    )
    const toc = root.layers.map(
      ({ annotations }) => annotations?.['containerd.io/snapshot/stargz/toc.digest'],
    )
    expect(toc.every((digest) => (digest !== undefined) === attributes.includes('estargz'))).toBe(true)
  })

  it('is unpacked by others whatever converted its layers', async () => {
    for (const [compression, rest] of [
      ['uncompressed', ''],
      ['estargz', ''],
      ['gzip', ',compression-level=1'],
    ]) {
      const name = `converted-${compression}`
      const attributes = `,name=x:1,compression=${compression},force-compression=true${rest}`
      const { dest } = await layout(name, attributes)
      await check('umoci', ['unpack', '--image', `${dest}:1`, workspace.path(`${name}-bundle`)])
      expect(readLine(workspace.path(`${name}-bundle/rootfs/copy`))).toBe('written')
      expect(existsSync(workspace.path(`${name}-bundle/rootfs/bin/busybox`))).toBe(true)
    }
  })

  it('has no time after the given one in its own layers, so that builds at two times are one', async () => {
    const dockerfile = (mark: string) =>
      workspace.context(`dated-${mark}`, {
        Dockerfile: 'FROM busybox:test\nRUN mkdir /d && echo x > /d/x\nRUN touch -d @1000 /d/old\n',
      })
    const flags = (dest: string) => ['-q', '--no-cache', '-o', `type=oci,tar=false,dest=${dest}`]
    const digests = []
    for (const mark of ['one', 'two']) {
      const dest = workspace.path(`dated-layout-${mark}`)
      const [output = '', ...rest] = flags(dest).reverse()
      const attributes = `${output},rewrite-timestamp=true,source-date-epoch=1700000000`
      await workspace.tsbuild.check([...rest.reverse(), attributes, dockerfile(mark)])
      const index = JSON.parse(readFileSync(`${dest}/index.json`, 'utf8')) as Document
      digests.push(index.manifests[0]?.digest)
      const read = (digest = '') => `${dest}/blobs/sha256/${digest.slice(7)}`
      const manifest = JSON.parse(readFileSync(read(index.manifests[0]?.digest), 'utf8')) as Document
      const rewritten = manifest.layers.map(
        ({ annotations }) => annotations?.['buildkit/rewritten-timestamp'],
      )
      expect(rewritten.slice(-2)).toEqual(['1700000000', '1700000000'])
      expect(new Set(rewritten.slice(0, -2))).toEqual(new Set([undefined]))
      const config = JSON.parse(readFileSync(read(manifest.config.digest), 'utf8'))
      expect(config.created).toBe('2023-11-14T22:13:20.000Z')
      const times = await Promise.all(
        manifest.layers
          .slice(-2)
          .map(({ digest }) => check('tar', ['--utc', '--full-time', '-tzvf', read(digest)])),
      )
      expect(times[0]).toContain('2023-11-14 22:13:20 d/x')
      expect(times[1]).toContain('1970-01-01 00:16:40 d/old')
    }
    expect(digests[1]).toBe(digests[0])
  })

  it('cannot have its times rewritten to none, which is said before anything runs', async () => {
    const marker = workspace.context('no-epoch', {
      Dockerfile: 'FROM busybox:test\nRUN echo no-epoch > /ran\n',
    })
    const output = `type=oci,dest=${workspace.path('no.tar')},rewrite-timestamp=true`
    const outcome = await workspace.tsbuild.run(['-o', output, marker])
    expect([outcome.code, outcome.stderr]).toEqual([
      2,
      expect.stringContaining('there is no SOURCE_DATE_EPOCH'),
    ])
    const { executed } = await workspace.tsbuild.build([marker])
    expect(executed).toHaveLength(1)
  })

  it('has the date of its output, of the build, or none', async () => {
    const flags = ['--build-arg', 'SOURCE_DATE_EPOCH=1000']
    const created = async (name: string, attributes: string) => {
      const { json, root } = await layout(name, attributes, flags)
      return json(root.config.digest).created as string
    }
    expect(await created('date-build', '')).toBe('1970-01-01T00:16:40.000Z')
    expect(await created('date-own', ',source-date-epoch=2000')).toBe('1970-01-01T00:33:20.000Z')
    expect((await created('date-none', ',source-date-epoch=')).slice(0, 2)).toBe('20')
  })
})

describe('annotations', () => {
  const four = [
    'manifest:level=manifest',
    'index:level=index',
    'manifest-descriptor:level=descriptor',
    'index-descriptor:level=root',
    'manifest[linux/arm64]:level=arm',
  ]
  const flags = four.flatMap((annotation) => ['--annotation', annotation])
  const scratch = () => workspace.context('scratch', { Dockerfile: 'FROM scratch\nCOPY file /\n', file: 'x' })

  it('stand where they are wanted, of a platform before those of all, and of the output before those of the build', async () => {
    const platforms = ['--platform', 'linux/amd64,linux/arm64']
    const attributes =
      ',annotation.own=Yes,annotation-index.level=own,annotation-manifest[linux/amd64].level=amd'
    const { index, root, json } = await layout('annotated', attributes, [...platforms, ...flags], scratch())
    expect(index.manifests[0]?.annotations).toMatchObject({ level: 'root' })
    expect(root.annotations).toEqual({ level: 'own' })
    expect(root.manifests.map(({ annotations }) => annotations)).toEqual([
      { level: 'descriptor' },
      { level: 'descriptor' },
    ])
    expect(root.manifests.map(({ digest }) => json(digest).annotations)).toEqual([
      { level: 'amd', own: 'Yes' },
      { level: 'arm', own: 'Yes' },
    ])
  })

  it.each([
    ['index:a=b', '2', 'an image for one platform has none'],
    ['manifest[linux/s390x]:a=b', '2', 'the image is built for linux/amd64'],
    ['index[linux/amd64]:a=b', '2', 'an index is for no platform of its own'],
  ])('%s of an image for one platform is refused', async (annotation, code, why) => {
    const dest = workspace.path('refused.tar')
    const outcome = await workspace.tsbuild.run([
      ...['--platform', 'linux/amd64', '--annotation', annotation, '-o', `type=oci,dest=${dest}`, scratch()],
    ])
    expect([String(outcome.code), outcome.stderr]).toEqual([code, expect.stringContaining(why)])
    expect(existsSync(dest)).toBe(false)
  })

  it('are refused where no output is an image, and where the media types have none', async () => {
    const out = workspace.path('annotated-files')
    const files = await workspace.tsbuild.run(['--annotation', 'a=b', '-o', out, scratch()])
    expect([files.code, files.stderr]).toEqual([2, expect.stringContaining('no output is an image')])
    const typed = await workspace.tsbuild.run([
      ...['--annotation', 'a=b', '-o', `type=oci,oci-mediatypes=false,dest=${out}`, scratch()],
    ])
    expect([typed.code, typed.stderr]).toEqual([2, expect.stringContaining('oci-mediatypes=false')])
    expect(existsSync(out)).toBe(false)
  })
})

describe('names of an output', () => {
  it('are its own, else those of the build; the metadata has all that were set', async () => {
    const metadata = workspace.path('names.json')
    const own = `${registry.host}/own:1`
    await workspace.tsbuild.check([
      ...['-q', '-t', 'tagged:1', '-o', 'type=image', '-o', `type=image,push=true,name=${own}`],
      ...['--metadata-file', metadata, context],
    ])
    const { 'image.name': names } = JSON.parse(readFileSync(metadata, 'utf8'))
    expect(names).toBe(`docker.io/library/tagged:1,${own}`)
    const listed = await workspace.tsbuild.check(['images'])
    expect(listed).toMatch(/^tagged +1 /m)
    expect(listed).toContain(`${registry.host}/own`)
    expect((await raw(`docker://${own}`, '--tls-verify=false')).layers.length).toBeGreaterThan(1)
  })

  it('come with what lint found, where the environment asks for that as with buildx', async () => {
    const metadata = workspace.path('warnings.json')
    const linted = workspace.context('linted', { Dockerfile: 'FROM scratch AS Upper\nLABEL a b\n' })
    const flags = ['-q', '-t', 'linted:1', '--metadata-file', metadata, linted]
    await workspace.tsbuild.check(flags)
    expect(JSON.parse(readFileSync(metadata, 'utf8'))).not.toHaveProperty(['buildx.build.warnings'])
    await workspace.tsbuild.check(flags, { env: { BUILDX_METADATA_WARNINGS: '1' } })
    const { 'buildx.build.warnings': warnings } = JSON.parse(readFileSync(metadata, 'utf8'))
    const texts = warnings.map(({ short }: { short: string }) => Buffer.from(short, 'base64').toString())
    expect(texts.toSorted()).toEqual([
      expect.stringMatching(/^LegacyKeyValueFormat: .* \(line 2\)$/),
      expect.stringMatching(/^StageNameCasing: .* \(line 1\)$/),
    ])
    expect(warnings[0]).toMatchObject({
      vertex: expect.stringMatching(/^sha256:/),
      level: 1,
      sourceInfo: { filename: expect.stringContaining('Dockerfile') },
    })
  })

  it('are with name-canonical and dangling-name-prefix those with the digest', async () => {
    const metadata = workspace.path('canonical.json')
    const output = 'type=image,name=canonical:1,name-canonical=true,dangling-name-prefix=dangling'
    await workspace.tsbuild.check(['-q', '-o', output, '--metadata-file', metadata, context])
    const { 'containerimage.digest': digest } = JSON.parse(readFileSync(metadata, 'utf8'))
    const index = readFileSync(workspace.path('store/v1/index.json'), 'utf8')
    for (const name of ['canonical:1', `canonical:1@${digest}`, `dangling@${digest}`])
      expect(index).toContain(`"docker.io/library/${name}"`)
    const reader = workspace.context('by-canonical', {
      Dockerfile: `FROM canonical:1@${digest}\nRUN cat /copy\n`,
    })
    await workspace.tsbuild.check(['-q', reader])
    const empty = 'type=image,name=named:1,dangling-name-prefix=only,danging-name-empty-only=true'
    await workspace.tsbuild.check(['-q', '-o', empty, context])
    expect(readFileSync(workspace.path('store/v1/index.json'), 'utf8')).not.toContain('library/only')
  })

  it('are not set with store=false, and no tag is with push-by-digest', async () => {
    const metadata = workspace.path('by-digest.json')
    const name = `${registry.host}/by-digest`
    const output = `type=image,name=${name},push=true,store=false,push-by-digest=true`
    await workspace.tsbuild.check(['-q', '-o', output, '--metadata-file', metadata, context])
    const { 'containerimage.digest': digest } = JSON.parse(readFileSync(metadata, 'utf8'))
    expect(await workspace.tsbuild.check(['images'])).not.toContain('by-digest')
    expect((await raw(`docker://${name}@${digest}`, '--tls-verify=false')).mediaType).toBe(
      `${oci}.manifest.v1+json`,
    )
    const tags = await fetch(`http://${name.replace('/', '/v2/')}/tags/list`)
    expect(((await tags.json()) as { readonly tags?: readonly string[] | null }).tags ?? []).toEqual([])
    const tagged = await workspace.tsbuild.run([
      '-o',
      `type=registry,name=${name}:1,push-by-digest=true`,
      context,
    ])
    expect([tagged.code, tagged.stderr]).toEqual([2, expect.stringContaining('a push by digest sets no tag')])
  })

  it('lead with registry.insecure to a registry of plain HTTP that is not on this machine, and not without', async () => {
    const proxy = await startProxyTo(registry.host)
    try {
      const env = { HTTP_PROXY: proxy.url, HTTPS_PROXY: proxy.url }
      const output = 'type=registry,name=registry.example:5000/insecure:1'
      const refused = await workspace.tsbuild.run(['-o', output, context], { env })
      expect([refused.code, refused.stderr]).toEqual([3, expect.stringContaining('[ERR_REGISTRY_TLS]')])
      await workspace.tsbuild.check(['-q', '-o', `${output},registry.insecure=true`, context], { env })
      const pushed = await raw(`docker://${registry.host}/insecure:1`, '--tls-verify=false')
      expect(pushed.layers.length).toBeGreaterThan(1)
    } finally {
      await proxy.stop()
    }
  })
})

/** A proxy that finds every host at one place: stands for the network between this machine and others. */
async function startProxyTo(place: string) {
  const [hostname, port] = place.split(':')
  const proxy = createServer((request, response) => {
    const { method, headers, url = '' } = request
    const path = url.replace(/^http:\/\/[^/]+/, '')
    const forwarded = forward({ hostname, port, method, path, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      answer.pipe(response)
    })
    request.pipe(forwarded)
  })
  proxy.on('connect', (_, client: Socket) => {
    const server = connect(Number(port), hostname)
    client.write('HTTP/1.1 200 Connected\r\n\r\n')
    client.pipe(server).pipe(client)
    for (const socket of [client, server]) socket.on('error', () => socket.destroy())
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  const address = proxy.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return {
    url: `http://127.0.0.1:${address.port}`,
    stop: async () => {
      proxy.closeAllConnections()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}

describe('several outputs of one build', () => {
  it('are all written, from one run of the steps', async () => {
    const marker = workspace.context('several', {
      Dockerfile: 'FROM busybox:test\nRUN cat /proc/sys/kernel/random/uuid > /uuid\n',
    })
    const [out, tar, archive] = ['several-out', 'several.tar', 'several-oci.tar'].map((name) =>
      workspace.path(name),
    )
    const { executed } = await workspace.tsbuild.build([
      ...['-t', 'several:1', '-o', `${out}`, '-o', `type=tar,dest=${tar}`, '-o', `type=oci,dest=${archive}`],
      ...['-o', 'type=image', '-o', `type=registry,name=${registry.host}/several:1`, marker],
    ])
    expect(executed).toHaveLength(1)
    const uuid = readLine(`${out}/uuid`)
    expect((await check('tar', ['-xOf', `${tar}`, 'uuid'])).trim()).toBe(uuid)
    const digests = await Promise.all(
      [[`oci-archive:${archive}`], [`docker://${registry.host}/several:1`, '--tls-verify=false']].map(
        async ([place = '', ...flags]) => (await raw(place, ...flags)).config.digest,
      ),
    )
    expect(digests[0]).toBe(digests[1])
    expect(await workspace.tsbuild.check(['run', 'several:1', 'cat', '/uuid'])).toBe(`${uuid}\n`)
  })

  it.each([
    ['type=oci,dest=PLACE', 'type=tar,dest=PLACE'],
    ['type=local,dest=PLACE', 'type=oci,tar=false,dest=PLACE/../LAST'],
    ['type=local,dest=PLACE', 'type=local,dest=LINK'],
  ])('are refused at one place: %s and %s', async (first, second) => {
    const place = workspace.path('one-place')
    mkdirSync(place, { recursive: true })
    const link = workspace.path('link-to-place')
    if (!existsSync(link)) symlinkSync(place, link)
    const filled = [first, second].map((output) =>
      output
        .replace('PLACE', first.includes('local') ? place : `${place}/file`)
        .replace('LAST', 'one-place')
        .replace('LINK', link),
    )
    const outcome = await workspace.tsbuild.run([...filled.flatMap((output) => ['-o', output]), context])
    expect([outcome.code, outcome.stderr]).toEqual([2, expect.stringContaining('two outputs to one place')])
    expect(readdirSync(place)).toEqual([])
  })

  it('end together when one fails: files are whole or as they were', async () => {
    const archive = workspace.path('kept.tar')
    writeFileSync(archive, 'as it was')
    const outcome = await workspace.tsbuild.run([
      ...['-o', `type=oci,dest=${archive}`, '-o', 'type=registry,name=127.0.0.1:1/nobody:1', context],
    ])
    expect(outcome.code).toBe(3)
    const text = readFileSync(archive)
    if (text.toString('latin1') !== 'as it was') await raw(`oci-archive:${archive}`)
    expect(readdirSync(workspace.folder).filter((name) => name.includes('kept.tar'))).toEqual(['kept.tar'])
  })
})

describe('an output that fails at once', () => {
  it.each(['type=local,dest=/proc/nowhere', 'type=oci,tar=false,dest=/proc/nowhere'])(
    '(%s) leaves what the steps made for the next build',
    async (output) => {
      // Large enough to be written down still when the output has failed.
      const from = workspace.context(`failing-${output.slice(5, 8)}`, {
        Dockerfile: `FROM scratch\nLABEL output=${output.slice(5, 8)}\nCOPY file /file\n`,
        file: randomBytes(15_000_000).toString('hex'),
      })
      const outcome = await workspace.tsbuild.run(['-o', output, from])
      expect([outcome.code, outcome.stderr]).toEqual([3, expect.stringContaining('Cannot write')])
      const again = await workspace.tsbuild.run(['-o', `type=local,dest=${workspace.path('again')}`, from])
      expect([again.code, again.stderr]).toEqual([0, expect.stringContaining('1 cached')])
    },
  )
})

describe('a directory with mode=delete', () => {
  const allow = ['--allow', 'buildx.local.delete']
  const result = () => workspace.context('result', { Dockerfile: 'FROM scratch\nCOPY a /d/a\n', a: 'new\n' })

  it('holds the result and nothing else', async () => {
    const out = workspace.path('mirror')
    const elsewhere = workspace.path('mirror-elsewhere')
    mkdirSync(`${out}/d/deep`, { recursive: true })
    mkdirSync(elsewhere)
    writeFileSync(`${elsewhere}/kept`, '')
    symlinkSync(elsewhere, `${out}/link`)
    for (const name of ['d/a', 'd/deep/old', 'old']) writeFileSync(`${out}/${name}`, 'old\n')
    await workspace.tsbuild.check(['-q', ...allow, '-o', `type=local,mode=delete,dest=${out}`, result()])
    expect(readdirSync(out, { recursive: true })).toEqual(['d', 'd/a'])
    expect(readLine(`${out}/d/a`)).toBe('new')
    expect(readdirSync(elsewhere)).toEqual(['kept'])
  })

  it('needs to be allowed, and never holds what the build is made from', async () => {
    const out = workspace.path('not-allowed')
    mkdirSync(out)
    writeFileSync(`${out}/kept`, '')
    const output = (dest: string) => ['-o', `type=local,mode=delete,dest=${dest}`]
    const plain = await workspace.tsbuild.run([...output(out), result()])
    expect([plain.code, plain.stderr]).toEqual([1, expect.stringContaining('[ERR_ENTITLEMENT]')])
    for (const dest of [result(), workspace.folder, '/']) {
      const outcome = await workspace.tsbuild.run([...allow, ...output(dest), result()])
      expect([outcome.code, outcome.stderr]).toEqual([2, expect.stringContaining('which the build needs')])
    }
    expect(readdirSync(out)).toEqual(['kept'])
    expect(existsSync(result())).toBe(true)
  })
})
