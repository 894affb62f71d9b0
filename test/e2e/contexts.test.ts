import { mkdirSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { createRepository, type SourceServer, startSourceServer } from '../support/source-server.ts'
import { makeTar, type TarEntry } from '../support/tar.ts'
import { check, type RunOptions } from '../support/tsbuild.ts'
import { openWorkspace, readLine, type Workspace, writeFiles } from '../support/workspace.ts'

let workspace: Workspace
let server: SourceServer
beforeAll(async () => {
  workspace = openWorkspace('contexts')
  mkdirSync(workspace.path('git'))
  server = await startSourceServer(workspace.path('git'))
})
afterAll(async () => {
  await server?.stop()
  await workspace?.remove()
})

let builds = 0
/** Builds and exports the files; gives a reader of one. */
async function build(args: readonly string[], options: RunOptions = {}) {
  const out = workspace.path(`out-${builds++}`)
  const steps = await workspace.tsbuild.build(['-o', out, ...args], options)
  return { steps, text: (name: string) => readLine(`${out}/${name}`) }
}

const dockerfile = 'FROM scratch\nCOPY . /\n'
const files: readonly TarEntry[] = [
  { name: 'Dockerfile', data: dockerfile },
  { name: 'sub/', type: '5' },
  { name: 'sub/file', data: 'in a tar\n', mtime: 1_500_000_000 },
  { name: 'sub/Dockerfile', data: 'FROM scratch\nCOPY sub/file /other\n' },
  { name: '.dockerignore', data: '*\n' },
]

const compressions: readonly (readonly [string, readonly string[]])[] = [
  ['gzip', ['gzip', '-c']],
  ['bzip2', ['bzip2', '-c']],
  ['xz', ['xz', '-c']],
  ['zstd', ['zstd', '-qc']],
]

/** The bytes of a tar as a program compresses them. */
async function compressed(name: string, [program = '', ...args]: readonly string[]): Promise<Buffer> {
  const { readFileSync, writeFileSync } = await import('node:fs')
  const [plain, packed] = [workspace.path(`${name}.tar`), workspace.path(`${name}.packed`)]
  writeFileSync(plain, makeTar(files))
  await check('sh', ['-c', '"$0" "$@" < "$PLAIN" > "$PACKED"', program, ...args], {
    env: { PLAIN: plain, PACKED: packed },
  })
  return readFileSync(packed)
}

describe('standard input', () => {
  it('a plain tar is the whole context, and no ignore rules apply', async () => {
    const { text } = await build(['-'], { input: makeTar(files) })
    expect(text('sub/file')).toBe('in a tar')
  })

  it.each(compressions)('a tar compressed by %s is the whole context', async (name, command) => {
    const { text } = await build(['-'], { input: await compressed(name, command) })
    expect(text('sub/file')).toBe('in a tar')
  })

  it('--file names a Dockerfile inside of the tar', async () => {
    const { text } = await build(['-f', 'sub/Dockerfile', '-'], { input: makeTar(files) })
    expect(text('other')).toBe('in a tar')
  })

  it('the same tar again executes nothing, with other times too', async () => {
    const entries: readonly TarEntry[] = [
      { name: 'Dockerfile', data: 'FROM scratch\nCOPY f /g\n' },
      { name: 'f', data: 'same' },
    ]
    await build(['-'], { input: makeTar(entries) })
    const touched = entries.map((entry) => ({ ...entry, mtime: 1_700_000_000 }))
    const { steps } = await build(['-'], { input: makeTar(touched) })
    expect(steps.executed.filter((name) => !name.includes('internal'))).not.toContainEqual(
      expect.stringContaining('COPY'),
    )
  })

  it('a Dockerfile has an empty context', async () => {
    const { text } = await build(['-'], { input: 'FROM scratch\nCOPY <<EOF /made\nhere\nEOF\n' })
    expect(text('made')).toBe('here')
    const failed = await workspace.tsbuild.run(['-'], { input: 'FROM scratch\nCOPY f /\n' })
    expect(failed.code).toBe(1)
    expect(failed.stderr).toContain('the build context, which is empty')
    // The lines of what came in, and not of some file.
    expect(failed.stderr).toContain('   2 | >>> COPY f /')
  })

  it('-f - takes the Dockerfile, with a context apart', async () => {
    const context = workspace.context('apart', { Dockerfile: 'FROM nowhere\n', f: 'apart' })
    const { text } = await build(['-f', '-', context], { input: 'FROM scratch\nCOPY f /g\n' })
    expect(text('g')).toBe('apart')
  })

  it('both from standard input is an error', async () => {
    const outcome = await workspace.tsbuild.run(['-f', '-', '-'], { input: dockerfile })
    expect(outcome.code).toBe(2)
    expect(outcome.stderr).toContain('both the context and the Dockerfile from standard input')
  })

  it('a Dockerfile and --file are an error: one of them would not be built', async () => {
    const outcome = await workspace.tsbuild.run(['-f', 'Dockerfile', '-'], { input: dockerfile })
    expect(outcome.code).toBe(2)
    expect(outcome.stderr).toContain('standard input is a Dockerfile too')
  })

  it('compressed data that is no tar is an error', async () => {
    const { gzipSync } = await import('node:zlib')
    const outcome = await workspace.tsbuild.run(['-'], { input: gzipSync('FROM scratch\n') })
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain('[ERR_ADD_ARCHIVE]')
  })

  it('a hostile tar reads and writes nothing of the machine', async () => {
    const escaping: readonly TarEntry[] = [
      { name: '../../../../escaped', data: 'x' },
      { name: 'Dockerfile', type: '2', link: '/etc/passwd' },
    ]
    const outcome = await workspace.tsbuild.run(['-'], { input: makeTar(escaping) })
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).not.toContain('root:')
    expect(outcome.stderr).toMatch(/there is no "Dockerfile"|Cannot/)
    await expect(
      check('find', [workspace.folder, '-name', 'escaped', '-not', '-path', '*/scratch/*']),
    ).resolves.toBe('')
    const through: readonly TarEntry[] = [
      { name: 'out', type: '2', link: workspace.folder },
      { name: 'out/through', data: 'x' },
      { name: 'Dockerfile', data: dockerfile },
    ]
    await workspace.tsbuild.run(['-'], { input: makeTar(through) })
    await expect(check('find', [workspace.folder, '-maxdepth', '1', '-name', 'through'])).resolves.toBe('')
  })
})

