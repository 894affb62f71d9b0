import { execFileSync } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, readdirSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { userOf } from '../support/builder-user.ts'
import { findProgram, needs } from '../support/capabilities.ts'
import { check, type Tsbuild, tsbuildWith } from '../support/tsbuild.ts'
import { addBusybox, openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

interface Usage {
  readonly items: readonly {
    readonly id: string
    readonly kind: string
    readonly description: string
    readonly reclaimable: boolean
    readonly reason: { readonly code: string }
  }[]
  readonly kinds: readonly { readonly kind: string; readonly bytes: number; readonly count: number }[]
  readonly totalBytes: number
}
interface Pruned {
  readonly removed: readonly { readonly description: string; readonly reason: { readonly text: string } }[]
  readonly kept: readonly { readonly description: string; readonly reason: { readonly code: string } }[]
  readonly freedBytes: number
  readonly totalBytes: number
}

let workspace: Workspace
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('space')
})
afterAll(() => workspace?.remove())

const usageOf = async (tsbuild: Tsbuild): Promise<Usage> =>
  JSON.parse(await tsbuild.check(['du', '--format', 'json']))
const pruned = async (tsbuild: Tsbuild, ...flags: readonly string[]): Promise<Pruned> =>
  JSON.parse(await tsbuild.check(['prune', '--format', 'json', ...flags]))
/** What `du` says, which counts a file with two names once. */
const onDisk = (root: string) =>
  Number(/^\d+/.exec(execFileSync('du', ['-s', '--block-size=1', root]).toString())?.[0])
const snapshots = ({ root }: Pick<Tsbuild, 'root'>) => readdirSync(join(root, 'v1/snapshots'))
const records = ({ root }: Tsbuild) =>
  readdirSync(join(root, 'v1/records')).flatMap((shard) => readdirSync(join(root, 'v1/records', shard)))
const instruction = (name: string) => /(RUN|COPY) .*/.exec(name)?.[0] ?? name

/** A store of its own with the base image, so that nothing else is in it. */
async function emptyStore(name: string): Promise<Tsbuild> {
  const tsbuild = tsbuildWith(workspace.path(name))
  await addBusybox({ ...workspace, tsbuild })
  return tsbuild
}

const links = [
  'FROM busybox:test AS tools',
  'RUN --mount=type=cache,target=/c dd if=/dev/urandom of=/one bs=1M count=4 && ln /one /two && cp /one /c/',
  'FROM busybox:test',
  'COPY --from=tools /one /one',
  'COPY file /file',
].join('\n')

