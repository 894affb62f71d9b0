import { digestBytes } from '@tsbuild/digest'
import { describe, expect, it } from 'vitest'
import { contextOf, convertText, filesOf, historyOf, vertexOf } from './testing/convert-text.ts'

const copy = {
  kind: 'copy',
  exclude: [],
  parents: false,
  chown: undefined,
  chmod: undefined,
  unpack: false,
} as const

const git = {
  kind: 'git',
  remote: 'https://h.test/r.git',
  ref: '',
  subdir: '',
  keepGitDir: false,
  submodules: true,
  checksum: undefined,
  mtime: 'checkout',
} as const

/** The only file step and the ops that it reads. */
async function addOf(words: string, options = {}) {
  const result = await convertText(`FROM scratch\nWORKDIR /w\nADD ${words}\n`, options)
  const vertex = result.graph.vertices.at(-1)
  const sources = vertex?.inputs.slice(1).map((input) => opOf(result, input))
  return { result, actions: filesOf(result).at(-1)?.actions ?? [], sources, inputs: vertex?.inputs.slice(1) }
}

const opOf = ({ graph }: Awaited<ReturnType<typeof convertText>>, digest: string) =>
  graph.vertices.find((vertex) => vertex.digest === digest)?.op

describe('toGraph() and ADD of a URL', () => {
  it.each([
    ['https://h.test/a/f.txt', 'f.txt'],
    ['http://h.test/f?name=x/y', 'f'],
    ['https://h.test/f#top', 'f'],
    ['HTTPS://h.test/f', 'f'],
    ['https://h.test/d/', 'd'],
    ['https://h.test', '__unnamed__'],
    ['https://h.test/', '__unnamed__'],
    ['https://h.test/?f', '__unnamed__'],
    ['https://h.test/a%20b', 'a b'],
    ['https://h.test/a%2Fb', 'b'],
    ['https://h.test/a%2F..', '__unnamed__'],
    ['https://h.test/%00', '__unnamed__'],
    ['https://h.test/%zz', '%zz'],
    ['https://h.test/caf%e9', 'caf%e9'],
    [`https://h.test/${'a'.repeat(255)}`, 'a'.repeat(255)],
    [`https://h.test/${'a'.repeat(254)}%C3%A9`, '__unnamed__'],
    ['https://h.test/x.git/f', 'f'],
  ])('the name of %s is %s', async (url, filename) => {
    const { sources } = await addOf(`["${url}", "/"]`)
    expect(sources).toMatchObject([{ kind: 'http', filename, checksum: undefined }])
  })

  it('toGraph() keeps the query of a URL and not its fragment', async () => {
    const { sources } = await addOf('https://h.test/f?a=1#b /')
    expect(sources).toMatchObject([{ url: 'https://h.test/f?a=1' }])
  })

  it.each([
    ['f', '/w/f'],
    ['/d/', '/d/'],
    ['.', '/w/'],
  ])('destination %s of a URL is the file or directory %s', async (written, dest) => {
    const { actions } = await addOf(`https://h.test/f ${written}`)
    expect(actions).toEqual([{ ...copy, input: 1, sources: ['f'], dest }])
  })

  it('toGraph() unpacks a URL only if it is told to', async () => {
    expect((await addOf('https://h.test/f.tar /')).actions).toMatchObject([{ unpack: false }])
    expect((await addOf('--unpack=false https://h.test/f.tar /')).actions).toMatchObject([{ unpack: false }])
    expect((await addOf('--unpack=true https://h.test/f.tar /')).actions).toMatchObject([{ unpack: true }])
    expect((await addOf('--unpack https://h.test/f.tar a /')).actions).toMatchObject([
      { unpack: true },
      { unpack: true },
    ])
  })

  it('toGraph() takes no name of a URL for a pattern', async () => {
    const { actions } = await addOf('["https://h.test/%5Ba%5D%2A%3F%5C", "/"]')
    expect(actions).toMatchObject([{ sources: ['[[]a][*][?][\\\\]'] }])
  })

  it('toGraph() gives owner, mode and patterns to what a URL gives', async () => {
    const { actions } = await addOf('--chown=1:2 --chmod=600 --exclude=x https://h.test/f /d/')
    expect(actions).toMatchObject([{ chown: '1:2', chmod: '600', exclude: ['x'] }])
  })

  it('toGraph() shows neither a password nor a query in the name of the step that fetches', async () => {
    const { result } = await addOf('https://u:secret@h.test/f?token=secret /')
    expect(vertexOf(result, 'fetch https://h.test/f').op).toMatchObject({ kind: 'http' })
  })
})

