import { chmodSync, cpSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { findProgram, needs } from '../support/capabilities.ts'
import { makeTar } from '../support/tar.ts'
import { check, command, type RunOptions, readSteps, run, start } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

let workspace: Workspace
beforeAll(async () => {
  workspace = openWorkspace('rootless')
  if (process.getuid?.() === 0) await check('chown', ['tsbuild-test:', workspace.folder])
})
afterAll(() => workspace?.remove())

/** Runs the command as an ordinary user: as tsbuild-test when the tests run as root, else as ourselves. */
function runAsUser(args: readonly string[], { input = '' }: Pick<RunOptions, 'input'> = {}) {
  const root = workspace.path('store')
  const env = { TSBUILD_ROOT: root, HOME: workspace.path('home') }
  if (process.getuid?.() !== 0) return run(command, args, { env, input })
  return run(
    'setpriv',
    ['--reuid', 'tsbuild-test', '--regid', 'tsbuild-test', '--init-groups', command, ...args],
    {
      env,
      input,
      cwd: workspace.folder,
    },
  )
}

async function build(...args: readonly string[]) {
  const outcome = await runAsUser(['--progress', 'json', ...args])
  if (outcome.code !== 0) throw new Error(`exit code ${outcome.code}\n${outcome.stderr}`)
  return readSteps(outcome.stderr)
}

function project(
  name: string,
  dockerfile: readonly string[],
  files: Readonly<Record<string, string>> = {},
): string {
  const context = workspace.context(name, {
    Dockerfile: [
      'FROM scratch',
      'COPY --chmod=755 busybox /bin/busybox',
      'RUN ["/bin/busybox", "--install", "-s", "/bin"]',
      ...dockerfile,
    ].join('\n'),
    ...files,
  })
  cpSync(findProgram('busybox') ?? '/bin/busybox', join(context, 'busybox'))
  return context
}

const needsUser = (t: TestContext) =>
  process.getuid?.() === 0
    ? needs(t, 'the user tsbuild-test', 'program newuidmap')
    : needs(t, 'program newuidmap')

describe('an ordinary user', () => {
  it('builds, caches and exports; files keep their owners in the archive', async (t) => {
    needsUser(t)
    const context = project(
      'app',
      ['COPY --chown=1234:5678 file /file', 'RUN id -u > /who && chown 42:43 /who', 'CMD ["cat", "/who"]'],
      {
        file: 'x\n',
      },
    )
    const archive = workspace.path('app.tar')
    const first = await build('-t', 'app:1.0', '-o', `type=oci,dest=${archive}`, context)
    expect(first.executed).toHaveLength(4)
    expect((await build('-t', 'app:1.0', context)).executed).toEqual([])
    await check('tar', ['-xf', archive, '-C', workspace.context('layout', {})])
    const layout = workspace.path('layout')
    const blob = (digest: string) => join(layout, 'blobs/sha256', digest.slice('sha256:'.length))
    const index = JSON.parse(readFileSync(join(layout, 'index.json'), 'utf8'))
    const manifest = JSON.parse(readFileSync(blob(index.manifests[0].digest), 'utf8'))
    const listings = await Promise.all(
      manifest.layers.map((one: { digest: string }) =>
        check('tar', ['-tvzf', blob(one.digest), '--numeric-owner']),
      ),
    )
    expect(listings.join('')).toMatch(/ 1234\/5678 .* file\n/)
    expect(listings.join('')).toMatch(/ 42\/43 .* who\n/)
  })

  it('runs the image', async (t) => {
    needsUser(t)
    const outcome = await runAsUser(['run', 'app:1.0'])
    expect([outcome.stdout, outcome.code]).toEqual(['0\n', 0])
  })

  it('gets an error that names the file of the context it may not read', async (t) => {
    needsUser(t)
    const context = project('unreadable', ['COPY . /'], { 'private.key': 'x' })
    chmodSync(join(context, 'private.key'), 0)
    if (process.getuid?.() === 0) await check('chown', ['-R', 'root:', context])
    const outcome = await runAsUser(['--progress', 'plain', context])
    expect(outcome.stderr).toContain('[ERR_CONTEXT_UNREADABLE]')
    expect(outcome.stderr).toContain('private.key')
    expect(outcome.code).toBe(1)
  })

  it('without subordinate ids builds what needs no other id, and is told what else would', async (t) => {
    needs(t, 'root')
    // `nobody` has no ranges in /etc/subuid: only its own id can be mapped.
    const store = workspace.context('nobody', {})
    await check('chown', ['nobody', store])
    const runAsNobody = (context: string) =>
      run(
        'setpriv',
        [
          '--reuid',
          'nobody',
          '--regid',
          'nogroup',
          '--clear-groups',
          command,
          '--progress',
          'plain',
          context,
        ],
        { env: { TSBUILD_ROOT: join(store, 'store') }, cwd: '/' },
      )
    expect((await runAsNobody(project('no-ids', ['RUN true']))).code).toBe(0)
    const outcome = await runAsNobody(
      project('other-id', ['COPY --chown=1234:1234 file /file'], { file: '' }),
    )
    expect(outcome.stderr).toContain('[ERR_ROOTLESS_IDMAP]')
    expect(outcome.stderr).toContain('/etc/subuid')
    expect(outcome.code).toBe(3)
  })

  it('builds from an archive whose files belong to others, with --link and a script of its own', async (t) => {
    needsUser(t)
    const dockerfile = [
      'FROM scratch',
      'COPY --chmod=755 busybox /bin/sh',
      'COPY --link owned secret /linked/',
      'RUN <<EOF',
      '#!/bin/sh',
      'echo "$0" > /ran',
      'EOF',
    ].join('\n')
    const input = makeTar([
      { name: 'Dockerfile', data: dockerfile },
      { name: 'busybox', data: readFileSync(findProgram('busybox') ?? '/bin/busybox'), mode: 0o755 },
      { name: 'owned', data: 'x', owner: [5, 6], mtime: 1_500_000_000 },
      { name: 'secret', data: 'y', owner: [7, 7], mode: 0o600 },
    ])
    const archive = workspace.path('from-tar.tar')
    const flags = ['-o', `type=tar,dest=${archive}`, '--build-arg', 'SOURCE_DATE_EPOCH=context']
    const outcome = await runAsUser([...flags, '-'], { input })
    expect(outcome).toMatchObject({ code: 0 })
    const listing = await check('tar', ['--numeric-owner', '-tvf', archive])
    expect(listing).toMatch(/-rw-r--r-- 5\/6 .* linked\/owned/)
    expect(listing).toMatch(/-rw------- 7\/7 .* linked\/secret/)
    expect(listing).toContain(' ran')
  })
})

describe('a machine without user namespaces', () => {
  it('gets an error that says what is missing and how to get it', async (t) => {
    needs(t, 'root', 'program unshare', 'program setpriv')
    const context = project('no-namespaces', ['RUN true'])
    const store = workspace.context('limited', {})
    chmodSync(store, 0o777)
    // Inside a user namespace its own limit can be set to zero without touching the machine. Its maps are ours to write.
    const script = [
      'while [ "$(id -u)" != 0 ]; do sleep 0.05; done',
      'exec sh -c \'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --reuid 1 --regid 1 --clear-groups "$0" "$@"\' "$0" "$@"',
    ].join('\n')
    const running = start(
      'unshare',
      ['--user', '--keep-caps', 'sh', '-c', script, command, '--progress', 'plain', context],
      { env: { TSBUILD_ROOT: join(store, 'store') }, cwd: '/' },
    )
    const pid = running.child.pid ?? 0
    await expect.poll(() => readlinkSync(`/proc/${pid}/ns/user`)).not.toBe(readlinkSync('/proc/self/ns/user'))
    for (const kind of ['gid', 'uid']) writeFileSync(`/proc/${pid}/${kind}_map`, '0 0 65536\n')
    const outcome = await running.outcome
    expect(outcome.stderr).toContain('[ERR_NAMESPACE_DENIED]')
    expect(outcome.stderr).toContain('max_user_namespaces')
    expect(outcome.code).toBe(3)
  })
})
