import { readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type GitServer, serveRepositories } from '../../libs/context/src/testing/git-server.ts'
import { createRepository, type TestRepository } from '../../libs/context/src/testing/repository.ts'
import { readArchive, revealed } from '../support/attestations.ts'
import { userNames, userOf } from '../support/builder-user.ts'
import { type RegistryProcess, startRegistry } from '../support/registry-process.ts'
import { repository as root } from '../support/repository.ts'
import { type SourceServer, startSourceServer } from '../support/source-server.ts'
import { check } from '../support/tsbuild.ts'
import { openDebianWorkspace, type Workspace } from '../support/workspace.ts'

const slsa = 'https://slsa.dev/provenance/v1'
const spdx = 'https://spdx.dev/Document'
const canary = 'CANARY-9b1e63f07d'

let workspace: Workspace
let repository: TestRepository
let git: GitServer
let files: SourceServer
let registry: RegistryProcess
beforeAll(async () => {
  workspace = await openDebianWorkspace('attestations')
  repository = createRepository(workspace.path('repositories'), 'r')
  repository.commit({ Dockerfile: 'FROM scratch\nCOPY a /\n', a: 'a' })
  files = await startSourceServer(workspace.path('none'))
  files.put('/file', 'of a server')
  registry = await startRegistry(workspace.path('registry'))
})
afterAll(async () => {
  await Promise.allSettled([files?.stop(), registry?.stop()])
  await workspace?.remove()
})

beforeEach(async () => {
  git = await serveRepositories(workspace.path('repositories'))
})

let count = 0
async function archived(args: readonly string[], options = {}) {
  count += 1
  const archive = workspace.path(`out-${count}.tar`)
  await workspace.tsbuild.build(['-o', `type=oci,dest=${archive}`, ...args], options)
  return await readArchive(archive)
}

const small = (name: string, dockerfile = 'FROM scratch\nCOPY a /\n') =>
  workspace.context(name, { Dockerfile: dockerfile, a: 'a' })