describe('toGraph() and ADD --checksum', () => {
  const digest = digestBytes('f')

  it('toGraph() gives the checksum, expanded, to the URL', async () => {
    const result = await convertText(`FROM scratch\nARG S=${digest}\nADD --checksum=$S https://h.test/f /\n`)
    expect(opOf(result, result.graph.vertices.at(-1)?.inputs[0] ?? '')).toMatchObject({ checksum: digest })
  })

  it('toGraph() gives the commit to the repository, in lower case and also when it is short', async () => {
    const { sources } = await addOf('--checksum=ABCDEF1 https://h.test/r.git /')
    expect(sources).toEqual([{ ...git, checksum: 'abcdef1' }])
  })

  it('toGraph() does without a checksum that expands to nothing', async () => {
    expect((await addOf('--checksum=$NONE a https://h.test/f /')).sources).toHaveLength(2)
  })

  it.each([
    [`--checksum=${digest} https://h.test/a https://h.test/b /`, "can't be specified for multiple sources"],
    [`--checksum=${digest} a /`, 'checksum requires HTTP(S) or Git sources'],
    ['--checksum=sha512:00 https://h.test/a /', 'sha512:00'],
    ['--checksum=abcdef1 https://h.test/a /', 'abcdef1'],
    ['--checksum=abcdef https://h.test/r.git /', 'is not 7 to 64 hex digits of a commit'],
    ['--checksum=abcdef1 https://h.test/r.git?commit=abcdef2 /', 'checksum mismatch "abcdef1" != "abcdef2"'],
  ])('toGraph() refuses ADD %s', async (words, why) => {
    await expect(addOf(words)).rejects.toMatchObject({
      message: expect.stringContaining(why),
      source: { startLine: 3 },
    })
  })
})

describe('toGraph() and ADD of a repository', () => {
  it.each([
    ['https://h.test/r.git', {}],
    ['https://h.test/r.git#v1', { ref: 'v1' }],
    ['https://h.test/r.git#v1:a/b', { ref: 'v1', subdir: 'a/b' }],
    ['https://h.test/r.git#:a', { subdir: 'a' }],
    ['https://h.test/r.git?branch=b&subdir=a', { ref: 'refs/heads/b', subdir: 'a' }],
    ['https://h.test/r.git?keep-git-dir', { keepGitDir: true }],
    ['https://h.test/r.git?submodules=false', { submodules: false }],
    ['https://h.test/r.git?mtime=commit', { mtime: 'commit' }],
    ['https://h.test/r.git?commit=1234567', { checksum: '1234567' }],
    ['git@h.test:r', { remote: 'git@h.test:r' }],
    ['ssh://git@h.test/r', { remote: 'ssh://git@h.test/r' }],
    ['git://h.test/r', { remote: 'git://h.test/r' }],
    ['--keep-git-dir https://h.test/r.git', { keepGitDir: true }],
    ['--keep-git-dir=false https://h.test/r.git', { keepGitDir: false }],
    ['--keep-git-dir=true https://h.test/r.git?keep-git-dir=true', { keepGitDir: true }],
  ])('ADD %s fetches %j', async (words, op) => {
    const { sources, actions } = await addOf(`${words} /d`)
    expect(sources).toEqual([{ ...git, ...op }])
    expect(actions).toEqual([{ ...copy, input: 1, sources: ['/'], dest: '/d' }])
  })

  it('toGraph() never unpacks a repository', async () => {
    expect((await addOf('--unpack=true https://h.test/r.git /')).actions).toMatchObject([{ unpack: false }])
  })

  it('toGraph() takes github.com/o/r for a path', async () => {
    expect((await addOf('github.com/o/r /')).sources).toEqual([{ kind: 'local', name: 'context' }])
  })

  it('toGraph() gives files the time of their commit when SOURCE_DATE_EPOCH=context', async () => {
    const options = { buildArgs: { SOURCE_DATE_EPOCH: 'context' }, context: contextOf() }
    expect((await addOf('https://h.test/r.git /', options)).sources).toMatchObject([{ mtime: 'commit' }])
    const written = await addOf('https://h.test/r.git?mtime=checkout /', options)
    expect(written.sources).toMatchObject([{ mtime: 'checkout' }])
  })

  it.each([
    ['--keep-git-dir=true https://h.test/r.git?keep-git-dir=false /', 'inconsistent keep-git-dir'],
    ['https://h.test/r.git?what=1 /', 'unexpected query "what"'],
    ['https://u:secret@h.test/r.git /', 'not fetched with the password of a URL'],
  ])('toGraph() refuses ADD %s', async (words, why) => {
    const error: unknown = await addOf(words).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      code: 'ERR_URL_INVALID',
      message: expect.stringContaining(why),
      source: { startLine: 3 },
    })
    expect(String(error)).not.toContain('secret')
  })

  it('toGraph() warns of --keep-git-dir without a repository, once', async () => {
    const { result } = await addOf('--keep-git-dir a https://h.test/f /')
    expect(result.warnings).toMatchObject([{ rule: 'FlagWithoutEffect', source: { startLine: 3 } }])
    const used = await addOf('--keep-git-dir a https://h.test/r.git /')
    expect(used.result.warnings).toEqual([])
  })
})