describe('URLs', () => {
  it('an archive is the context', async () => {
    server.put('/context.tar', makeTar(files))
    const { text } = await build([`${server.url}/context.tar`])
    expect(text('sub/file')).toBe('in a tar')
    const again = await build(['-f', 'sub/Dockerfile', `${server.url}/context.tar`])
    expect(again.text('other')).toBe('in a tar')
    expect(server.requests.at(-1)).toMatchObject({ path: '/context.tar', status: 304 })
  })

  it('anything else is the Dockerfile with an empty context', async () => {
    server.put('/Dockerfile', 'FROM scratch\nCOPY <<EOF /made\nby url\nEOF\n')
    expect((await build([`${server.url}/Dockerfile`])).text('made')).toBe('by url')
  })

  it('-f takes a URL', async () => {
    server.put('/elsewhere', 'FROM scratch\nCOPY f /g\n')
    const context = workspace.context('by-url', { f: 'local' })
    expect((await build(['-f', `${server.url}/elsewhere`, context])).text('g')).toBe('local')
  })

  it('secrets authorize the request, and are not shown', async () => {
    server.put('/private.tar', makeTar(files), { authorization: 'Bearer s3cret' })
    const args = [`${server.url}/private.tar`]
    const refused = await workspace.tsbuild.run(args)
    expect(refused.stderr).toContain('[ERR_HTTP_STATUS]')
    const secret = ['--secret', `id=HTTP_AUTH_TOKEN_${server.host.replace(/:.*/, '')},env=TOKEN`]
    const outcome = await workspace.tsbuild.run(['-o', workspace.path('private'), ...secret, ...args], {
      env: { TOKEN: 's3cret' },
    })
    expect(outcome.stderr).not.toContain('s3cret')
    expect(outcome.code).toBe(0)
  })
})

describe('git', () => {
  it('a repository is the context, with a ref and a directory', async (test) => {
    needs(test, 'program git')
    const repository = createRepository(workspace.path('git'), 'context')
    repository.commit({ Dockerfile: dockerfile, f: 'one', 'sub/Dockerfile': dockerfile, 'sub/f': 'sub' })
    repository.tag('v1')
    repository.commit({ f: 'two' })
    const url = `${server.url}/git/context.git`
    expect((await build([url])).text('f')).toBe('two')
    expect((await build([`${url}#v1`])).text('f')).toBe('one')
    expect((await build([`${url}#main:sub`])).text('f')).toBe('sub')
    expect((await build(['-f', 'sub/Dockerfile', `${url}?ref=v1`])).text('f')).toBe('one')
    await expect(build([`${url}#nowhere`])).rejects.toThrow('ERR_GIT_REF_NOT_FOUND')
  })

  it('BUILDKIT_CONTEXT_KEEP_GIT_DIR keeps .git', async (test) => {
    needs(test, 'program git')
    createRepository(workspace.path('git'), 'kept').commit({ Dockerfile: 'FROM scratch\nCOPY .git/HEAD /\n' })
    const url = `${server.url}/git/kept.git`
    await expect(build([url])).rejects.toThrow('ERR_COPY_SOURCE_NOT_FOUND')
    const { text } = await build(['--build-arg', 'BUILDKIT_CONTEXT_KEEP_GIT_DIR=1', url])
    expect(text('HEAD')).not.toBe('')
  })
})

