import type { ExecMount, Vertex } from '@tsbuild/graph'
import { describe, expect, it } from 'vitest'
import {
  type Converted,
  type ConvertOptions,
  convertText,
  execsOf,
  vertexOf,
} from './testing/convert-text.ts'
import type { NamedContext } from './types.ts'

/** What the only RUN mounts, over `base` with WORKDIR /w. */
async function mountsOf(flags: string, options: ConvertOptions = {}): Promise<readonly ExecMount[]> {
  const result = await convertText(`FROM base\nWORKDIR /w\nRUN ${flags} x\n`, options)
  return execsOf(result)[0]?.mounts ?? []
}

/** The vertex that a mount of the only RUN reads. */
function inputOf(result: Converted, index: number): Vertex | undefined {
  const run = result.graph.vertices.find(({ op }) => op.kind === 'exec')
  const mount = run?.op.kind === 'exec' ? run.op.mounts[index] : undefined
  const input = mount !== undefined && 'input' in mount ? mount.input : undefined
  return result.graph.vertices.find(({ digest }) => input !== undefined && digest === run?.inputs[input])
}

const copyOf = (source: string, dest = source === '/' ? '/' : '/source') => ({
  kind: 'file',
  rootfs: undefined,
  owners: undefined,
  actions: [
    {
      kind: 'copy',
      input: 0,
      sources: [source],
      dest,
      exclude: [],
      parents: false,
      chown: undefined,
      chmod: undefined,
      unpack: false,
    },
  ],
})

