import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { digestBytes } from '@tsbuild/digest'
import type { Native, Selection } from '@tsbuild/native'
import { realHelper } from '@tsbuild/native/testing'
import type { Store } from '@tsbuild/store'
import { temporaryDirectory, temporaryStore } from '@tsbuild/store/testing'
import { beforeEach, describe, expect, it, type TestContext } from 'vitest'
import { openDirectoryContext } from './index.ts'

type Missing = { readonly source: string; readonly ignoredBy: number | null }

const signal = new AbortController().signal
const selection = (...sources: readonly string[]): Selection => ({
  sources,
  exclude: [],
  parents: false,
  uncounted: [],
})
const digestOf = ({ sources }: Selection) => digestBytes(sources.join())

/** A helper that notes what it is asked for; `missing` are the sources that it does not find. */
function recordingNative(missing: readonly Missing[] = []) {
  const scans: (readonly Selection[])[] = []
  const scan: Native['scan'] = async (_tree, selections, options) => {
    scans.push(selections)
    const selected = selections.map((one) => ({
      digest: digestOf(one),
      entries: 1,
      bytes: 1,
      missing: missing.filter(({ source }) => one.sources.includes(source)),
    }))
    const lists = selections.map((one) => [digestOf(one), Buffer.from(one.sources.join())] as const)
    const manifests = options?.manifests === true ? new Map<string, Buffer>(lists) : new Map<string, Buffer>()
    return { op: 'scan', selections: selected, hashedBytes: 0, entries: 1, manifests }
  }
  return { scans, native: { scan } as Partial<Native> as Native }
}

let store: Store
let root: string
beforeEach(async () => {
  store = await temporaryStore()
  root = temporaryDirectory()
})

function files(...names: readonly string[]): void {
  for (const name of names) {
    mkdirSync(dirname(join(root, name)), { recursive: true })
    writeFileSync(join(root, name), '')
  }
}

const open = (native: Native, path = root, umask?: number) =>
  openDirectoryContext({ path, dockerfilePath: join(root, 'Dockerfile'), umask, cwd: root, native, store })

describe('openDirectoryContext()', () => {
  it('hands the rules of the ignore file to the helper, in order and without comments', async () => {
    writeFileSync(join(root, '.dockerignore'), '# mine\n*.log\n!/keep.log\n\n./dist/\n')
    const { tree } = await open(recordingNative().native)
    expect(tree).toEqual({
      kind: 'directory',
      path: root,
      ignore: ['*.log', '!keep.log', 'dist'],
      fingerprints: store.cacheFile('fingerprints', root),
      checkoutUmask: null,
    })
  })

  it('keeps the fingerprints of two contexts apart', async () => {
    files('a/x', 'b/x')
    const { native } = recordingNative()
    const [a, b] = [await open(native, join(root, 'a')), await open(native, join(root, 'b'))]
    const fingerprints = [a, b].map(({ tree }) => tree.kind === 'directory' && tree.fingerprints)
    expect(new Set(fingerprints).size).toBe(2)
  })

  it('takes a symlink to a directory', async () => {
    files('real/x')
    symlinkSync('real', join(root, 'link'))
    const { tree } = await open(recordingNative().native, join(root, 'link'))
    expect(tree).toMatchObject({ kind: 'directory', path: join(root, 'link') })
  })

  it.each([
    ['missing', 'there is no such directory', []],
    ['file', 'it is no directory', [expect.stringContaining('`-`')]],
    ['file/below', 'there is no such directory', []],
  ])('throws ERR_CONTEXT_NOT_FOUND for the context "%s"', async (name, reason, hints) => {
    files('file')
    await expect(open(recordingNative().native, join(root, name))).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_CONTEXT_NOT_FOUND',
      message: expect.stringContaining(reason),
      hints,
    })
  })

  it('throws ERR_CONTEXT_UNREADABLE for a context that leads in a circle', async () => {
    symlinkSync('circle', join(root, 'circle'))
    await expect(open(recordingNative().native, join(root, 'circle'))).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_CONTEXT_UNREADABLE',
      message: expect.stringContaining('ELOOP'),
    })
  })

  it('throws ERR_IGNORE_SYNTAX with the line of a bad rule', async () => {
    writeFileSync(join(root, '.dockerignore'), '*.log\n!\n')
    await expect(open(recordingNative().native)).rejects.toMatchObject({
      code: 'ERR_IGNORE_SYNTAX',
      source: { file: '.dockerignore', startLine: 2 },
    })
  })
})