describe('--provenance', () => {
  it('names the base image, a repository and a file that the build was made of', async () => {
    const context = workspace.context('materials', {
      Dockerfile: `FROM debian:bookworm\nADD ${git.origin}/r.git#main /code\nADD ${files.url}/file /file\n`,
    })
    const [found] = await archived(['-t', 'registry.test/app:1', '--provenance=mode=min', context])
    const { predicate, subject, _type } = found?.statements[slsa] ?? {}
    expect(_type).toBe('https://in-toto.io/Statement/v0.1')
    const sha256 = found?.image.digest.replace('sha256:', '')
    expect(subject).toEqual([
      { name: 'pkg:docker/registry.test/app@1?platform=linux%2Famd64', digest: { sha256 } },
    ])
    const digestOf = (text: string) =>
      check('sh', ['-c', `printf '%s' '${text}' | sha256sum | cut -d' ' -f1`])
    expect(predicate.buildDefinition.resolvedDependencies).toEqual([
      {
        uri: 'pkg:docker/debian@bookworm?platform=linux%2Famd64',
        digest: { sha256: expect.stringMatching(/^[0-9a-f]{64}$/) },
      },
      { uri: `${git.origin}/r.git#main`, digest: { sha1: repository.git('rev-parse', 'HEAD').trim() } },
      { uri: `${files.url}/file`, digest: { sha256: (await digestOf('of a server')).trim() } },
    ])
    expect(predicate.runDetails.metadata.buildkit_completeness).toEqual({
      request: true,
      resolvedDependencies: false,
    })
  })

  it('says of a build from a repository where it came from, and that everything is on record', async () => {
    const [found] = await archived(['--provenance=mode=min', `${git.origin}/r.git#main`])
    const commit = repository.git('rev-parse', 'HEAD').trim()
    const source = { uri: `${git.origin}/r.git#main`, digest: { sha1: commit } }
    const { buildDefinition, runDetails } = found?.statements[slsa].predicate ?? {}
    expect(buildDefinition.externalParameters.configSource).toEqual({ ...source, path: 'Dockerfile' })
    expect(buildDefinition.resolvedDependencies).toEqual([source])
    expect(runDetails.metadata).toMatchObject({
      buildkit_hermetic: true,
      buildkit_completeness: { resolvedDependencies: true },
    })
  })

  it('maps steps to layers of the image with mode=max, and has the text of the Dockerfile', async () => {
    const [found] = await archived(['--provenance=mode=max,builder-id=https://ci.test/7', small('max')])
    const { buildDefinition, runDetails } = found?.statements[slsa].predicate ?? {}
    const steps = buildDefinition.internalParameters.buildConfig.llbDefinition
    expect(steps.at(-1)).toMatchObject({ op: { Op: null }, inputs: ['step1:0'] })
    const { layers, source } = runDetails.metadata.buildkit_metadata
    expect(Object.keys(layers)).toEqual(['step1:0'])
    expect(Buffer.from(source.infos[0].data, 'base64').toString()).toBe('FROM scratch\nCOPY a /\n')
    expect(runDetails.builder.id).toBe('https://ci.test/7')
  })

  it('is of version 0.2 on demand, and not in BuildKit’s newer form', async () => {
    const archive = workspace.path('old.tar')
    const output = `type=oci,dest=${archive},oci-artifact=false`
    await workspace.tsbuild.build(['-o', output, '--provenance=version=v0.2', small('old')])
    const [found] = await readArchive(archive)
    expect(Object.keys(found?.statements ?? {})).toEqual(['https://slsa.dev/provenance/v0.2'])
    expect(found?.statements['https://slsa.dev/provenance/v0.2'].predicate).toMatchObject({
      buildType: 'https://mobyproject.org/buildkit@v1',
      invocation: { parameters: { frontend: 'dockerfile.v0' } },
    })
    expect(found?.manifest).not.toHaveProperty('subject')
    expect(found?.manifest.config.mediaType).toBe('application/vnd.oci.image.config.v1+json')
  })

  it('is not there unless it is asked for, and takes no part in the image', async () => {
    const context = small('plain')
    const digestOf = async (...args: string[]) => {
      const metadata = workspace.path('plain.json')
      await workspace.tsbuild.build([...args, '--metadata-file', metadata, context])
      return JSON.parse(readFileSync(metadata, 'utf8'))
    }
    const plain = await digestOf()
    expect(Object.keys(plain).filter((key) => key.startsWith('buildx.build.provenance'))).toEqual([])
    const [found] = await archived(['--provenance=true', context])
    expect(found?.image.digest).toBe(plain['containerimage.digest'])
    expect(found?.manifest.subject).toMatchObject({ digest: plain['containerimage.digest'] })
    const with_ = await digestOf('--provenance=true')
    expect(with_['buildx.build.provenance'].buildDefinition.externalParameters.request).not.toHaveProperty(
      'args',
    )
  })

  it('gives the same bytes in another store, with SOURCE_DATE_EPOCH', async () => {
    const context = small('same')
    const made = []
    for (const store of ['one', 'two']) {
      const archive = workspace.path(`same-${store}.tar`)
      const output = `type=oci,dest=${archive},rewrite-timestamp=true`
      const asked = ['--provenance=mode=max', '--sbom=true', '--build-arg', 'SOURCE_DATE_EPOCH=1700000000']
      const env = { TSBUILD_ROOT: workspace.path(`store-${store}`) }
      await workspace.tsbuild.build(['-o', output, ...asked, context], { env })
      made.push((await readArchive(archive))[0])
    }
    expect(made[1]?.descriptor.digest).toBe(made[0]?.descriptor.digest)
    expect(made[0]?.statements[spdx].predicate.creationInfo.created).toBe('2023-11-14T22:13:20Z')
  })

  it('has one for each platform', async () => {
    const args = [
      '--platform',
      'linux/amd64,linux/arm64',
      '--provenance=mode=min',
      '-t',
      'app:1',
      small('platforms'),
    ]
    const found = await archived(args)
    expect(found.map(({ image }) => image.platform?.architecture)).toEqual(['amd64', 'arm64'])
    const subjects = found.map(({ statements }) => statements[slsa].subject[0].name)
    expect(subjects).toEqual(['amd64', 'arm64'].map((name) => `pkg:docker/app@1?platform=linux%2F${name}`))
    const metadata = workspace.path('platforms.json')
    await workspace.tsbuild.build([...args, '--metadata-file', metadata])
    expect(Object.keys(JSON.parse(readFileSync(metadata, 'utf8')))).toEqual(
      expect.arrayContaining(['linux/amd64', 'linux/arm64'].map((name) => `buildx.build.provenance/${name}`)),
    )
  })
})