describe('toGraph() and --mount=type=bind', () => {
  it.each([
    ['', '/', '[internal] mount /'],
    ['.', '/', '[internal] mount /'],
    ['/', '/', '[internal] mount /'],
    ['src/main.c', 'src/main.c', '[internal] mount /src/main.c'],
    ['/src/', 'src', '[internal] mount /src'],
    ['../../src', 'src', '[internal] mount /src'],
    ['a[1]*', 'a[[]1][*]', '[internal] mount /a[1]*'],
  ])('source "%s" of the build context is a copy of exactly %s', async (source, copied, name) => {
    const result = await convertText(`FROM base\nRUN --mount=source=${source},target=/t x\n`)
    expect(execsOf(result)[0]?.mounts).toEqual([
      {
        kind: 'bind',
        input: 1,
        source: copied === '/' ? '/' : '/source',
        target: '/t',
        readOnly: true,
      },
    ])
    const input = inputOf(result, 0)
    expect(input).toMatchObject({ op: copyOf(copied), name, source: { startLine: 2 } })
    expect(input?.inputs).toEqual([vertexOf(result, 'load build context').digest])
  })

  it('the same source of two steps is one copy, and a forced step has its own', async () => {
    const run = 'RUN --mount=source=a,target=/t'
    const text = `FROM base AS one\n${run} x\n${run},rw y\nFROM base\n${run} z\nCOPY --from=one / /\n`
    const copies = ({ graph }: Converted) => graph.vertices.filter(({ name }) => name.endsWith('mount /a'))
    expect(copies(await convertText(text))).toHaveLength(1)
    const forced = copies(await convertText(text, { noCache: ['one'] }))
    expect(forced.map(({ ignoreCache }) => ignoreCache).toSorted()).toEqual([false, true])
  })

  it('from a stage is the file system of the stage, which is built for it', async () => {
    const text =
      'FROM base AS Tools\nRUN make\nFROM scratch\nRUN --mount=from=TOOLS,source=/out/../bin,target=/t x\n'
    const result = await convertText(text)
    const run = vertexOf(result, ' x')
    expect(run.inputs).toEqual([vertexOf(result, 'RUN make').digest])
    expect(run.op).toMatchObject({
      rootfs: undefined,
      mounts: [{ kind: 'bind', input: 0, source: '/bin', target: '/t' }],
    })
  })

  it('from an image is the image, and a number is an image', async () => {
    const images = { 'tools:1': {}, '0': {} }
    const text = 'FROM base\nRUN --mount=from=tools:1,target=/t --mount=from=0,target=/u x\n'
    const result = await convertText(text, { images })
    expect([inputOf(result, 0)?.op, inputOf(result, 1)?.op]).toMatchObject([
      { kind: 'image', reference: 'registry.test/tools:1:latest' },
      { kind: 'image', reference: 'registry.test/0:latest' },
    ])
  })

  it.each<[string, NamedContext, object]>([
    ['files', { kind: 'files' }, copyOf('a')],
    ['an image', { kind: 'image', reference: 'other' }, { kind: 'image' }],
  ])('from a named context of %s', async (_, context, op) => {
    const result = await convertText('FROM base\nRUN --mount=from=ctx,source=a,target=/t x\n', {
      namedContexts: new Map([['ctx', context]]),
      images: { other: {} },
    })
    expect(inputOf(result, 0)?.op).toMatchObject(op)
    if (context.kind === 'files') expect(inputOf(result, 0)?.name).toBe('[context ctx] mount /a')
  })

  it('a stage that a named context replaces is not built for a mount', async () => {
    const text = 'FROM missing AS dep\nFROM base\nRUN --mount=from=dep,target=/t x\n'
    const result = await convertText(text, { namedContexts: new Map([['dep', { kind: 'files' }]]) })
    expect(result.requests).toEqual(['base linux/amd64'])
    expect(inputOf(result, 0)).toMatchObject({ name: '[context dep] mount /', op: copyOf('/') })
  })

  it('what replaces the build context is mounted in its place', async () => {
    const namedContexts = new Map<string, NamedContext>([['context', { kind: 'image', reference: 'base' }]])
    const result = await convertText('FROM scratch\nRUN --mount=source=a,target=/t x\n', { namedContexts })
    expect(inputOf(result, 0)?.op.kind).toBe('image')
    expect(execsOf(result)[0]?.mounts).toMatchObject([{ source: '/a' }])
  })

  it('from scratch is an empty file system, of which a part cannot be mounted', async () => {
    expect(await mountsOf('--mount=from=scratch,target=/t')).toEqual([
      { kind: 'bind', input: undefined, source: '/', target: '/t', readOnly: true },
    ])
    await expect(mountsOf('--mount=from=scratch,source=a,target=/t')).rejects.toMatchObject({
      code: 'ERR_MOUNT_SOURCE_INVALID',
      message: 'Cannot mount "a": it is not in "scratch", which is empty',
      source: { startLine: 3 },
    })
  })

  it('an empty image in the place of the build context has no part either', async () => {
    const namedContexts = new Map<string, NamedContext>([
      ['context', { kind: 'image', reference: 'scratch' }],
    ])
    await expect(mountsOf('--mount=source=a,target=/t', { namedContexts })).rejects.toMatchObject({
      message: 'Cannot mount "a": it is not in "context", which is empty',
    })
  })

  it.each([
    ['t', '/w/t'],
    ['./t/', '/w/t'],
    ['../t', '/t'],
    ['/t//u/.', '/t/u'],
    ['', '/w'],
  ])('target "%s" is %s', async (target, expected) => {
    expect(await mountsOf(`--mount=target=${target}`)).toMatchObject([{ target: expected }])
  })

  it('rw is not read only', async () => {
    expect(await mountsOf('--mount=target=/t,rw')).toMatchObject([{ kind: 'bind', readOnly: false }])
  })

  it('two mounts of one file system have an index each', async () => {
    const text = 'FROM base AS a\nFROM a\nRUN --mount=from=a,target=/t --mount=from=a,target=/u x\n'
    const result = await convertText(text)
    const [image] = result.graph.vertices
    expect(result.graph.vertices.at(-1)?.inputs).toEqual([image?.digest, image?.digest, image?.digest])
    expect(execsOf(result)[0]).toMatchObject({ rootfs: 0, mounts: [{ input: 1 }, { input: 2 }] })
  })

  it('an image that no registry has is refused at the RUN, with the stage that was meant', async () => {
    const text = 'FROM base AS tools\nFROM base\nRUN --mount=from=tolls,target=/t x\n'
    await expect(convertText(text)).rejects.toMatchObject({
      code: 'ERR_IMAGE_NOT_FOUND',
      hints: ['Did you mean `tools`?'],
      source: { startLine: 3 },
    })
  })

  it('all mounts are read before an image is asked for', async () => {
    await expect(
      mountsOf('--mount=from=missing,target=/t --mount=type=tmpf,target=/u'),
    ).rejects.toMatchObject({
      code: 'ERR_DOCKERFILE_MOUNT_OPTION',
    })
  })
})

