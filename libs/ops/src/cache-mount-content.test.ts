import {
  chmodSync,
  chownSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Native } from '@tsbuild/native'
import { realHelper } from '@tsbuild/native/testing'
import type { Snapshotter } from '@tsbuild/snapshot'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import { type CacheExecMount, makeContent } from './cache-mount-content.ts'
import { execOp } from './exec-op.ts'
import { recordingOptions, resultOf, snapshotId } from './testing/recording-options.ts'

const mount: CacheExecMount = {
  kind: 'cache',
  id: 'x',
  target: '/x',
  input: undefined,
  source: '/',
  readOnly: false,
  sharing: 'shared',
  mode: undefined,
  uid: undefined,
  gid: undefined,
}
const signal = new AbortController().signal

let native: Native
let base: string
beforeEach((test) => {
  native = realHelper(test)
  base = directory()
})

function directory(): string {
  const path = mkdtempSync(join(tmpdir(), 'tsbuild-cache-content-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Every view is the tree at `base`. */
function options() {
  const view = async () => ({ lower: [base], upper: null, work: null })
  return { native, snapshotter: { view } as unknown as Snapshotter }
}

const filesystem = { layers: [{ kind: 'snapshot', id: snapshotId, createdAt: 0 }] } as const

/** The `fs` of a new cache mount. */
async function make(changes: Partial<CacheExecMount>, seed?: string): Promise<string> {
  const made = { ...mount, ...changes }
  const place = { directory: directory(), seed }
  const from = made.input === undefined ? undefined : filesystem
  await makeContent(made, place, from, options(), signal)
  expect(readdirSync(place.directory)).toEqual(['fs'])
  return join(place.directory, 'fs')
}

const owned = (path: string) => {
  const { mode, uid, gid } = lstatSync(path)
  return `${(mode & 0o7777).toString(8)} ${uid}:${gid}`
}

describe('makeContent()', () => {
  it('makeContent() makes an empty directory of root, 0755', async () => {
    const fs = await make({})
    expect([readdirSync(fs), owned(fs)]).toEqual([[], '755 0:0'])
  })

  it.each([
    [{ mode: 0o1770 }, '1770 0:0'],
    [{ uid: 1000 }, '755 1000:0'],
    [{ gid: 50 }, '755 0:50'],
    [{ mode: 0o700, uid: 1000, gid: 1001 }, '700 1000:1001'],
    [{ source: '/sub', mode: 0o700, uid: 1000, gid: 1001 }, '755 0:0'],
  ])(
    'makeContent() gives the directory mode and owner, ignored beside a source: %j',
    async (given, expected) => {
      const fs = await make(given)
      expect([readdirSync(fs), owned(fs)]).toEqual([[], expected])
    },
  )

  it('makeContent() copies a directory of the input with its own mode and owner', async () => {
    const home = join(base, 'home', 'app')
    mkdirSync(join(home, '.cache'), { recursive: true })
    writeFileSync(join(home, '.cache', 'file'), 'x', { mode: 0o640 })
    chmodSync(join(home, '.cache'), 0o2750)
    chownSync(join(home, '.cache', 'file'), 7, 8)
    chownSync(join(home, '.cache'), 1000, 1001)
    chmodSync(join(home, '.cache'), 0o2750)
    writeFileSync(join(home, 'other'), '')
    const fs = await make({ input: 1, source: '/home/app/.cache', mode: 0o700, uid: 5 })
    expect([readdirSync(fs), owned(fs), owned(join(fs, 'file'))]).toEqual([
      ['file'],
      '2750 1000:1001',
      '640 7:8',
    ])
  })

  it('makeContent() copies the whole input, with the mode and owner given', async () => {
    mkdirSync(join(base, 'a'))
    writeFileSync(join(base, 'a', 'b'), 'b')
    const [plain, given] = [await make({ input: 1 }), await make({ input: 1, mode: 0o700, uid: 5, gid: 6 })]
    expect([readdirSync(plain), owned(plain)]).toEqual([['a'], '755 0:0'])
    expect([readFileSync(join(given, 'a', 'b'), 'utf8'), owned(given)]).toEqual(['b', '700 5:6'])
  })

  it.each(['/file', '/dir/fi*e', '/dir/[x]', '/dir/!bang', '/dir/back\\slash', '/dir/{a,b}|c+(d)^$'])(
    'makeContent() copies the file %s, no pattern',
    async (source) => {
      mkdirSync(join(base, 'dir'))
      writeFileSync(join(base, source), source)
      writeFileSync(join(base, 'dir', 'firre'), 'wrong')
      writeFileSync(join(base, 'dir', 'x'), 'wrong')
      const fs = await make({ input: 1, source })
      expect([statSync(fs).isFile(), readFileSync(fs, 'utf8')]).toEqual([true, source])
    },
  )

  it('makeContent() copies what a symlink leads to inside of the input, and nothing of the host', async () => {
    mkdirSync(join(base, 'etc'))
    writeFileSync(join(base, 'etc', 'passwd'), 'of the image')
    symlinkSync('/etc', join(base, 'absolute'))
    symlinkSync('../../../../etc', join(base, 'relative'))
    for (const source of ['/absolute', '/relative', '/absolute/passwd', '/relative/passwd']) {
      const fs = await make({ input: 1, source })
      const file = source.endsWith('passwd') ? fs : join(fs, 'passwd')
      expect(readFileSync(file, 'utf8')).toBe('of the image')
    }
  })

  it('makeContent() rejects for a source that is not there, or that leads nowhere', async () => {
    symlinkSync('/nowhere', join(base, 'dangling'))
    for (const source of ['/none', '/none/below', '/dangling', '/n*ne', '/a[b]/c']) {
      await expect(make({ input: 1, source })).rejects.toMatchObject({ code: 'ERR_MOUNT_SOURCE_INVALID' })
    }
  })

  it('makeContent() copies what another scope has as it is, its root directory too', async () => {
    const seed = directory()
    const fs = join(seed, 'fs')
    mkdirSync(join(fs, 'deep', 'empty'), { recursive: true })
    writeFileSync(join(fs, 'deep', 'file'), 'x', { mode: 0o600 })
    linkSync(join(fs, 'deep', 'file'), join(fs, 'link'))
    symlinkSync('/etc/passwd', join(fs, 'symlink'))
    utimesSync(join(fs, 'deep', 'file'), 1_000, 1_000)
    writeFileSync(join(seed, 'meta.json'), '{}')
    chmodSync(fs, 0o711)
    chownSync(fs, 1000, 1001)
    const copy = await make({ input: 1, source: '/ignored', mode: 0o700 }, seed)
    expect(owned(copy)).toBe('711 1000:1001')
    expect(readdirSync(copy).toSorted()).toEqual(['deep', 'link', 'symlink'])
    expect(readlinkSync(join(copy, 'symlink'))).toBe('/etc/passwd')
    const file = statSync(join(copy, 'deep', 'file'))
    expect([file.mode & 0o777, file.mtimeMs, file.nlink]).toEqual([0o600, 1_000_000, 2])
    expect(existsSync(join(copy, 'deep', 'empty'))).toBe(true)
  })

  it('makeContent() copies what another scope has where that is empty, or a file', async () => {
    const [empty, file] = [directory(), directory()]
    mkdirSync(join(empty, 'fs'))
    writeFileSync(join(file, 'fs'), 'x')
    expect(readdirSync(await make({}, empty))).toEqual([])
    expect(readFileSync(await make({}, file), 'utf8')).toBe('x')
  })
})

describe('the content of a bind mount', () => {
  const digestOf = async (source: string) => {
    const { snapshotter } = options()
    const given = recordingOptions(() => Promise.reject(new Error('not run')), {
      native,
      snapshotter,
    }).options
    const bind = { kind: 'bind', input: 0, source, target: '/x', readOnly: true } as const
    const op = { rootfs: undefined, scripts: [], extraHosts: [], ulimits: [], mounts: [bind] }
    const step = execOp(op as unknown as Parameters<typeof execOp>[0], 1, given)
    return (await step.inputs[0]?.content?.(resultOf(snapshotId), signal))?.digest
  }

  it('execOp() counts the files below the source, its own mode, and not where it lies', async () => {
    for (const name of ['a', 'b']) {
      mkdirSync(join(base, name, 'out', 'sub'), { recursive: true })
      writeFileSync(join(base, name, 'out', 'sub', 'file'), 'same')
    }
    const [a, b] = [await digestOf('/a/out'), await digestOf('/b/out')]
    expect(a).toBe(b)
    writeFileSync(join(base, 'b', 'beside'), 'x')
    utimesSync(join(base, 'b', 'out', 'sub', 'file'), 1, 1)
    expect(await digestOf('/b/out')).toBe(a)
    chmodSync(join(base, 'b', 'out'), 0o700)
    const closed = await digestOf('/b/out')
    expect(closed).not.toBe(a)
    writeFileSync(join(base, 'b', 'out', 'sub', 'file'), 'other')
    expect(await digestOf('/b/out')).not.toBe(closed)
  })

  it('execOp() counts a file, and what a symlink leads to', async () => {
    writeFileSync(join(base, 'file'), 'one')
    symlinkSync('/file', join(base, 'link'))
    const before = [await digestOf('/file'), await digestOf('/link')]
    writeFileSync(join(base, 'file'), 'two')
    const after = [await digestOf('/file'), await digestOf('/link')]
    expect(new Set([...before, ...after]).size).toBe(4)
  })

  it('execOp() counts the whole root, and says which source is missing', async () => {
    writeFileSync(join(base, 'file'), 'one')
    const before = await digestOf('/')
    writeFileSync(join(base, 'file'), 'two')
    expect(await digestOf('/')).not.toBe(before)
    for (const source of ['/none', '/n*ne', '/a[b]/c'])
      await expect(digestOf(source)).rejects.toMatchObject({ code: 'ERR_MOUNT_SOURCE_INVALID' })
  })
})
