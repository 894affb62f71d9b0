import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { digestBytes } from '@tsbuild/digest'
import type { FileAction, Native, Root } from '@tsbuild/native'
import { emptyFilesystem, type Filesystem, type Snapshotter } from '@tsbuild/snapshot'
import type { Store } from '@tsbuild/store'
import { beforeEach, describe, expect, it, onTestFinished } from 'vitest'
import {
  type ExportContext,
  type ExporterOptions,
  exportDirectory,
  exportTar,
  type PlatformFiles,
} from './index.ts'

const context: ExportContext = {
  vertex: digestBytes('export'),
  events: () => {},
  now: () => 0,
  signal: new AbortController().signal,
}

let folder: string
let options: ExporterOptions
/** What each file system holds, by the name of its only lower directory. */
let lists: Map<string, readonly string[]>
let names: Map<Filesystem, string>
let copied: (readonly FileAction[])[]
let released: number
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'outputs-files-'))
  const place = folder
  onTestFinished(() => rmSync(place, { recursive: true }))
  lists = new Map()
  names = new Map()
  copied = []
  released = 0
  const native = {
    exportDirectory: async ({ lower: [name = ''] }: Root, path: string) => {
      mkdirSync(path, { recursive: true })
      writeFileSync(join(path, 'from'), name)
    },
    exportTar: async ({ lower: [name = 'together'] }: Root, out: PassThrough) => void out.write(name),
    scan: async ({ root }: { readonly root: Root }) => ({
      manifests: new Map([
        ['d', Buffer.from(['v1', 'source dir', ...(lists.get(root.lower[0] ?? '') ?? []), ''].join('\n'))],
      ]),
    }),
    copy: (_: Root, actions: readonly FileAction[]) => {
      copied.push(actions)
      return { outcome: Promise.resolve() }
    },
  }
  const snapshotter = {
    view: async (filesystem: Filesystem) => ({
      lower: [names.get(filesystem) ?? ''],
      upper: null,
      work: null,
    }),
    overlay: async () => ({
      root: { lower: [], upper: 'u', work: 'w' },
      release: async () => void released++,
    }),
  }
  options = {
    store: {} as Store,
    native: native as unknown as Native,
    snapshotter: snapshotter as unknown as Snapshotter,
    registry: () => {
      throw new Error('not expected')
    },
    fetch: () => Promise.reject(new Error('not expected')),
  }
})

function filesOf(
  platform: string,
  directory: string | undefined,
  list: readonly string[] = [],
): PlatformFiles {
  const filesystem = { ...emptyFilesystem }
  names.set(filesystem, platform)
  lists.set(platform, list)
  return { platform, filesystem, directory, extras: [] }
}

const read = (path: string) => readFileSync(join(folder, path), 'utf8')

describe('exportDirectory()', () => {
  it('gives each platform its directory, and beside its files what is said about them', async () => {
    const extras = [{ name: 'provenance.json', bytes: Buffer.from('{}') }]
    const parts = [{ ...filesOf('a', 'linux_a'), extras }, filesOf('b', 'linux_b')]
    await exportDirectory(options, parts, join(folder, 'out'), context, { mtime: 1000 })
    expect(statSync(join(folder, 'out/linux_a/provenance.json')).mtimeMs).toBe(1_000_000)
    expect([read('out/linux_a/from'), read('out/linux_b/from')]).toEqual(['a', 'b'])
    expect(read('out/linux_a/provenance.json')).toBe('{}')
    expect(statSync(join(folder, 'out/linux_a/provenance.json')).mode & 0o777).toBe(0o600)
    expect(readdirSync(join(folder, 'out/linux_b'))).toEqual(['from'])
  })

  it('puts a directory in the place of a link that lies there', async () => {
    mkdirSync(join(folder, 'elsewhere'))
    symlinkSync('elsewhere', join(folder, 'linux_a'))
    writeFileSync(join(folder, 'linux_b'), 'a file')
    await exportDirectory(options, [filesOf('a', 'linux_a'), filesOf('b', 'linux_b')], folder, context)
    expect(readdirSync(join(folder, 'elsewhere'))).toEqual([])
    expect([read('linux_a/from'), read('linux_b/from')]).toEqual(['a', 'b'])
  })

  it.each([
    ['f 0644 0:0 1 aa /x', 'f 0644 0:0 1 bb /x', '/x'],
    ['f 0644 0:0 1 aa /x', 'f 0600 0:0 1 aa /x', '/x'],
    ['f 0644 0:0 1 aa /x', 'd 0755 0:0 /x', '/x'],
    ['l 0777 0:0 a /deep/x', 'l 0777 0:0 b /deep/x', '/deep/x'],
  ])('refuses %j and %j in one place, before anything is written', async (one, other, path) => {
    const parts = [filesOf('linux/a', undefined, [one]), filesOf('linux/b', undefined, [other])]
    await expect(exportDirectory(options, parts, join(folder, 'out'), context)).rejects.toMatchObject({
      code: 'ERR_USAGE',
      message: expect.stringContaining(`linux/a and linux/b to one place: both have "${path}"`),
    })
    expect(readdirSync(folder)).toEqual([])
  })

  it('takes in one place what is the same, directories of any mode, and what the others have not', async () => {
    const parts = [
      filesOf('a', undefined, [
        'd 0755 0:0 /',
        'd 0755 0:0 /d',
        'f 0644 0:0 1 aa /d/x',
        'f 0644 0:0 1 aa /d/a',
      ]),
      filesOf('b', undefined, [
        'd 0700 0:0 /',
        'i 0755 0:0 /d',
        'f 0644 0:0 1 aa /d/x',
        'f 0644 0:0 1 bb /d/b',
      ]),
    ]
    await exportDirectory(options, parts, join(folder, 'out'), context)
    expect(read('out/from')).toBe('b')
  })
})

describe('exportTar()', () => {
  const written = async (parts: readonly PlatformFiles[], mtime?: number) => {
    const out = new PassThrough()
    await exportTar(options, parts, out, context, mtime === undefined ? undefined : { mtime })
    return String(out.read())
  }

  it('writes one file system as it is', async () => {
    expect(await written([filesOf('a', undefined)])).toBe('a')
    expect([copied, released]).toEqual([[], 0])
  })

  it('has the helper put several together, where their owners are kept, and lets go of that', async () => {
    const extras = [{ name: 'sbom.json', bytes: Buffer.from('[]') }]
    expect(await written([{ ...filesOf('a', 'linux_a'), extras }, filesOf('b', 'linux_b')], 9)).toBe(
      'together',
    )
    const [actions = []] = copied
    expect(actions.map((action) => [action.kind, 'dest' in action ? action.dest : action.path])).toEqual([
      ['mkdir', '/linux_a'],
      ['copy', '/linux_a/'],
      ['mkfile', '/linux_a/'],
      ['copy', '/linux_a/'],
      ['mkdir', '/linux_b'],
      ['copy', '/linux_b/'],
    ])
    expect(actions[2]).toMatchObject({ name: 'sbom.json', chmod: '0600', mtime: 9, data: 'W10=' })
    // Of the directory alone: its time must not be that of the export.
    expect(actions[3]).toMatchObject({ selection: { exclude: ['*'] } })
    expect(released).toBe(1)
  })

  it('lets go of it also when the copy fails', async () => {
    const native = { ...options.native, copy: () => ({ outcome: Promise.reject(new Error('no')) }) }
    const failing = { ...options, native: native as unknown as Native }
    await expect(exportTar(failing, [filesOf('a', 'linux_a')], new PassThrough(), context)).rejects.toThrow(
      'no',
    )
    expect(released).toBe(1)
  })
})