describe('toGraph() and --mount=type=cache', () => {
  const cache = {
    kind: 'cache',
    id: '/c',
    target: '/c',
    input: undefined,
    source: '/',
    readOnly: false,
    sharing: 'shared',
    mode: undefined,
    uid: undefined,
    gid: undefined,
  }

  it('defaults: empty, shared, writable, called after its target', async () => {
    expect(await mountsOf('--mount=type=cache,target=/c')).toEqual([cache])
  })

  it.each([
    ['/c/../d/', '/d', '/d'],
    ['c/./d', 'c/d', '/w/c/d'],
    ['../c/', '../c', '/c'],
    ['', '.', '/w'],
  ])('the id of target "%s" is "%s", as written, and its place %s', async (target, id, place) => {
    expect(await mountsOf(`--mount=type=cache,target=${target}`)).toMatchObject([{ id, target: place }])
  })

  it('an id is no path', async () => {
    expect(await mountsOf('--mount=type=cache,target=/c,id=../../x//y')).toMatchObject([{ id: '../../x//y' }])
  })

  it('BUILDKIT_CACHE_MOUNT_NS stands before the id, given or not', async () => {
    const buildArgs = { BUILDKIT_CACHE_MOUNT_NS: 'team' }
    const flags = '--mount=type=cache,target=/c --mount=type=cache,target=/d,id=x'
    expect(await mountsOf(flags, { buildArgs })).toMatchObject([{ id: 'team//c' }, { id: 'team/x' }])
    expect(await mountsOf(flags, { buildArgs: { BUILDKIT_CACHE_MOUNT_NS: '' } })).toMatchObject([
      { id: '/c' },
      { id: 'x' },
    ])
  })

  it('carries sharing, ro, mode, uid and gid, of which 0 is not the same as not given', async () => {
    expect(await mountsOf('--mount=type=cache,target=/c,sharing=locked,ro,mode=0,uid=0,gid=7')).toEqual([
      { ...cache, sharing: 'locked', readOnly: true, mode: 0, uid: 0, gid: 7 },
    ])
  })

  it('from and source: what it holds when it is made', async () => {
    const text =
      'FROM base AS seed\nRUN make\nFROM base\nRUN --mount=type=cache,from=seed,source=s,target=/c x\n'
    const result = await convertText(text)
    expect(
      inputOf({ ...result, graph: { ...result.graph, vertices: result.graph.vertices.toReversed() } }, 0)
        ?.name,
    ).toBe('[seed 2/2] RUN make')
    expect(execsOf(result).at(-1)?.mounts).toEqual([{ ...cache, input: 1, source: '/s' }])
  })

  it('from a named context of files it is made of a copy', async () => {
    const result = await convertText('FROM base\nRUN --mount=type=cache,from=ctx,source=s,target=/c x\n', {
      namedContexts: new Map([['ctx', { kind: 'files' }]]),
    })
    expect(inputOf(result, 0)?.op).toEqual(copyOf('s'))
    expect(execsOf(result)[0]?.mounts).toMatchObject([{ source: '/source' }])
  })

  it('a source without from is a part of the cache itself', async () => {
    expect(await mountsOf('--mount=type=cache,target=/c,source=s/../t/')).toEqual([
      { ...cache, source: '/t' },
    ])
    expect(await mountsOf('--mount=type=cache,from=scratch,target=/c,source=t')).toEqual([
      { ...cache, source: '/t' },
    ])
  })
})

describe('toGraph() and --mount=type=tmpfs', () => {
  it.each([
    ['', { sizeBytes: undefined, readOnly: false }],
    [',size=1m', { sizeBytes: 1_048_576 }],
    [',size=0', { sizeBytes: undefined }],
    [',ro', { readOnly: true }],
  ])('target=t%s', async (more, expected) => {
    expect(await mountsOf(`--mount=type=tmpfs,target=t${more}`)).toMatchObject([
      { kind: 'tmpfs', target: '/w/t', ...expected },
    ])
  })
})