describe('tsbuild du', () => {
  it('agrees with the disk within 1 %, also after a prune', async () => {
    const tsbuild = await emptyStore('du')
    const context = workspace.context('du-context', { Dockerfile: links, file: 'x'.repeat(100_000) })
    await tsbuild.check(['-q', '-t', 'app:1.0', context])
    await tsbuild.run([workspace.context('du-failing', { Dockerfile: 'FROM busybox:test\nRUN false\n' })])
    const whole = await usageOf(tsbuild)
    expect(Math.abs(whole.totalBytes / onDisk(tsbuild.root) - 1)).toBeLessThan(0.01)
    expect(whole.kinds.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(whole.totalBytes)
    const counts = Object.fromEntries(whole.kinds.map(({ kind, count }) => [kind, count]))
    expect(counts).toMatchObject({ regular: 7, image: 2, 'exec.cachemount': 1, failure: 1 })
    const kept = whole.items.filter(({ reclaimable }) => !reclaimable).map(({ kind }) => kind)
    expect(new Set(kept)).toEqual(new Set(['image', 'history', 'internal']))
    await tsbuild.check(['prune', '--force'])
    const left = await usageOf(tsbuild)
    expect(left.totalBytes).toBeLessThan(whole.totalBytes - 4 * 2 ** 20)
    expect(Math.abs(left.totalBytes / onDisk(tsbuild.root) - 1)).toBeLessThan(0.01)
  })

  it('shows a table of items, and sums by kind', async () => {
    const context = workspace.context('table', { Dockerfile: 'FROM busybox:test\nRUN echo table > /file\n' })
    await workspace.tsbuild.check(['-q', context])
    const text = await workspace.tsbuild.check(['du', '--filter', 'type=regular'])
    expect(text).toMatch(/^ID +TYPE +RECLAIMABLE +SIZE +LAST USED +DESCRIPTION$/m)
    expect(text).toMatch(/^[0-9a-f]{12} +regular +true .*RUN echo table > \/file$/m)
    expect(text).toMatch(/^TYPE +COUNT +SIZE +SHARED +RECLAIMABLE$/m)
    expect(text).not.toMatch(/ image /)
    const verbose = await workspace.tsbuild.check(['du', '-v', '--filter', 'description~=RUN echo table'])
    expect(verbose).toMatch(/^To make again: +\d+\.\d s$/m)
  })

  it('names the fields that there are for a filter that is none', async () => {
    const { code, stderr } = await workspace.tsbuild.run(['du', '--filter', 'typ=regular'])
    expect(code).toBe(2)
    expect(stderr).toContain('there is no field "typ"')
    expect(stderr).toContain('Did you mean `type`?')
  })
})

describe('tsbuild prune', () => {
  it('removes nothing with --dry-run, and says why each thing would go or stay', async () => {
    const tsbuild = await emptyStore('dry')
    const context = workspace.context('dry-context', {
      Dockerfile: 'FROM busybox:test\nRUN echo below > /below\nRUN echo above > /above\n',
    })
    await tsbuild.check(['-q', context])
    const before = execFileSync('find', [join(tsbuild.root, 'v1'), '-printf', '%P %i\n']).toString()
    const { removed, kept, freedBytes } = await pruned(tsbuild, '--dry-run')
    expect(execFileSync('find', [join(tsbuild.root, 'v1'), '-printf', '%P %i\n']).toString()).toBe(before)
    expect(
      removed.map(({ description }) => instruction(description)).filter((name) => /RUN/.test(name)),
    ).toEqual(['RUN echo above > /above', 'RUN echo below > /below'])
    expect(removed[0]?.reason.text).toMatch(/^unused for \S+ (s|min)$/)
    expect(freedBytes).toBeGreaterThan(0)
    expect(kept.find(({ description }) => description === 'busybox:test')?.reason.code).toBe('fixed')
    const recent = await pruned(tsbuild, '--dry-run', '--older-than', '1h')
    expect(recent.removed).toEqual([])
    expect(new Set(recent.kept.map(({ reason }) => reason.code))).toContain('recent')
    expect((await pruned(tsbuild, '--dry-run', '--filter', 'type=failure')).removed).toEqual([])
    const text = await tsbuild.check(['prune', '--dry-run', '-v'])
    expect(text).toMatch(/^would remove [0-9a-f]{12} \S+ .*RUN echo above .* \(unused for .*\)$/m)
    expect(text).toMatch(/^would keep busybox:test /m)
  })

  it('keeps the steps of named images, and with --all only the images', async () => {
    const tsbuild = await emptyStore('named')
    const named = workspace.context('named-context', {
      Dockerfile: 'FROM busybox:test\nRUN echo kept > /kept\nCMD ["cat", "/kept"]\n',
    })
    const other = workspace.context('other-context', {
      Dockerfile: 'FROM busybox:test\nRUN echo gone > /gone\n',
    })
    await tsbuild.check(['-q', '-t', 'named:1.0', named])
    await tsbuild.check(['-q', other])
    await tsbuild.check(['prune', '-f'])
    expect((await tsbuild.build([named])).executed).toEqual([])
    const again = await tsbuild.build([other])
    expect(again.executed).toHaveLength(1)
    const reason = again.events.find((event) => event.type === 'vertex.missed')
    expect(reason).toMatchObject({ reason: { code: 'evicted' } })
    await tsbuild.check(['prune', '-af'])
    expect([snapshots(tsbuild), records(tsbuild)]).toEqual([[], []])
    expect(await tsbuild.check(['run', 'named:1.0'])).toBe('kept\n')
    await tsbuild.check(['rmi', 'named:1.0', 'busybox:test'])
    await tsbuild.check(['prune', '-af'])
    expect(readdirSync(join(tsbuild.root, 'v1/blobs/sha256'))).toEqual([])
  })

  it('asks where there is a terminal, and refuses where there is none', async () => {
    const { code, stderr, stdout } = await workspace.tsbuild.run(['prune', '-a'], { input: 'y\n' })
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toContain('standard input is no terminal')
    expect(stderr).toContain('--force')
  })

  it('stops at a limit', async () => {
    const tsbuild = await emptyStore('limit')
    const context = workspace.context('limit-context', {
      Dockerfile: [1, 2, 3, 4]
        .map((at) => `FROM busybox:test AS s${at}\nRUN dd if=/dev/urandom of=/big bs=1M count=${at}\n`)
        .concat(
          'FROM scratch\nCOPY --from=s1 /big /1\nCOPY --from=s2 /big /2\nCOPY --from=s3 /big /3\nCOPY --from=s4 /big /4',
        )
        .join(''),
    })
    await tsbuild.check(['-q', context])
    const { totalBytes } = await usageOf(tsbuild)
    const limit = totalBytes - 9 * 2 ** 20
    const kept = await pruned(tsbuild, '-f', '--max-used-space', String(limit))
    expect(kept.totalBytes).toBeLessThanOrEqual(limit)
    // Not a step more than it had to: the largest has 4 MiB, and a layer as large.
    expect(kept.totalBytes).toBeGreaterThan(limit - 8.5 * 2 ** 20)
    expect(
      kept.removed.every(({ reason }) => /^(least valuable|nothing else needs it)/.test(reason.text)),
    ).toBe(true)
    expect(Math.abs(onDisk(tsbuild.root) / kept.totalBytes - 1)).toBeLessThan(0.01)
  })

  it('never takes what builds use: prune --all in a loop beside four builds (GC-01)', async () => {
    const tsbuild = await emptyStore('loop')
    const rounds = 5
    const contexts = [0, 1, 2, 3].map((at) =>
      workspace.context(`loop-${at}`, {
        Dockerfile: [
          'FROM busybox:test AS tools',
          `RUN echo ${at} > /tool`,
          'FROM busybox:test',
          `RUN --mount=type=cache,target=/c echo ${at} > /file && cp /file /c/`,
          'COPY --from=tools /tool /tool',
          'RUN cat /file /tool > /both',
          'CMD ["cat", "/both"]',
        ].join('\n'),
      }),
    )
    let building = contexts.length
    const failed: string[] = []
    const builders = contexts.map(async (context, at) => {
      for (let round = 0; round < rounds; round++) {
        const { code, stderr } = await tsbuild.run(['--progress', 'plain', '-t', `loop${at}:1.0`, context])
        if (code !== 0) failed.push(stderr)
      }
      building--
    })
    let prunes = 0
    const pruner = async () => {
      for (; building > 0; prunes++) await tsbuild.check(['prune', '-af'])
    }
    await Promise.all([...builders, pruner()])
    expect(failed).toEqual([])
    expect(prunes).toBeGreaterThan(rounds)
    for (const at of contexts.keys())
      expect(await tsbuild.check(['run', `loop${at}:1.0`])).toBe(`${at}\n${at}\n`)
    await tsbuild.check(['prune', '-af'])
    expect([snapshots(tsbuild), records(tsbuild)]).toEqual([[], []])
    expect((await usageOf(tsbuild)).kinds.map(({ kind }) => kind)).toEqual(['image', 'history', 'internal'])
  }, 300_000)

  it('leaves a store that works wherever it is killed', async () => {
    const tsbuild = await emptyStore('killed')
    const steps = Array.from({ length: 6 }, (_, at) => `RUN echo ${at} > /f${at}`)
    const context = workspace.context('killed-context', {
      Dockerfile: ['FROM busybox:test', ...steps].join('\n'),
    })
    for (const delayMs of [0, 60, 120, 180, 240]) {
      await tsbuild.check(['-q', '-t', 'killed:1.0', context])
      const { child, outcome } = tsbuild.start(['prune', '-af'])
      await new Promise((resolve) => setTimeout(resolve, delayMs))
      child.kill('SIGKILL')
      await outcome
    }
    await tsbuild.check(['-q', '-t', 'killed:1.0', context])
    expect(await tsbuild.check(['run', 'killed:1.0', 'cat', '/f5'])).toBe('5\n')
    await tsbuild.check(['prune', '-af'])
    expect([snapshots(tsbuild), records(tsbuild)]).toEqual([[], []])
    expect(readdirSync(join(tsbuild.root, 'v1/ingest'))).toEqual([])
  }, 120_000)
})

describe('an ordinary user', () => {
  it('counts and removes files of subordinate ids, which it may not even read', async (t) => {
    const user = userOf('an ordinary user')
    user.needed(t)
    const folder = workspace.path('rootless')
    mkdirSync(folder)
    const context = workspace.context('rootless/context', {
      Dockerfile: [
        'FROM scratch',
        'COPY --chmod=755 busybox /bin/busybox',
        'RUN ["/bin/busybox", "--install", "-s", "/bin"]',
        'RUN mkdir -m 700 /theirs && dd if=/dev/urandom of=/theirs/big bs=1M count=3 && chown -R 42:43 /theirs',
      ].join('\n'),
    })
    copyFileSync(findProgram('busybox') ?? '/bin/busybox', join(context, 'busybox'))
    await user.giveTo(folder)
    const root = join(folder, 'store')
    const options = { env: { TSBUILD_ROOT: root, HOME: folder }, cwd: folder }
    const as = (...args: readonly string[]) => {
      const [program, ...rest] = user.commandLine(args)
      return check(program, rest, options)
    }
    await as('-q', '-t', 'theirs:1.0', context)
    const whole: Usage = JSON.parse(await as('du', '--format', 'json'))
    expect(Math.abs(whole.totalBytes / onDisk(root) - 1)).toBeLessThan(0.01)
    await as('prune', '-af')
    expect(snapshots({ root })).toEqual([])
    expect(readdirSync(join(root, 'v1/ingest'))).toEqual([])
    const left: Usage = JSON.parse(await as('du', '--format', 'json'))
    expect(left.totalBytes).toBeLessThan(whole.totalBytes - 3 * 2 ** 20)
    expect(await as('run', 'theirs:1.0', 'stat', '-c', '%u:%g', '/theirs')).toBe('42:43\n')
  })
})

describe('the automatic collection', () => {
  const writing = (size: number, salt: number) =>
    `FROM busybox:test\nRUN dd if=/dev/urandom of=/big bs=1M count=${size} && echo ${salt}\n`

  it('holds the store under its limit, and says what it freed', async () => {
    const tsbuild = await emptyStore('auto')
    const env = { TSBUILD_MAX_USED_SPACE: '30m' }
    const said: string[] = []
    for (const salt of [1, 2, 3, 4, 5]) {
      const context = workspace.context(`auto-${salt}`, { Dockerfile: writing(10, salt) })
      const { code, stderr } = await tsbuild.run(['--progress', 'plain', context], { env })
      expect(code).toBe(0)
      said.push(stderr)
      // As if a minute had gone by since somebody counted.
      const account = join(tsbuild.root, 'v1/index/account.json')
      if (existsSync(account)) execFileSync('rm', [account])
      expect(onDisk(tsbuild.root)).toBeLessThanOrEqual(30 * 2 ** 20)
    }
    expect(said.join('')).toMatch(/freed \S+, \S+ items?: the store was over its limit of 31\.5MB/)
    expect(said[0]).not.toContain('free disk space')
  })

  /** A store on a file system of 96 MiB with 70 MiB of what nobody needs, and so much free. */
  async function onFullDisk(name: string, freeBytes: number, use: (tsbuild: Tsbuild) => Promise<void>) {
    const image = workspace.path(`${name}.img`)
    const mountPoint = workspace.path(name)
    mkdirSync(mountPoint)
    await check('truncate', ['--size', '96M', image])
    await check('/sbin/mkfs.ext4', ['-q', '-m', '0', image])
    await check('mount', ['-o', 'loop', image, mountPoint])
    try {
      const tsbuild = tsbuildWith(join(mountPoint, 'store'))
      await addBusybox({ ...workspace, tsbuild })
      // Fills the disk: nobody collects.
      const settings = workspace.context(`${name}-settings`, {
        'tsbuild/config.json': '{"maxUsedSpace":"unlimited","minFreeSpace":"0"}',
      })
      for (const salt of [1, 2, 3]) {
        const context = workspace.context(`${name}-${salt}`, { Dockerfile: writing(10, salt) })
        await tsbuild.check(['-q', context], { env: { XDG_CONFIG_HOME: settings } })
      }
      const { bavail, bsize } = statfsSync(mountPoint)
      await check('fallocate', ['-l', String(bavail * bsize - freeBytes), join(mountPoint, 'of others')])
      await use(tsbuild)
    } finally {
      await check('umount', [mountPoint])
    }
  }

  it('makes room before a step where the disk is full of what nobody needs (DISK-05)', async (t) => {
    needs(t, 'root', 'loop devices')
    await onFullDisk('short', 6 * 2 ** 20, async (tsbuild) => {
      const context = workspace.context('short-last', { Dockerfile: writing(8, 5) })
      const { code, stderr } = await tsbuild.run(['--progress', 'plain', '-t', 'last:1.0', context])
      expect(stderr).toMatch(/freed \S+, \S+ items?: less than \S+ of the disk were free/)
      expect(stderr.indexOf('free disk space')).toBeLessThan(stderr.indexOf('exporting to image'))
      expect(code).toBe(0)
      const size = await tsbuild.check(['run', 'last:1.0', 'stat', '-c', '%s', '/big'])
      expect(Number(size)).toBe(8 * 2 ** 20)
    })
  })

  it('makes room for a step that found too little, and runs it again', async (t) => {
    needs(t, 'root', 'loop devices')
    await onFullDisk('full', 12 * 2 ** 20, async (tsbuild) => {
      const context = workspace.context('full-last', { Dockerfile: 'FROM busybox:test\nCOPY big /big\n' })
      await check('dd', ['if=/dev/urandom', `of=${join(context, 'big')}`, 'bs=1M', 'count=16', 'status=none'])
      const { code, stderr } = await tsbuild.run(['--progress', 'plain', context])
      expect(stderr).toMatch(/freed \S+, \S+ items?: a step found no room on the disk/)
      expect(code).toBe(0)
      expect((await tsbuild.build([context])).cached.map(instruction)).toEqual(['COPY big /big'])
    })
  })
})