describe('attestations beside files', () => {
  it('are statements about each file, which only their owner may read', async () => {
    const out = workspace.path('files')
    const args = ['-o', `type=local,dest=${out},attestation-prefix=my-`, '--provenance=true', '--sbom=true']
    await workspace.tsbuild.build([...args, small('files-context')])
    for (const name of ['my-provenance.json', 'my-sbom.spdx.json']) {
      expect(statSync(`${out}/${name}`).mode & 0o777).toBe(0o600)
      const statement = JSON.parse(readFileSync(`${out}/${name}`, 'utf8'))
      const sha256 = (await check('sha256sum', [`${out}/a`])).split(' ')[0]
      expect(statement.subject).toEqual([{ name: 'a', digest: { sha256 } }])
    }
  })

  it('are in a tar, under a name of their own, and not there with inline-only', async () => {
    const tar = workspace.path('files.tar')
    const listed = async (provenance: string) => {
      await workspace.tsbuild.build([
        '-o',
        `type=tar,dest=${tar}`,
        `--provenance=${provenance}`,
        small('tar'),
      ])
      return (await check('tar', ['-tvf', tar])).trim().split('\n')
    }
    expect(await listed('filename=p.json')).toContainEqual(expect.stringMatching(/^-rw------- .* p\.json$/))
    expect((await listed('inline-only=true')).length).toBe(1)
  })
})

describe('SEC-03', () => {
  it('tells no canary of arguments, URLs and proxies, and with mode=min the value of no argument', async () => {
    const context = workspace.context('canaries', {
      Dockerfile: [
        'FROM scratch',
        'ARG API_TOKEN',
        'ARG PLAIN',
        'LABEL token=$API_TOKEN plain=$PLAIN',
        `ADD http://user:${canary}@${files.host}/file /file`,
        '',
      ].join('\n'),
    })
    const args = [
      ...['--build-arg', `API_TOKEN=${canary}`, '--build-arg', `PLAIN=open-${'value'}`],
      ...['--label', `password=${canary}`],
      ...['--build-context', `unused=https://me:${canary}@nowhere.test/r.git`],
    ]
    const env = { HTTP_PROXY: '', http_proxy: '' }
    const proxies = [
      '--build-arg',
      `HTTPS_PROXY=http://${canary}.test:1`,
      '--build-arg',
      `no_proxy=${canary}`,
    ]
    for (const version of ['v1', 'v0.2']) {
      for (const mode of ['min', 'max']) {
        const metadata = workspace.path('canaries.json')
        const given = [`--provenance=mode=${mode},version=${version}`, '--metadata-file', metadata]
        const [found] = await archived([...given, ...args, ...proxies, context], { env })
        const told = revealed(found?.statements)
        expect(told).not.toContain(canary)
        expect(revealed(JSON.parse(readFileSync(metadata, 'utf8')))).not.toContain(canary)
        expect(told.includes('open-value')).toBe(mode === 'max')
      }
    }
  })
})