describe('toGraph() and --mount=type=secret', () => {
  const secret = { kind: 'secret', id: 's', env: undefined, required: false, mode: 0o400, uid: 0, gid: 0 }

  it.each([
    ['id=s', { target: '/run/secrets/s' }],
    ['id=a/b.pem', { id: 'a/b.pem', target: '/run/secrets/b.pem' }],
    ['target=k/s', { target: '/w/k/s' }],
    ['source=s,target=/s', { target: '/s' }],
    ['id=s,env=S', { target: undefined, env: 'S' }],
    ['id=s,env=S,target=/s', { target: '/s', env: 'S' }],
    ['id=s,required', { target: '/run/secrets/s', required: true }],
    ['id=s,mode=0,uid=1,gid=2', { target: '/run/secrets/s', mode: 0, uid: 1, gid: 2 }],
  ])('%s', async (text, expected) => {
    expect(await mountsOf(`--mount=type=secret,${text}`)).toEqual([{ ...secret, ...expected }])
  })

  it('is in no history, and its variable in no environment', async () => {
    const result = await convertText('FROM base\nRUN --mount=type=secret,id=s,env=S x\n')
    expect(result.image.history.map(({ createdBy }) => createdBy)).toEqual(['RUN /bin/sh -c x # buildkit'])
    expect(execsOf(result)[0]?.env.some((entry) => entry.startsWith('S='))).toBe(false)
  })
})

describe('toGraph() and --mount=type=ssh', () => {
  const ssh = { kind: 'ssh', id: 'default', required: false, mode: 0o600, uid: 0, gid: 0 }

  it('the sockets are numbered by the mounts of agents', async () => {
    const flags =
      '--mount=type=ssh --mount=type=ssh,id=k,target=sock --mount=type=ssh,id=l,required,mode=0666,uid=1,gid=2'
    expect(await mountsOf(flags)).toEqual([
      { ...ssh, target: '/run/buildkit/ssh_agent.0' },
      { ...ssh, id: 'k', target: '/w/sock' },
      { ...ssh, id: 'l', required: true, mode: 0o666, uid: 1, gid: 2, target: '/run/buildkit/ssh_agent.2' },
    ])
  })
})

describe('toGraph() and the order of mounts', () => {
  const targets = async (flags: string) => (await mountsOf(flags)).map(({ target }) => target)

  it('parents come first, whatever their kind', async () => {
    const flags =
      '--mount=type=secret,id=s,target=/a/b/s --mount=type=tmpfs,target=/a/b --mount=type=cache,target=c --mount=target=/a'
    expect(await targets(flags)).toEqual(['/a', '/a/b', '/a/b/s', '/w/c'])
  })

  it('otherwise they stay as written, also beside a name that begins alike', async () => {
    const tmpfs = (target: string) => `--mount=type=tmpfs,target=${target}`
    const flags = ['/a/b/c', '/ab', '/d', '/a/b/d', '/a', '/a/b'].map(tmpfs).join(' ')
    expect(await targets(flags)).toEqual(['/a', '/a/b', '/a/b/c', '/ab', '/d', '/a/b/d'])
  })

  it('same target twice: last wins', async () => {
    const flags =
      '--mount=type=cache,target=/t --mount=from=missing,target=/w/../t/ --mount=type=tmpfs,target=/t'
    expect(await mountsOf(flags)).toMatchObject([{ kind: 'tmpfs', target: '/t' }])
  })

  it('a secret whose file is covered keeps its variable, and variables do not cover one another', async () => {
    const flags =
      '--mount=type=secret,id=a,env=A,target=/t --mount=type=secret,id=b,env=B --mount=type=tmpfs,target=/t'
    expect(await mountsOf(flags)).toMatchObject([
      { id: 'a', env: 'A', target: undefined },
      { id: 'b', env: 'B', target: undefined },
      { kind: 'tmpfs', target: '/t' },
    ])
  })

  it('a heredoc has mounts too', async () => {
    const result = await convertText('FROM base\nRUN --mount=type=tmpfs,target=/t <<E\n#!x\nE\n')
    expect(execsOf(result)).toMatchObject([
      { scripts: [{ path: '/dev/pipes/E' }], mounts: [{ kind: 'tmpfs', target: '/t' }] },
    ])
  })
})
