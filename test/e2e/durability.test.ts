import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { needs } from '../support/capabilities.ts'
import { check, run, type Tsbuild, tsbuildWith } from '../support/tsbuild.ts'
import { addBusybox, openWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
/** Its steps are all in the store of the workspace. */
let context: string
beforeAll(async () => {
  workspace = openWorkspace('durability')
  await addBusybox(workspace)
  context = workspace.context('app', {
    Dockerfile: 'FROM busybox:test\nCOPY file /file\nRUN cat /file > /copy\nRUN echo done > /done\n',
    file: 'text\n',
  })
  await workspace.tsbuild.check(['-q', '-t', 'app:1.0', context])
})
afterAll(() => workspace?.remove())

let copies = 0
/** A copy of the store, to be damaged. */
async function copyOfStore(): Promise<Tsbuild> {
  const root = workspace.path(`copy-${copies++}`)
  await check('cp', ['-a', '--reflink=auto', workspace.tsbuild.root, root])
  return tsbuildWith(root)
}

/** Regular files below a directory. */
function filesBelow(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

describe('a store of another version', () => {
  it.each([
    ['2', 'Use the newer tsbuild'],
    ['0', 'An older tsbuild made it'],
  ])('of layout %s is refused by name, and nothing in it is touched', async (version, hint) => {
    const root = workspace.path(`layout-${version}`)
    mkdirSync(join(root, `v${version}`), { recursive: true })
    writeFileSync(join(root, 'version'), `${version}\n`)
    const tsbuild = tsbuildWith(root)
    for (const args of [['images'], ['--progress', 'plain', context]]) {
      const { code, stderr } = await tsbuild.run(args)
      expect([code, stderr]).toEqual([3, expect.stringContaining('[ERR_STORE_FORMAT]')])
      expect(stderr).toContain(`its layout is version "${version}", this program knows version 1`)
      expect(stderr).toContain(hint)
    }
    expect(readdirSync(root).toSorted()).toEqual([`v${version}`, 'version'])
  })

  it('whose records have another format runs its steps again, and keeps those of the other version', async () => {
    const tsbuild = await copyOfStore()
    const records = filesBelow(join(tsbuild.root, 'v1/records')).filter((path) =>
      readFileSync(path, 'utf8').includes('"kind": "exec'),
    )
    for (const path of records) {
      const { seal: _, ...record } = JSON.parse(readFileSync(path, 'utf8'))
      writeFileSync(path, JSON.stringify({ ...record, format: 999 }))
    }
    const report = await tsbuild.run(['verify', '--repair', '--format', 'json'])
    expect([report.code, JSON.parse(report.stdout)]).toMatchObject([
      0,
      { findings: [], checked: { foreignRecords: records.length } },
    ])
    expect((await tsbuild.build([context])).executed).toHaveLength(2)
    expect((await tsbuild.build([context])).executed).toEqual([])
  })

  it('of records without seals finds all of them', async () => {
    const tsbuild = await copyOfStore()
    for (const path of filesBelow(join(tsbuild.root, 'v1')).filter((path) => path.endsWith('.json'))) {
      const text = readFileSync(path, 'utf8')
      writeFileSync(path, text.replace(/,"seal":"[0-9a-f]{8}"\}(\s*)$/, '}$1'))
    }
    expect((await tsbuild.build([context])).executed).toEqual([])
    expect((await tsbuild.run(['verify'])).code).toBe(0)
  })
})

/** What may become of the index, all of its files at once. */
const losses: readonly [string, (index: string, original: string) => void][] = [
  ['is deleted', (index) => rmSync(index, { recursive: true })],
  ['is emptied', (index) => every(index, (path) => truncateSync(path))],
  ['ends early', (index) => every(index, (path) => truncateSync(path, statSync(path).size >> 1))],
  ['ends at its last line', (index) => every(index, (path) => truncateSync(path, statSync(path).size - 1))],
  ['is zeros', (index) => every(index, (path) => writeFileSync(path, Buffer.alloc(statSync(path).size)))],
  [
    'is noise',
    (index) => every(index, (path) => writeFileSync(path, Buffer.alloc(statSync(path).size, '\x9d\n{'))),
  ],
  [
    'is a file',
    (index) => {
      rmSync(index, { recursive: true })
      writeFileSync(index, '')
    },
  ],
]

function every(index: string, harm: (path: string) => void): void {
  for (const path of filesBelow(index)) harm(path)
}

/** Why the steps of a build ran, by their names. */
const reasons = (events: Awaited<ReturnType<Tsbuild['build']>>['events']) =>
  events.flatMap((event) => (event.type === 'vertex.missed' ? [event.reason] : []))

describe('the index', () => {
  it.each(losses)('that %s costs no step, and later misses are explained as before', async (_, lose) => {
    const [whole, damaged] = [await copyOfStore(), await copyOfStore()]
    const index = join(damaged.root, 'v1/index')
    expect(filesBelow(index)).not.toEqual([])
    lose(index, join(whole.root, 'v1/index'))
    expect((await damaged.build([context])).executed).toEqual([])
    const edited = workspace.path(`edited-${copies}`)
    cpSync(context, edited, { recursive: true })
    writeFileSync(join(edited, 'file'), 'other\n')
    const [before, after] = [await whole.build([edited]), await damaged.build([edited])]
    expect(before.executed).toHaveLength(3)
    // They are told of when they are durable, in whatever order that is.
    expect(after.executed.toSorted()).toEqual(before.executed.toSorted())
    expect(reasons(after.events)).toEqual(reasons(before.events))
  })
})

describe('--durability=none', () => {
  it('makes no sync, as a flag, in the environment and in the configuration', async (t) => {
    needs(t, 'program strace')
    const config = workspace.path('config')
    mkdirSync(join(config, 'tsbuild'), { recursive: true })
    writeFileSync(join(config, 'tsbuild/config.json'), '{"durability":"none"}')
    const trace = workspace.path('trace')
    const syncs = async (flags: readonly string[], env: Readonly<Record<string, string>>) => {
      const { root } = await copyOfStore()
      const fresh = workspace.context(`fresh-${copies}`, {
        Dockerfile: `FROM busybox:test\nRUN echo ${copies}\n`,
      })
      const calls = 'trace=fsync,fdatasync,sync,syncfs,sync_file_range'
      const args = ['-f', '-qq', '-o', trace, '-e', calls, process.execPath, '--no-warnings']
      const command = join(import.meta.dirname, '../../node_modules/.bin/tsbuild')
      const outcome = await run('strace', [...args, command, ...flags, fresh], {
        env: { TSBUILD_ROOT: root, ...env },
      })
      expect([outcome.code, outcome.stderr]).toEqual([0, expect.any(String)])
      return readFileSync(trace, 'utf8')
        .split('\n')
        .filter((line) => /sync/.test(line) && !/= -1/.test(line)).length
    }
    expect(await syncs([], {})).toBeGreaterThan(0)
    expect(await syncs(['--durability', 'none'], {})).toBe(0)
    expect(await syncs([], { TSBUILD_DURABILITY: 'none' })).toBe(0)
    expect(await syncs([], { XDG_CONFIG_HOME: config })).toBe(0)
  })
})

describe('a store on a read-only file system', () => {
  /** Runs `use` with the store at a mount that cannot be written to. */
  async function readOnly(use: (tsbuild: Tsbuild) => Promise<void>): Promise<void> {
    const { root } = await copyOfStore()
    const place = `${root}-ro`
    mkdirSync(place)
    await check('mount', ['--bind', root, place])
    try {
      await check('mount', ['-o', 'remount,bind,ro', place])
      await use(tsbuildWith(place))
    } finally {
      await check('umount', [place])
    }
  }

  it('can be looked at, verified and exported from', async (t) => {
    needs(t, 'root')
    const archive = workspace.path('from-read-only.tar')
    await readOnly(async (tsbuild) => {
      expect(await tsbuild.check(['images'])).toContain('app')
      expect(await tsbuild.check(['verify'])).toContain('Nothing is damaged.')
      expect(await tsbuild.check(['du'])).toMatch(/\d/)
      expect(await tsbuild.check(['history', 'ls'])).toContain('app')
      const { executed } = await tsbuild.build(['-o', `type=oci,dest=${archive}`, context])
      expect(executed).toEqual([])
      expect(existsSync(archive)).toBe(true)
    })
  })

  it('refuses what has to write, naming the place', async (t) => {
    needs(t, 'root')
    const other = workspace.context('other', { Dockerfile: 'FROM busybox:test\nRUN echo never\n' })
    await readOnly(async (tsbuild) => {
      for (const args of [
        ['--progress', 'plain', other],
        ['rmi', 'app:1.0'],
        ['prune', '--all', '-f'],
      ]) {
        const { code, stderr } = await tsbuild.run(args)
        expect([args, code, stderr]).toEqual([args, 3, expect.stringContaining('[ERR_PERMISSION]')])
        expect(stderr).toContain('the file system is mounted read-only')
        expect(stderr).toContain(tsbuild.root)
        expect(stderr).toContain('Remount it for writing')
      }
    })
  })
})