describe('--sbom', () => {
  it('lists the packages that dpkg lists', async () => {
    const context = workspace.context('sbom', {
      Dockerfile: `FROM debian:bookworm
RUN dpkg-query -W -f '\${db:Status-Status} \${Package} \${Version}\\n' | sed -n 's/^installed //p' > /packages
`,
    })
    const [found] = await archived(['--sbom=true', context])
    const out = workspace.path('packages')
    await workspace.tsbuild.build(['-o', out, context])
    const wanted = readFileSync(`${out}/packages`, 'utf8').trim().split('\n').sort()
    expect(wanted.length).toBeGreaterThan(50)
    const { packages } = found?.statements[spdx].predicate ?? {}
    const debs = packages.filter(({ SPDXID }: { SPDXID: string }) =>
      SPDXID.startsWith('SPDXRef-Package-deb-'),
    )
    expect(debs.map((one: Record<string, string>) => `${one.name} ${one.versionInfo}`).sort()).toEqual(wanted)
  })

  it('lists what npm, Python and Go left, as an ordinary user too', async () => {
    const context = workspace.context('languages', { Dockerfile: 'FROM scratch\nCOPY . /app/\n' })
    const packages = (name: string) => join(root, 'node_modules', name)
    await check('mkdir', ['-p', `${context}/node_modules/@nodelib`, `${context}/python`])
    await check('cp', ['-r', packages('undici'), `${context}/node_modules`])
    await check('cp', ['-r', packages('@nodelib/fs.walk'), `${context}/node_modules/@nodelib`])
    // A program of Go; Debian's have no list of modules.
    await check('sh', ['-c', `cp "$(command -v skopeo)" ${context}/`])
    await check('sh', ['-c', `cp -r /usr/lib/python3/dist-packages/*-info ${context}/python/`])
    const versionOf = (name: string) =>
      JSON.parse(readFileSync(`${packages(name)}/package.json`, 'utf8')).version as string
    const listing = `import importlib.metadata as m
for d in m.distributions(path=['${context}/python']):
  print(d.metadata['Name'], d.version)`
    const wanted = [
      `undici ${versionOf('undici')}`,
      `@nodelib/fs.walk ${versionOf('@nodelib/fs.walk')}`,
      ...(await check('python3', ['-c', listing])).trim().split('\n'),
    ]
    for (const name of userNames) {
      const user = userOf(name)
      const folder = workspace.path(`as-${name.replaceAll(' ', '-')}`)
      await check('mkdir', ['-p', folder])
      await user.giveTo(folder)
      const [program, ...args] = user.commandLine(['-o', `${folder}/out`, '--sbom=true', context])
      await check(program, args, { env: { TSBUILD_ROOT: `${folder}/store`, HOME: folder }, cwd: folder })
      const { predicate } = JSON.parse(readFileSync(`${folder}/out/sbom.spdx.json`, 'utf8'))
      const typed = (...types: string[]): string[] =>
        predicate.packages
          .filter(({ SPDXID }: { SPDXID: string }) => types.includes(SPDXID.split('-')[2] ?? ''))
          .map((one: Record<string, string>) => `${one.name} ${one.versionInfo}`)
      expect([...new Set(typed('npm', 'pypi'))].sort()).toEqual([...new Set(wanted)].sort())
      expect(typed('golang')).toEqual([expect.stringMatching(/^stdlib 1\.\d+/)])
    }
  })

  it('follows no link of a hostile image, and notes what is damaged', async () => {
    const context = workspace.context('hostile', {
      Dockerfile: `FROM debian:bookworm
RUN rm -rf /var/lib/dpkg && ln -s /proc/self /var/lib/dpkg && mkdir -p /var/lib/rpm /x/node_modules/a && echo x > /var/lib/rpm/Packages \\
 && ln -s /etc/passwd /x/node_modules/a/package.json && ln -s / /x/node_modules/loop && echo ID=test > /etc/other \\
 && ln -sf /etc/other /etc/os-release
`,
    })
    const [found] = await archived(['--sbom=true', context])
    const { packages, creationInfo } = found?.statements[spdx].predicate ?? {}
    expect(creationInfo.comment).toBe(
      'The rpm database var/lib/rpm/Packages was not read: its form is unknown.',
    )
    const types = packages.map(({ SPDXID }: { SPDXID: string }) => SPDXID.split('-')[2])
    expect(types).not.toContain('deb')
    expect(types).not.toContain('npm')
  })
})

