import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { userOf } from '../support/builder-user.ts'
import { findProgram, needs } from '../support/capabilities.ts'
import { check, command, run, type Tsbuild, tsbuildWith } from '../support/tsbuild.ts'
import { openBusyboxWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let context: string
beforeAll(async () => {
  workspace = await openBusyboxWorkspace('verify')
  context = workspace.context('app', {
    Dockerfile: 'FROM busybox:test\nRUN echo one > /one\nCOPY file /file\n',
    file: 'text\n',
  })
  await workspace.tsbuild.check(['-q', '-t', 'app:1.0', context])
})
afterAll(() => workspace?.remove())

let copies = 0
async function copyOfStore(): Promise<Tsbuild> {
  const root = workspace.path(`copy-${copies++}`)
  await check('cp', ['-a', '--reflink=auto', workspace.tsbuild.root, root])
  return tsbuildWith(root)
}

/** The largest blob: that of busybox. */
function largestBlob(root: string): string {
  const directory = join(root, 'v1/blobs/sha256')
  const sized = readdirSync(directory).map(
    (name) => [readFileSync(join(directory, name)).length, name] as const,
  )
  return join(directory, sized.toSorted(([a], [b]) => b - a)[0]?.[1] ?? '')
}

/** The blob of the layer that the last step of `app:1.0` made. */
async function topLayer(tsbuild: Tsbuild): Promise<string> {
  const blob = (digest: string) => join(tsbuild.root, 'v1/blobs/sha256', digest.slice('sha256:'.length))
  const images = JSON.parse(await tsbuild.check(['images', '--format', 'json']))
  const app = images.find(({ name }: { name: string }) => name.includes('app'))
  return blob(JSON.parse(readFileSync(blob(app.descriptor.digest), 'utf8')).layers.at(-1).digest)
}

/** The one file below the snapshots that has this path in its tree. */
function inSnapshots(root: string, file: string): string {
  const snapshots = join(root, 'v1/snapshots')
  const found = readdirSync(snapshots).map((id) => join(snapshots, id, 'fs', file))
  return found.find((path) => existsSync(path)) ?? ''
}

interface Report {
  readonly sound: boolean
  readonly findings: readonly { readonly kind: string; readonly path: string; readonly outcome?: string }[]
}

async function report(
  tsbuild: Tsbuild,
  ...flags: readonly string[]
): Promise<Report & { readonly code: number | null }> {
  const { code, stdout, stderr } = await tsbuild.run(['verify', '--format', 'json', ...flags])
  if (stdout === '') throw new Error(stderr)
  return { code, ...JSON.parse(stdout) }
}

describe('tsbuild verify', () => {
  it('names a file that changed in a step, mends it, and only that step runs again', async () => {
    const tsbuild = await copyOfStore()
    writeFileSync(inSnapshots(tsbuild.root, 'one'), 'ONE\n')
    const said = await tsbuild.run(['verify'])
    expect(said.code).toBe(1)
    expect(said.stdout).toMatch(/^damaged {2}snapshot v1\/snapshots\/[0-9a-f]{32}: its files are not those/m)
    expect((await tsbuild.run(['verify', '--repair'])).code).toBe(0)
    expect(await report(tsbuild)).toMatchObject({ code: 0, findings: [] })
    const { executed, cached } = await tsbuild.build(['-t', 'app:1.0', context])
    expect([executed.length, cached.length]).toEqual([1, 1])
    const out = workspace.path('out')
    await tsbuild.check(['-q', '-o', out, context])
    expect(readFileSync(join(out, 'one'), 'utf8')).toBe('one\n')
  })

  it('makes a layer of an image again from the files of its snapshot', async () => {
    const tsbuild = await copyOfStore()
    const path = largestBlob(tsbuild.root)
    const whole = readFileSync(path)
    chmodSync(path, 0o644)
    writeFileSync(path, Buffer.concat([whole.subarray(0, 100), Buffer.from('rot'), whole.subarray(103)]))
    expect((await report(tsbuild)).findings.map(({ kind }) => kind)).toEqual(['blob', 'image', 'image'])
    expect(await report(tsbuild, '--repair')).toMatchObject({ code: 0, sound: true })
    expect(readFileSync(path)).toEqual(whole)
    expect(await tsbuild.check(['run', 'app:1.0', 'cat', '/one'])).toBe('one\n')
  })

  it('takes the name of an image whose manifest is gone', async () => {
    const tsbuild = await copyOfStore()
    const images = JSON.parse(await tsbuild.check(['images', '--format', 'json']))
    const app = images.find(({ name }: { name: string }) => name.includes('app'))
    rmSync(join(tsbuild.root, 'v1/blobs/sha256', app.descriptor.digest.slice('sha256:'.length)))
    expect(await report(tsbuild, '--repair')).toMatchObject({
      code: 0,
      findings: [{ kind: 'image', outcome: 'repaired' }],
    })
    expect(await tsbuild.check(['images'])).not.toContain('app')
    expect((await tsbuild.build(['-t', 'app:1.0', context])).executed).toEqual([])
    expect(await tsbuild.check(['images'])).toContain('app')
  })

  it('goes on beside a build, which it takes nothing from', async () => {
    const tsbuild = await copyOfStore()
    const slow = workspace.context('slow', {
      Dockerfile: [
        'FROM busybox:test',
        'RUN echo first > /first',
        'RUN echo waiting; sleep 6; cat /first > /second',
      ].join('\n'),
    })
    const building = tsbuild.start(['--progress', 'plain', slow])
    await building.saw(/waiting/)
    for (const flags of [[], ['--repair'], ['--repair']])
      expect(await report(tsbuild, ...flags)).toMatchObject({ code: 0, findings: [] })
    expect((await building.outcome).code).toBe(0)
    expect((await tsbuild.build([slow])).executed).toEqual([])
  })

  it('compares layers that came with an image, too', async () => {
    const [archive, layout] = [workspace.path('base.tar'), workspace.path('base')]
    await workspace.tsbuild.check(['-q', '-t', 'app:1.0', '-o', `type=oci,dest=${archive}`, context])
    mkdirSync(layout)
    await check('tar', ['-xf', archive, '-C', layout])
    const tsbuild = tsbuildWith(workspace.path('pulled'))
    const upon = workspace.context('upon', { Dockerfile: 'FROM base\nRUN cat /one > /copy\n' })
    const args = ['--build-context', `base=oci-layout://${layout}`, '-t', 'upon:1.0', upon]
    await tsbuild.build(args)
    expect(await report(tsbuild)).toMatchObject({ code: 0, checked: { withoutDigest: 0 } })
    writeFileSync(inSnapshots(tsbuild.root, 'one'), 'two\n')
    expect((await report(tsbuild, '--repair')).findings).toMatchObject([
      { kind: 'snapshot', outcome: 'repaired' },
      { kind: 'record', outcome: 'repaired' },
    ])
    expect((await tsbuild.build(args)).executed).toEqual([])
    expect(await tsbuild.check(['run', 'upon:1.0', 'cat', '/one'])).toBe('one\n')
  })

  it('says that there is no store, and makes none', async () => {
    const root = workspace.path('nothing')
    const { code, stderr } = await tsbuildWith(root).run(['verify', '--repair'])
    expect([code, stderr]).toEqual([3, expect.stringContaining('[ERR_STORE_OPEN]')])
    expect(existsSync(root)).toBe(false)
  })

  it('works for an ordinary user, whose steps make files of other users', async (t) => {
    const user = userOf('an ordinary user')
    user.needed(t)
    const place = workspace.path('of-the-user')
    mkdirSync(join(place, 'context'), { recursive: true })
    copyFileSync(findProgram('busybox') ?? '', join(place, 'context/busybox'))
    writeFileSync(
      join(place, 'context/Dockerfile'),
      [
        'FROM scratch',
        'COPY --chmod=755 busybox /bin/busybox',
        'SHELL ["/bin/busybox", "sh", "-c"]',
        'RUN busybox echo mine > /mine; busybox chown 7:7 /mine; busybox chmod 600 /mine',
      ].join('\n'),
    )
    await user.giveTo(place)
    const root = join(place, 'store')
    const as = async (...args: readonly string[]) => {
      const [program, ...rest] = user.commandLine(args)
      return await run(program, rest, { env: { TSBUILD_ROOT: root, HOME: place } })
    }
    const build = ['--progress', 'plain', '--network', 'none', '-t', 'mine:1.0', join(place, 'context')]
    expect(await as(...build)).toMatchObject({ code: 0 })
    expect(await as('verify')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing is damaged.'),
    })
    writeFileSync(inSnapshots(root, 'mine'), 'MINE')
    const found = await as('verify', '--repair')
    expect(found).toMatchObject({ code: 0, stdout: expect.stringContaining('its files are not those') })
    expect(await as('verify')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('Nothing is damaged.'),
    })
    expect((await as(...build)).code).toBe(0)
    expect(readFileSync(inSnapshots(root, 'mine'), 'utf8')).toBe('mine\n')
  })
})

describe('a blob that the disk cannot read', () => {
  it('is taken out, and the next build makes it again', async (t) => {
    needs(t, 'program strace')
    const tsbuild = await copyOfStore()
    const blob = await topLayer(tsbuild)
    const archive = workspace.path('eio.tar')
    const flags = ['-o', `type=oci,dest=${archive}`, context]
    const inject = ['-f', '-qq', '-o', '/dev/null', '-P', blob, '-e', 'inject=read,pread64:error=EIO']
    const failed = await run('strace', [...inject, command, '--progress', 'plain', ...flags], {
      env: { TSBUILD_ROOT: tsbuild.root },
    })
    expect([failed.code, failed.stderr]).toEqual([3, expect.stringContaining('[ERR_STORE_CORRUPT]')])
    expect([existsSync(blob), existsSync(archive)]).toEqual([false, false])
    expect(readdirSync(join(tsbuild.root, 'v1/quarantine'))).toHaveLength(1)
    expect((await tsbuild.build(flags)).executed).toEqual([])
    expect([existsSync(blob), existsSync(archive)]).toEqual([true, true])
  })
})