describe('toGraph() and ADD of a mixture', () => {
  it('toGraph() makes one action of each group side by side, in order, and of heredocs after them', async () => {
    const { result, actions, sources, inputs } = await addOf(
      'a b https://h.test/f https://h.test/r.git c <<E /d/\nx\nE',
    )
    const local = { kind: 'local', name: 'context' }
    expect(sources).toMatchObject([local, { kind: 'http' }, git, local])
    expect(inputs?.[3]).toBe(inputs?.[0])
    expect(actions).toMatchObject([
      { kind: 'copy', input: 1, sources: ['a', 'b'], unpack: true },
      { kind: 'copy', input: 2, sources: ['f'], unpack: false },
      { kind: 'copy', input: 3, sources: ['/'], unpack: false },
      { kind: 'copy', input: 4, sources: ['c'], unpack: true },
      { kind: 'mkfile', name: 'E', dest: '/d/' },
    ])
    expect(historyOf(result).at(-1)).toBe(
      'ADD a b https://h.test/f https://h.test/r.git c <<E /d/ # buildkit',
    )
  })

  it('toGraph() has the credentials of a URL neither in the history nor in the name of a step', async () => {
    const result = await convertText(
      'FROM scratch\nARG SIG=CANARY\nADD https://u:CANARY@h.test/f?sig=$SIG https://h.test/g?private_token=CANARY /d/\n',
    )
    expect(historyOf(result).at(-1)).toBe(
      'ADD https://***@h.test/f?sig=*** https://h.test/g?private_token=*** /d/ # buildkit',
    )
    const names = result.graph.vertices.map(({ name }) => name)
    expect(names.join()).not.toContain('CANARY')
  })

  it('toGraph() writes owner and mode into the history of ADD, and no other flag', async () => {
    const words = `--link --checksum=${digestBytes('f')} --exclude=x --chmod=600 --chown=1 https://h.test/f /`
    const { result } = await addOf(words)
    expect(historyOf(result).at(-1)).toBe('ADD --chown=1 --chmod=600 https://h.test/f / # buildkit')
  })

  it('toGraph() refuses a URL of another scheme', async () => {
    await expect(addOf('ftp://h.test/f /')).rejects.toMatchObject({
      code: 'ERR_UNSUPPORTED',
      source: { startLine: 3 },
    })
  })

  it('toGraph() refuses a malformed URL', async () => {
    await expect(addOf('https://[h/f /')).rejects.toMatchObject({
      code: 'ERR_URL_INVALID',
      source: { startLine: 3 },
    })
  })
})

describe('toGraph() and COPY of what only ADD takes', () => {
  it.each([
    ['https://h.test/f', "source can't be a URL for COPY", 'ERR_DOCKERFILE_SYNTAX'],
    ['http://h.test/f', "source can't be a URL for COPY", 'ERR_DOCKERFILE_SYNTAX'],
    ['https://h.test/r.git', "source can't be a git ref for COPY", 'ERR_DOCKERFILE_SYNTAX'],
    ['git@h.test:r', "source can't be a git ref for COPY", 'ERR_DOCKERFILE_SYNTAX'],
    ['https://h.test/r.git?what=1', 'unexpected query', 'ERR_URL_INVALID'],
  ])('COPY %s: %s', async (source, why, code) => {
    await expect(convertText(`FROM base\nCOPY a ${source} /\n`)).rejects.toMatchObject({
      code,
      message: expect.stringContaining(why),
      source: { startLine: 2 },
    })
  })

  it('COPY github.com/o/r copies a path', async () => {
    const result = await convertText('FROM base\nCOPY github.com/o/r /\n')
    expect(filesOf(result)[0]?.actions).toMatchObject([{ sources: ['github.com/o/r'] }])
  })
})