describe('named contexts', () => {
  const copy = 'FROM scratch\nCOPY --from=extra . /\n'

  it('a directory, with its own .dockerignore', async () => {
    const main = workspace.context('named-main', { Dockerfile: copy })
    const extra = writeFiles(workspace.path('named-extra'), {
      f: 'named',
      hidden: 'x',
      '.dockerignore': 'hidden\n',
    })
    const { text } = await build(['--build-context', `extra=${extra}`, main])
    expect(text('f')).toBe('named')
    expect(() => text('hidden')).toThrow('ENOENT')
  })

  it('a repository and a URL', async (test) => {
    needs(test, 'program git')
    createRepository(workspace.path('git'), 'named').commit({ f: 'of git' })
    server.put('/archive.tar.gz', makeTar(files))
    const main = workspace.context('named-remote', { Dockerfile: copy })
    const ofGit = await build(['--build-context', `extra=${server.url}/git/named.git`, main])
    expect(ofGit.text('f')).toBe('of git')
    // Not unpacked, and called `context`.
    const ofUrl = await build(['--build-context', `extra=${server.url}/archive.tar.gz`, main])
    expect(Buffer.from(ofUrl.text('context')).length).toBeGreaterThan(2048)
  })

  it('docker-image:// takes the place of a base image and of --from', async () => {
    const image = workspace.context('image', { Dockerfile: 'FROM scratch\nCOPY f /\n', f: 'of an image' })
    await workspace.tsbuild.check(['-q', '-t', 'local/base:1', image])
    const main = workspace.context('named-image', {
      Dockerfile: 'FROM nowhere.test/base\nCOPY --from=extra f /copied\n',
    })
    const { text } = await build([
      '--build-context=nowhere.test/base=docker-image://local/base:1',
      '--build-context=extra=docker-image://local/base:1',
      main,
    ])
    expect([text('f'), text('copied')]).toEqual(['of an image', 'of an image'])
  })

  it('oci-layout:// is an image of a layout, by tag, by digest and the only one', async () => {
    const image = workspace.context('layout-image', { Dockerfile: 'FROM scratch\nCOPY f /\n', f: 'layout' })
    const [archive, layout] = [workspace.path('layout.tar'), workspace.path('layout')]
    await workspace.tsbuild.check(['-t', 'some/image:tagged', '-o', `type=oci,dest=${archive}`, image])
    mkdirSync(layout)
    await check('tar', ['-xf', archive, '-C', layout])
    const other = workspace.path('other-store')
    const main = workspace.context('named-layout', { Dockerfile: 'FROM base\n' })
    const { readFileSync, writeFileSync, readdirSync } = await import('node:fs')
    const [{ digest }] = JSON.parse(readFileSync(`${layout}/index.json`, 'utf8')).manifests
    for (const which of ['', ':tagged', `@${digest}`]) {
      const options = { env: { TSBUILD_ROOT: other } }
      const { text } = await build(['--build-context', `base=oci-layout://${layout}${which}`, main], options)
      expect(text('f')).toBe('layout')
    }
    const wrong = await workspace.tsbuild.run(['--build-context', `base=oci-layout://${layout}:none`, main])
    expect(wrong.stderr).toContain('[ERR_IMAGE_NOT_FOUND]')
    // A blob that is not what its name says.
    const blobs = `${layout}/blobs/sha256`
    for (const blob of readdirSync(blobs)) writeFileSync(`${blobs}/${blob}`, 'other bytes')
    const fresh = { env: { TSBUILD_ROOT: workspace.path('fresh-store') } }
    const forged = await workspace.tsbuild.run(
      ['--build-context', `base=oci-layout://${layout}`, main],
      fresh,
    )
    expect(forged.stderr).toMatch(/ERR_(DIGEST|SIZE)_MISMATCH/)
  })

  it('unused ones are never loaded', async () => {
    const main = workspace.context('unused', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /d\n' })
    const before = server.requests.length
    const unused = [
      workspace.context('unused-ignored', { '.dockerignore': '[' }),
      `${server.url}/gone`,
      'docker-image://nowhere.test/x',
      'oci-layout:///none',
    ]
    const flags = unused.map((value, index) => `--build-context=unused${index}=${value}`)
    expect((await build([...flags, main])).text('d')).toContain('FROM scratch')
    expect(server.requests).toHaveLength(before)
  })

  it('a directory that is not there is an error, as in buildx, also where nothing uses it', async () => {
    const main = workspace.context('unused', { Dockerfile: 'FROM scratch\nCOPY Dockerfile /d\n' })
    const outcome = await workspace.tsbuild.run(['--build-context=one=/nowhere/at/all', main])
    expect(outcome.code).toBe(1)
    expect(outcome.stderr).toContain(
      'Cannot use --build-context "one" "/nowhere/at/all": there is no such directory',
    )
  })
})

describe('SOURCE_DATE_EPOCH', () => {
  /** When the image of a build was made, in Unix seconds. */
  const createdOf = async (args: readonly string[], options: RunOptions = {}) => {
    const tag = `epoch:${builds++}`
    await workspace.tsbuild.check(['-q', '-t', tag, ...args], options)
    const archive = workspace.path('epoch.tar')
    await workspace.tsbuild.check(['-t', tag, '-o', `type=docker,dest=${archive}`, ...args], options)
    const [{ Config: config }] = JSON.parse(await check('tar', ['-xOf', archive, 'manifest.json']))
    const { created } = JSON.parse(await check('tar', ['-xOf', archive, config]))
    return Date.parse(created) / 1000
  }

  it('of the environment dates the image, and --build-arg goes before it', async () => {
    const context = workspace.context('epoch', { Dockerfile: dockerfile })
    const env = { SOURCE_DATE_EPOCH: '1234567' }
    expect(await createdOf([context], { env })).toBe(1234567)
    expect(await createdOf(['--build-arg', 'SOURCE_DATE_EPOCH=7654321', context], { env })).toBe(7654321)
  })

  it('`context` is the time of the commit, and the newest entry of an archive', async (test) => {
    needs(test, 'program git')
    createRepository(workspace.path('git'), 'dated').commit({ Dockerfile: dockerfile }, 1_400_000_000)
    const flags = ['--build-arg', 'SOURCE_DATE_EPOCH=context']
    expect(await createdOf([...flags, `${server.url}/git/dated.git`])).toBe(1_400_000_000)
    server.put('/dated.tar', makeTar(files))
    expect(await createdOf([...flags, `${server.url}/dated.tar`])).toBe(1_500_000_000)
  })
})

describe('the Dockerfile', () => {
  it('may stand outside of the context, and its own ignore file beats that of the context', async () => {
    const context = workspace.context('outside', { a: 'a', b: 'b', '.dockerignore': 'a\n' })
    const place = writeFiles(workspace.path('elsewhere'), {
      'My.Dockerfile': dockerfile,
      'My.Dockerfile.dockerignore': 'b\n',
    })
    const { text } = await build(['-f', `${place}/My.Dockerfile`, context])
    expect(text('a')).toBe('a')
    expect(() => text('b')).toThrow('ENOENT')
  })

  it.each([
    ['docker/dockerfile:1', 0],
    ['docker/dockerfile:1.7-labs', 0],
    ['example.test/other:1', 1],
  ] as const)('# syntax=%s ends with %i', async (image, code) => {
    const text = `# syntax=${image}\nFROM scratch\nCOPY Dockerfile /d\n`
    const context = workspace.context('syntax', { Dockerfile: text })
    const outcome = await workspace.tsbuild.run(['-o', workspace.path('syntax-out'), context])
    expect(outcome.code).toBe(code)
    if (code === 1) expect(outcome.stderr).toContain('>>> # syntax=example.test/other:1')
  })

  it('BUILDKIT_SYNTAX goes before # syntax=', async () => {
    const context = workspace.context('override', { Dockerfile: `# syntax=example.test/x\n${dockerfile}` })
    const { text } = await build(['--build-arg', 'BUILDKIT_SYNTAX=docker/dockerfile:1', context])
    expect(text('Dockerfile')).toContain('FROM scratch')
  })

  it('--no-cache-filter of no stage is a warning that names the one that was meant', async () => {
    const context = workspace.context('filter', { Dockerfile: 'FROM scratch AS build\nCOPY Dockerfile /d\n' })
    const out = workspace.path('filter-out')
    const { stderr } = await workspace.tsbuild.run(['--no-cache-filter', 'biuld', '-o', out, context])
    expect(stderr).toContain('--no-cache-filter "biuld" names no stage. Did you mean `build`?')
  })
})