describe('--sbom generator=IMAGE', () => {
  const statement = (name: string) =>
    JSON.stringify({ _type: 'x', predicateType: `https://${name}.test/`, predicate: { name } }).replaceAll(
      '"',
      '\\"',
    )
  const generator = async (name: string, script: string) => {
    const dockerfile = `FROM debian:bookworm\nUSER 1000\nCMD set -e; ${script}\n`
    await workspace.tsbuild.build(['-t', name, workspace.context(name, { Dockerfile: dockerfile })])
  }

  it('runs a generator over the files of the result', async () => {
    await generator(
      'scanner',
      `cat "$BUILDKIT_SCAN_SOURCE/a"; ! touch "$BUILDKIT_SCAN_SOURCE/b" 2>/dev/null; touch /tmp/x; \
echo "${statement('core')}" > $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json; \
echo "${statement('a-second')}" > $BUILDKIT_SCAN_DESTINATION/a.spdx.json`,
    )
    const archive = workspace.path('generated.tar')
    const args = [
      '--progress',
      'plain',
      '-o',
      `type=oci,dest=${archive}`,
      '--sbom=generator=scanner',
      small('scanned'),
    ]
    const { stderr } = await workspace.tsbuild.run(args)
    expect(stderr).toMatch(/generating sbom using scanner[\s\S]* a\n/)
    const [found] = await readArchive(archive)
    expect(
      found?.manifest.layers.map(({ annotations }) => annotations?.['in-toto.io/predicate-type']),
    ).toEqual(['https://core.test/', 'https://a-second.test/'])
    expect(found?.statements['https://core.test/']).toMatchObject({
      predicate: { name: 'core' },
      subject: [{ digest: { sha256: found?.image.digest.replace('sha256:', '') } }],
    })
  })

  it.each([
    ['fails', 'exit 3', /ended with exit code 3/],
    ['leaves nothing', 'true', /left no "sbom.spdx.json"/],
    [
      'leaves no statement',
      'echo hello > $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json',
      /is no in-toto statement/,
    ],
    [
      'leaves a link',
      'ln -s /etc/passwd $BUILDKIT_SCAN_DESTINATION/sbom.spdx.json',
      /left no "sbom.spdx.json"/,
    ],
  ])('is an error where it %s', async (what, script, message) => {
    const name = what.replaceAll(' ', '-')
    await generator(name, script)
    const out = workspace.path(`out-${name}`)
    const { code, stderr } = await workspace.tsbuild.run([
      '-o',
      out,
      `--sbom=generator=${name}`,
      small(`of-${name}`),
    ])
    expect(code).toBe(1)
    expect(stderr).toMatch(message)
  })
})

describe('a push', () => {
  it('sends attestations after the image, and registries list them as referrers', async () => {
    const image = `${registry.host}/app:1`
    registry.forget()
    await workspace.tsbuild.build([
      '--push',
      '-t',
      image,
      '--provenance=true',
      '--sbom=true',
      small('pushed'),
    ])
    const raw = async (reference: string) =>
      JSON.parse(await check('skopeo', ['inspect', '--raw', '--tls-verify=false', `docker://${reference}`]))
    const [subject, attestation] = (await raw(image)).manifests
    const puts = registry.requests().filter((line) => /^PUT \S*\/manifests\//.test(line))
    const places = [subject, attestation].map(({ digest }) => puts.findIndex((line) => line.includes(digest)))
    expect(places[0]).toBeGreaterThanOrEqual(0)
    expect(places[0]).toBeLessThan(places[1] ?? -1)
    // docker-registry 2.8 has no list of referrers: its place is a tag.
    const listed = await raw(`${registry.host}/app:${subject.digest.replace(':', '-')}`)
    expect(listed.manifests).toEqual([
      expect.objectContaining({
        digest: attestation.digest,
        artifactType: 'application/vnd.docker.attestation.manifest.v1+json',
      }),
    ])
    const pulled = workspace.path('pulled')
    await check('skopeo', ['copy', '--all', '--src-tls-verify=false', `docker://${image}`, `oci:${pulled}:1`])
    const { layers } = await raw(`${registry.host}/app@${attestation.digest}`)
    const statements = layers.map(({ digest }: { digest: string }) =>
      JSON.parse(readFileSync(`${pulled}/blobs/sha256/${digest.slice(7)}`, 'utf8')),
    )
    expect(statements.map(({ predicateType }: { predicateType: string }) => predicateType)).toEqual([
      spdx,
      slsa,
    ])
    for (const statement of statements)
      expect(statement.subject[0].digest.sha256).toBe(subject.digest.replace('sha256:', ''))
  })
})
