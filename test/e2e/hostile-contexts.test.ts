import { execFileSync } from 'node:child_process'
import { existsSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type SourceServer, startSourceServer } from '../support/source-server.ts'
import { makeTar, type TarEntry } from '../support/tar.ts'
import { describeTree } from '../support/tree.ts'
import { makeCanary, openWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
let server: SourceServer
const canary = makeCanary()
const up = '../'.repeat(12)
const outside = canary.slice(1)

beforeAll(async () => {
  workspace = openWorkspace('hostile-contexts')
  server = await startSourceServer(workspace.path('git'))
})
afterAll(async () => {
  await server?.stop()
  await workspace?.remove()
  rmSync(canary, { recursive: true })
})

/** Adds an archive to nothing, and proves that the machine is as it was. */
async function add(entries: readonly TarEntry[]) {
  const before = await describeTree(canary)
  const context = workspace.context('add', { Dockerfile: 'FROM scratch\nADD evil.tar /t/\n' })
  writeFileSync(join(context, 'evil.tar'), makeTar(entries))
  const outcome = await workspace.tsbuild.run(['--progress', 'plain', context])
  expect(await describeTree(canary)).toEqual(before)
  return outcome
}

describe('ADD of an archive', () => {
  const refused: readonly (readonly [string, readonly TarEntry[], string])[] = [
    ['a hard link with ..', [{ name: 'h', type: '1', link: `${up}${outside}/kept` }], 'does not exist'],
    ['an absolute hard link', [{ name: 'h', type: '1', link: `${canary}/kept` }], 'does not exist'],
    [
      'a hard link through a symlink',
      [
        { name: 's', type: '2', link: canary },
        { name: 'h', type: '1', link: 's/kept' },
      ],
      'does not exist',
    ],
    ['a hard link to itself', [{ name: 'a', type: '1', link: 'a' }], 'does not exist'],
    ['a symlink in the place of the destination', [{ name: './', type: '2', link: canary }], 'destination'],
    [
      'a loop of symlinks',
      [
        { name: 'a', type: '2', link: 'b' },
        { name: 'b', type: '2', link: 'a' },
        { name: 'a/x', data: 'x' },
      ],
      'more than 40 symlinks',
    ],
    ['a whiteout device', [{ name: 'w', type: '3', device: [0, 0] }], 'whiteout'],
    ['a symlink without a target', [{ name: 'a', type: '2', link: '' }], 'no target'],
  ]

  it.each(refused)('refuses %s', async (_, entries, why) => {
    const { code, stderr } = await add(entries)
    expect(stderr).toContain(why)
    expect(stderr).not.toContain('ERR_INTERNAL')
    expect(code).toBe(1)
  })

  const harmless: readonly (readonly [string, readonly TarEntry[]])[] = [
    ['a name with ..', [{ name: `${up}${outside}/evil`, data: 'x' }]],
    [
      'a file below a symlink',
      [
        { name: 'out', type: '2', link: canary },
        { name: 'out/evil', data: 'x' },
      ],
    ],
    [
      'a directory in the place of a symlink',
      [
        { name: 'out', type: '2', link: canary },
        { name: 'out', type: '5', mode: 0o777 },
      ],
    ],
    [
      'a file over a hard link of a symlink',
      [
        { name: 's', type: '2', link: `${canary}/kept` },
        { name: 'h', type: '1', link: 's' },
        { name: 'h', data: 'overwritten' },
      ],
    ],
    [
      'a file below /proc',
      [
        { name: 'p', type: '2', link: '/proc/self/root' },
        { name: `p${canary}/evil`, data: 'x' },
      ],
    ],
  ]

  it.each(harmless)('unpacks %s inside of the image', async (_, entries) => {
    const { code, stderr } = await add(entries)
    expect(code, stderr).toBe(0)
    expect(existsSync(join(canary, 'evil'))).toBe(false)
  })
})

describe('a directory', () => {
  it.each(['Dockerfile', '.dockerignore', 'Dockerfile.dockerignore'])(
    'shows nothing of the file that a symlink in the place of %s leads to',
    async (name) => {
      const context = workspace.context(
        `link-${name}`,
        name === 'Dockerfile' ? {} : { Dockerfile: 'FROM scratch\n' },
      )
      writeFileSync(join(canary, 'secret'), '[SECRET\n')
      symlinkSync(join(canary, 'secret'), join(context, name))
      const { code, stderr } = await workspace.tsbuild.run([context])
      expect(stderr).toContain('leads out of the context')
      expect(stderr).not.toContain('SECRET')
      expect(code).toBe(1)
    },
  )

  it.each(['Dockerfile', '.dockerignore'])('a pipe in the place of %s is not waited for', async (name) => {
    const context = workspace.context(
      `pipe-${name}`,
      name === 'Dockerfile' ? {} : { Dockerfile: 'FROM scratch\n' },
    )
    execFileSync('mkfifo', [join(context, name)])
    const { code, stderr } = await workspace.tsbuild.run([context])
    expect(stderr).toContain('no regular file')
    expect(code).toBe(1)
  })
})

describe('an archive as the context', () => {
  it.each([
    ['a device', { name: 'Dockerfile', type: '3', device: [1, 5] }],
    ['a pipe', { name: 'Dockerfile', type: '6' }],
    ['a link out', { name: 'Dockerfile', type: '2', link: '/etc/passwd' }],
    ['a link up and out', { name: 'Dockerfile', type: '2', link: `${up}etc/passwd` }],
  ] satisfies readonly (readonly [string, TarEntry])[])(
    'a Dockerfile that is %s is not there',
    async (_, entry) => {
      const { code, stderr } = await workspace.tsbuild.run(['-'], { input: makeTar([entry]) })
      expect(stderr).toContain('[ERR_DOCKERFILE_NOT_FOUND]')
      expect(code).toBe(1)
    },
  )

  it.each(['../../../../etc/passwd', '/etc/passwd', 'a/../../../etc/passwd'])(
    '-f %s stays inside',
    async (file) => {
      const { code, stderr } = await workspace.tsbuild.run(['-f', file, '-'], {
        input: makeTar([{ name: 'x' }]),
      })
      expect(stderr).toContain('[ERR_DOCKERFILE_NOT_FOUND]')
      expect(stderr).not.toContain('root:')
      expect(code).toBe(1)
    },
  )
})

describe('what is shown', () => {
  it('holds no control characters of a Dockerfile', async () => {
    const context = workspace.context('control', {
      Dockerfile: 'FROM scratch\nCOPY a\x1b[2J\x9b5m\x07b /x\nLABEL x="\x1b]0;title\x07"\n',
    })
    const { code, stderr } = await workspace.tsbuild.run(['--progress', 'plain', context])
    expect(code).toBe(1)
    expect(stderr).not.toMatch(/(?!\n|\t)\p{Cc}/u)
    expect(stderr).toContain('\\x1b[2J')
  })

  it('holds nothing of the query and the password of a URL', async () => {
    const url = `http://u:CANARY@${server.host}/none?X-Goog-Signature=CANARY&key=CANARY`
    const { code, stderr } = await workspace.tsbuild.run(['--progress', 'plain', url])
    expect(code).not.toBe(0)
    expect(stderr).not.toContain('CANARY')
  })
})