describe('BuildContext.digest()', () => {
  it('makes one scan of all selections of one turn, each with its own digest', async () => {
    const { scans, native } = recordingNative()
    const context = await open(native)
    const asked = ['a', 'b', 'c'].map((name) => selection(name))
    const digests = await Promise.all(asked.map((one) => context.digest(one, signal)))
    expect(scans).toEqual([asked])
    expect(digests).toEqual(asked.map(digestOf))
  })

  it('makes another scan for a later turn', async () => {
    const { scans, native } = recordingNative()
    const context = await open(native)
    await context.digest(selection('a'), signal)
    await context.digest(selection('b'), signal)
    expect(scans).toEqual([[selection('a')], [selection('b')]])
  })

  it('fails every call of the turn when the scan fails, and none of the next', async () => {
    const { native } = recordingNative()
    const failure = new Error('walked into a wall')
    let fails = true
    const scan: Native['scan'] = (...given) => (fails ? Promise.reject(failure) : native.scan(...given))
    const context = await open({ scan } as Partial<Native> as Native)
    const both = await Promise.allSettled(['a', 'b'].map((name) => context.digest(selection(name), signal)))
    expect(both).toEqual([
      { status: 'rejected', reason: failure },
      { status: 'rejected', reason: failure },
    ])
    fails = false
    expect(await context.digest(selection('a'), signal)).toBe(digestOf(selection('a')))
  })

  it('names the ignore rule that hides a source, and how to let it through', async () => {
    writeFileSync(join(root, '.dockerignore'), '# no logs\n*.log\n')
    const { native } = recordingNative([{ source: '/app.log', ignoredBy: 0 }])
    const context = await open(native)
    await expect(context.digest(selection('/app.log'), signal)).rejects.toMatchObject({
      kind: 'user',
      code: 'ERR_COPY_SOURCE_NOT_FOUND',
      message: 'Cannot copy "/app.log": it exists, but .dockerignore:2 hides it',
      hints: ['.dockerignore:2 is `*.log`; add `!app.log` below it to let the file through.'],
    })
  })

  it('names close names when a source is not there', async () => {
    files('src/main.ts', 'package.json', 'node_modules/packag.json/x')
    const { native } = recordingNative([{ source: 'pakage.json', ignoredBy: null }])
    const context = await open(native)
    await expect(context.digest(selection('pakage.json'), signal)).rejects.toMatchObject({
      code: 'ERR_COPY_SOURCE_NOT_FOUND',
      message: `Cannot copy "pakage.json": it is not in the build context "${root}"`,
      hints: ['Did you mean `package.json`?'],
    })
  })

  it('fails only the call whose source is missing', async () => {
    const context = await open(recordingNative([{ source: 'gone', ignoredBy: null }]).native)
    const [good, bad] = await Promise.allSettled([
      context.digest(selection('a'), signal),
      context.digest(selection('gone'), signal),
    ])
    expect(good).toEqual({ status: 'fulfilled', value: digestOf(selection('a')) })
    expect(bad).toMatchObject({
      status: 'rejected',
      reason: { code: 'ERR_COPY_SOURCE_NOT_FOUND', hints: [] },
    })
  })
})

describe('BuildContext.keepFileList()', () => {
  it('puts the list behind a digest into the store', async () => {
    const context = await open(recordingNative().native)
    const digest = digestOf(selection('a', 'b'))
    await context.keepFileList(selection('a', 'b'), digest)
    expect(await store.getFileList(digest)).toBe('a,b')
  })

  it('keeps nothing when the files are others by now', async () => {
    const context = await open(recordingNative().native)
    const digest = digestBytes('what was there before')
    await context.keepFileList(selection('a'), digest)
    expect(await store.getFileList(digest)).toBeUndefined()
  })
})

describe('BuildContext.hiddenBy()', () => {
  const openReal = async (test: TestContext, rules: string) => {
    files('kept/f', 'node_modules/m/f', 'a.log')
    writeFileSync(join(root, '.dockerignore'), rules)
    return await open(realHelper(test))
  }

  it.for<[string, string | undefined]>([
    ['a.log', '.dockerignore:2'],
    ['/a.log', '.dockerignore:2'],
    ['node_modules', '.dockerignore:3'],
    ['node_modules/m', '.dockerignore:3'],
    ['node_modules/none', undefined],
    ['kept', undefined],
    ['kept/f', undefined],
    ['none', undefined],
    ['.', undefined],
  ])('hiddenBy() of "%s" is %s', async ([path, expected], test) => {
    const context = await openReal(test, '# mine\n*.log\nnode_modules\n')
    expect(await context.hiddenBy(path, signal)).toBe(expected)
  })

  it('hiddenBy() says nothing of a path that a later rule lets through', async (test) => {
    const context = await openReal(test, '*\n!kept/f\n')
    expect(await context.hiddenBy('kept/f', signal)).toBeUndefined()
    expect(await context.hiddenBy('kept', signal)).toBeUndefined()
    expect(await context.hiddenBy('a.log', signal)).toBe('.dockerignore:1')
  })

  it('hiddenBy() asks nobody where there are no rules', async () => {
    const { scans, native } = recordingNative()
    expect(await (await open(native)).hiddenBy('a', signal)).toBeUndefined()
    expect(scans).toEqual([])
  })

  it('a named context has its own rules, and not those of the Dockerfile', async () => {
    writeFileSync(join(root, 'Dockerfile.dockerignore'), 'other\n')
    writeFileSync(join(root, '.dockerignore'), 'own\n')
    const { native } = recordingNative()
    const context = await openDirectoryContext({
      path: root,
      dockerfilePath: undefined,
      umask: undefined,
      cwd: root,
      native,
      store,
    })
    expect(context.tree).toMatchObject({ ignore: ['own'] })
  })

  it.each([
    [0o755, undefined, null],
    [0o755, 0o022, 0o022],
    [0o775, 0o002, 0o002],
    [0o775, 0o000, 0o000],
    [0o700, 0o002, 0o002],
    [0o700, 0o077, 0o077],
    [0o750, 0o027, 0o027],
    // It lets in whom the umask keeps out: the private Dockerfile is one of a kind.
    [0o755, 0o077, null],
    [0o750, 0o077, null],
    [0o755, 0o027, null],
    [0o711, 0o077, null],
  ])('of mode %o takes the umask %o of its Dockerfile for %o', async (mode, umask, expected) => {
    chmodSync(root, mode)
    expect((await open(recordingNative().native, root, umask)).tree).toMatchObject({
      checkoutUmask: expected,
    })
  })
})
