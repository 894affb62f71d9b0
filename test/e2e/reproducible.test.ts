import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  copyFileSync,
  lutimesSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { contextFiles, dockerfiles } from '../reproducible/dockerfiles.ts'
import { type User, userOf } from '../support/builder-user.ts'
import { findProgram, needs } from '../support/capabilities.ts'
import { repository } from '../support/repository.ts'
import { check, run } from '../support/tsbuild.ts'
import { storesFolder } from '../support/workspace.ts'

/** 2023-11-14: before the times of every checkout. */
const epoch = 1_700_000_000
const names = Object.keys(dockerfiles)

/** The digest of the manifest of each image. A change of one is a change of what users get: see docs/dev/reproducible.md. */
const goldenPath = join(repository, 'test/reproducible/golden.json')
const golden: Record<string, string> = JSON.parse(readFileSync(goldenPath, 'utf8'))

/** How a machine differs from others: nothing of it may be seen in an image. */
interface MachineOptions {
  readonly name: string
  readonly user: User
  /** Where its store is. */
  readonly folder: string
  readonly env: Readonly<Record<string, string>>
  /** Put before the command. */
  readonly prefix: readonly string[]
  readonly umask: number
  /** Files are made in this order: that of names, or the other way round. */
  readonly order: 1 | -1
  /** Of its checkout, Unix seconds. */
  readonly checkedOutAt: number
}

interface Machine {
  readonly user: User
  readonly build: (name: string, ...flags: readonly string[]) => Promise<string>
  readonly remove: () => void
}

async function startMachine(options: MachineOptions): Promise<Machine> {
  const folder = mkdtempSync(join(options.folder, `tsbuild-${options.name}-`))
  chmodSync(folder, 0o755)
  makeCheckout(folder, options)
  await options.user.giveTo(folder)
  const metadata = join(folder, 'metadata.json')
  return {
    user: options.user,
    async build(name, ...flags) {
      const arguments_ = [
        ...[
          '--root',
          join(folder, 'store'),
          '-f',
          join(folder, 'dockerfiles', name),
          '--metadata-file',
          metadata,
        ],
        ...[
          '--build-context',
          `tools=${join(folder, 'tools')}`,
          '--build-context',
          `more=${join(folder, 'more')}`,
        ],
        ...['--progress', 'none', '-t', `golden:${name}`, ...flags, join(folder, 'context')],
      ]
      const [program, ...rest] = [...options.prefix, ...options.user.commandLine(arguments_)] as [
        string,
        ...string[],
      ]
      const outcome = await run(program, rest, { env: { ...options.env, SOURCE_DATE_EPOCH: String(epoch) } })
      if (outcome.code !== 0) throw new Error(`${name} on ${options.name}: ${outcome.stderr}`)
      return JSON.parse(readFileSync(metadata, 'utf8'))['containerimage.digest']
    },
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

function makeCheckout(folder: string, { umask, order, checkedOutAt }: MachineOptions): void {
  const before = process.umask(umask)
  try {
    const entries = Object.entries(contextFiles).sort(([a], [b]) => (a < b ? -order : order))
    for (const [name, file] of entries) {
      const path = join(folder, name)
      mkdirSync(dirname(path), { recursive: true })
      if (typeof file !== 'string' && 'link' in file) symlinkSync(file.link, path)
      else if (typeof file === 'string') writeFileSync(path, file)
      else writeFileSync(path, file.text, { mode: 0o777 })
    }
    mkdirSync(join(folder, 'dockerfiles'))
    for (const [name, lines] of Object.entries(dockerfiles))
      writeFileSync(join(folder, 'dockerfiles', name), `${lines.join('\n')}\n`)
  } finally {
    process.umask(before)
  }
  // An archive is input: its bytes are the same everywhere.
  execFileSync('tar', [
    ...[
      '--sort=name',
      `--mtime=@${epoch + 5}`,
      '--owner=0',
      '--group=0',
      '--numeric-owner',
      '--mode=u+rwX,go+rX-w',
    ],
    ...['-C', join(folder, 'context'), '-cf', join(folder, 'packed.tar'), 'src', 'data/link', 'data/a.txt'],
  ])
  copyFileSync(join(folder, 'packed.tar'), join(folder, 'context', 'packed.tar'))
  chmodSync(join(folder, 'context', 'packed.tar'), 0o666 & ~umask)
  makeTools(join(folder, 'tools'))
  touchAll(join(folder, 'context'), checkedOutAt)
}

function makeTools(folder: string): void {
  const busybox = findProgram('busybox')
  if (busybox === undefined)
    throw new Error('busybox is not installed: scripts/setup.sh test installs busybox-static')
  mkdirSync(folder)
  copyFileSync(busybox, join(folder, 'busybox'))
  chmodSync(join(folder, 'busybox'), 0o755)
  const applets = execFileSync(busybox, ['--list'], { encoding: 'utf8' }).split('\n')
  for (const applet of applets)
    if (applet !== '' && applet !== 'busybox') symlinkSync('busybox', join(folder, applet))
}

/** @param at Unix seconds, with a fraction: what checks out takes the time of a clock */
function touchAll(folder: string, at: number): void {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) touchAll(path, at)
    lutimesSync(path, at, at)
  }
}

let here: Machine
let elsewhere: Machine

beforeAll(async () => {
  here = await startMachine({
    name: 'here',
    user: userOf('root'),
    folder: storesFolder,
    env: { TZ: 'UTC', LANG: 'C.UTF-8' },
    prefix: [],
    umask: 0o022,
    order: 1,
    checkedOutAt: epoch + 86_400.25,
  })
  elsewhere = await startMachine({
    name: 'elsewhere',
    user: userOf('an ordinary user'),
    // Another file system: memory.
    folder: process.env.TSBUILD_TEST_MEMORY ?? '/dev/shm',
    env: { TZ: 'Asia/Kathmandu', LANG: 'tr_TR.UTF-8', LC_ALL: 'tr_TR.UTF-8', TSBUILD_DURABILITY: 'none' },
    // One processor, and a host of another name.
    prefix: ['unshare', '--uts', 'sh', '-c', 'hostname elsewhere && exec taskset -c 0 "$@"', 'sh'],
    umask: 0o077,
    order: -1,
    checkedOutAt: epoch + 3_333_333.5,
  })
})
afterAll(() => {
  here?.remove()
  elsewhere?.remove()
})

describe('with SOURCE_DATE_EPOCH an image has the same bytes', () => {
  const seen: Record<string, string> = {}

  it.each(names)(
    '%s: as root, as an ordinary user on another machine, and as it always had',
    async (name) => {
      const [first, second] = await Promise.all([here.build(name), elsewhere.build(name)])
      seen[name] = first
      expect(second).toBe(first)
      if (process.env.GOLDEN_UPDATE !== 'yes') expect(first).toBe(golden[name])
    },
  )

  it('is told here for as many images as there are', () => {
    if (process.env.GOLDEN_UPDATE === 'yes')
      writeFileSync(goldenPath, `${JSON.stringify(seen, undefined, 2)}\n`)
    else expect(Object.keys(golden)).toEqual(names)
    expect(names.length).toBeGreaterThanOrEqual(40)
  })

  it('through the cache, and when everything is made again at another time', async () => {
    for (const name of names) {
      expect([name, await here.build(name)]).toEqual([name, seen[name]])
      expect([name, await here.build(name, '--no-cache')]).toEqual([name, seen[name]])
    }
  })

  it('with an epoch that is newer than what is in the cache', async () => {
    const newer = ['--build-arg', `SOURCE_DATE_EPOCH=${Math.floor(Date.now() / 1000) + 86_400}`]
    for (const name of ['copy-directory', 'run-owners', 'run-several-blocks', 'stages', 'stages-linked']) {
      const [cached, again] = await Promise.all([
        here.build(name, ...newer),
        elsewhere.build(name, '--no-cache', ...newer),
      ])
      expect([name, again]).toEqual([name, cached])
      expect(cached).not.toBe(seen[name])
    }
  })

  it('with half of its steps in the cache', async () => {
    for (const name of names.filter((one) => one.startsWith('stages')))
      expect([name, await here.build(name, '--no-cache-filter', '0,one,b,c')]).toEqual([name, seen[name]])
  })
})

describe('what skopeo makes of it', () => {
  it('is an image of that digest', async (test) => {
    needs(test, 'program skopeo')
    const archive = join(mkdtempSync(join(tmpdir(), 'tsbuild-golden-')), 'image.tar')
    const digest = await here.build('stages', '-o', `type=oci,dest=${archive}`)
    const raw = await check('skopeo', ['inspect', '--format', '{{.Digest}}', `oci-archive:${archive}`])
    rmSync(dirname(archive), { recursive: true })
    expect(raw.trim()).toBe(digest)
  })
})
