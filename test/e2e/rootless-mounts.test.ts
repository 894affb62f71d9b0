import { randomBytes } from 'node:crypto'
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { findProgram, needs } from '../support/capabilities.ts'
import { findLeaks, leaksIn } from '../support/leaks.ts'
import { describeTree } from '../support/tree.ts'
import { check, command, readSteps, run, start } from '../support/tsbuild.ts'
import { makeCanary, openWorkspace, type Workspace } from '../support/workspace.ts'

/** What run-mounts.test.ts and run-secrets.test.ts show as root, as an ordinary user with subordinate ids. */
let workspace: Workspace
const canary = `canary-${randomBytes(16).toString('hex')}`
const isRoot = process.getuid?.() === 0
const asUser = isRoot
  ? ['setpriv', '--reuid', 'tsbuild-test', '--regid', 'tsbuild-test', '--init-groups', command]
  : [command]
beforeAll(async () => {
  workspace = openWorkspace('rootless-mounts')
  mkdirSync(workspace.path('given'))
  writeFileSync(workspace.path('given', 'token'), `${canary}\n`)
  if (isRoot) await check('chown', ['-R', 'tsbuild-test:', workspace.folder])
})
beforeEach((test) => needs(test, ...(isRoot ? ['the user tsbuild-test' as const] : []), 'program newuidmap'))
afterAll(() => workspace?.remove())

let contexts = 0
function project(steps: readonly string[], files: Readonly<Record<string, string>> = {}): string {
  contexts += 1
  const context = workspace.context(`context-${contexts}`, {
    Dockerfile: [
      'FROM scratch AS base',
      'COPY --chmod=755 busybox /bin/busybox',
      'RUN --network=none ["/bin/busybox", "--install", "-s", "/bin"]',
      ...steps,
      '',
    ].join('\n'),
    ...files,
  })
  copyFileSync(findProgram('busybox') ?? '/bin/busybox', join(context, 'busybox'))
  return context
}

const environment = () => ({ TSBUILD_ROOT: workspace.path('store'), HOME: workspace.path('home') })

function runAsUser(args: readonly string[]) {
  const [program = '', ...before] = asUser
  return run(program, [...before, '--network', 'none', ...args], {
    env: environment(),
    cwd: workspace.folder,
  })
}

/** Gives what the steps wrote, in lines. */
async function build(
  steps: readonly string[],
  args: readonly string[] = [],
  files = {},
): Promise<readonly string[]> {
  const outcome = await runAsUser(['--progress', 'json', ...args, project(steps, files)])
  if (outcome.code !== 0) throw new Error(`exit code ${outcome.code}\n${outcome.stderr}`)
  const logs = readSteps(outcome.stderr).events.flatMap((event) =>
    event.type === 'vertex.log' ? [Buffer.from(String(event.data), 'base64')] : [],
  )
  return Buffer.concat(logs).toString().split('\n').slice(0, -1)
}

const cachesOf = (id: string) => {
  const mounts = workspace.path('store', 'v1', 'mounts')
  return (existsSync(mounts) ? readdirSync(mounts) : [])
    .flatMap((name) => readdirSync(join(mounts, name)).map((number) => join(mounts, name, number)))
    .filter((path) => JSON.parse(readFileSync(join(path, 'meta.json'), 'utf8')).id === id)
}

describe('an ordinary user and RUN --mount', () => {
  it('sees bind mounts with the owners of the stage, writes to one with rw, and nothing of that stays', async () => {
    const lines = await build(
      [
        'FROM base AS made',
        'RUN mkdir /out && echo made > /out/file && chown 1234:5678 /out/file && chmod 600 /out/file',
        'FROM base',
        'RUN --mount=from=made,source=/out,target=/in,rw stat -c %u:%g /in/file && echo x >> /in/file && mkdir /in/d && chown 7:8 /in/d && cat /in/file',
        'RUN --mount=from=made,source=/out,target=/in cat /in/file && ls /in && ! touch /in/x 2>/dev/null',
        'RUN --mount=source=ours,target=/ours stat -c %u:%g /ours && cat /ours',
      ],
      [],
      { ours: 'ours\n' },
    )
    expect(lines).toEqual(['1234:5678', 'made', 'x', 'made', 'file', '0:0', 'ours'])
    expect(readdirSync(workspace.path('store', 'v1', 'ingest'))).toEqual([])
  })

  it('has cache mounts with any owner, filled from a stage, and again in the next build', async () => {
    const steps = (text: string) => [
      'FROM base AS seed',
      'RUN mkdir /seed && echo seed > /seed/file && chown -R 1000:1001 /seed && chmod 2750 /seed',
      'FROM base',
      `RUN --mount=type=cache,id=filled,from=seed,source=/seed,target=/c cat /c/file && stat -c '%a %u:%g' /c /c/file && echo ${text} > /c/file`,
      `RUN --mount=type=cache,id=owned,target=/c,mode=0700,uid=5,gid=6 stat -c '%a %u:%g' /c && echo ${text} >> /c/log && cat /c/log`,
    ]
    const owners = ['2750 1000:1001', '644 1000:1001', '700 5:6']
    expect(await build(steps('one'))).toEqual(['seed', ...owners, 'one'])
    expect(await build(steps('two'))).toEqual(['one', ...owners, 'one', 'two'])
  })

  it('with --no-cache deletes a cache mount with files of other ids', async () => {
    const step = (n: number) => [
      'FROM base',
      `RUN --mount=type=cache,id=deleted,target=/c,mode=0755 mkdir -p /c/d && touch /c/d/${n} && ls /c/d | wc -l && chown -R 99:99 /c && chmod 0 /c/d`,
    ]
    expect(await build(step(1))).toEqual(['1'])
    expect(await build(step(2), ['--no-cache'])).toEqual(['1'])
    expect(cachesOf('deleted')).toHaveLength(1)
  })

  it('MNT-01: a source that is a symlink does not lead out of the cache', async () => {
    const folder = makeCanary()
    const before = describeTree(folder)
    await build([
      'FROM base',
      `RUN --mount=type=cache,id=escape,target=/cache ln -s ${folder} /cache/sel && ln -s / /cache/root`,
    ])
    const outcome = await runAsUser([
      '--progress',
      'plain',
      project(['FROM base', 'RUN --mount=type=cache,id=escape,source=sel,target=/sel ls /sel']),
    ])
    expect(outcome.stderr).toContain('[ERR_MOUNT_SOURCE_INVALID]')
    expect(
      await build(['FROM base', 'RUN --mount=type=cache,id=escape,source=root,target=/sel ls /sel']),
    ).toEqual(['root', 'sel'])
    expect(describeTree(folder)).toEqual(before)
    rmSync(folder, { recursive: true })
  })

  it('MNT-08: a pull request gets a copy of what main has, owners included, and never changes that', async () => {
    const step = (text: string) => ['FROM base', `RUN --mount=type=cache,id=npm,target=/npm ${text}`]
    await build(step('echo good > /npm/tool && chown 7:8 /npm/tool && chmod 600 /npm/tool'))
    const [main = ''] = cachesOf('npm')
    const before = describeTree(join(main, 'fs'))
    const hostile = 'cat /npm/tool && stat -c %u:%g /npm/tool && echo evil > /npm/tool && touch /npm/evil'
    expect(await build(step(hostile), ['--scope', 'pr/7'])).toEqual(['good', '7:8'])
    expect(describeTree(join(main, 'fs'))).toEqual(before)
    expect(await build(step('ls /npm'))).toEqual(['tool'])
  })

  it('SEC-01: a secret stays in no layer, record or log, of a step that succeeds and of one that fails', async () => {
    const mounts =
      '--mount=type=secret,id=token,target=/t,env=TOKEN,mode=0440,uid=1000,gid=50 --mount=type=tmpfs,target=/tmp'
    const args = ['--debug', '--secret', `id=token,src=${workspace.path('given', 'token')}`]
    const step = (end: string) => [
      'FROM base',
      `RUN ${mounts} stat -c '%a %u:%g' /t && cat /t && echo "$TOKEN" && cp /t /tmp/copy && ${end}`,
    ]
    expect(await build(step('true'), args)).toEqual(['440 1000:50', '***', '***', ''])
    const failed = await runAsUser(['--progress', 'plain', ...args, project(step('exit 9'))])
    expect(failed.code).toBe(1)
    expect(failed.stderr).toContain('***')
    expect(leaksIn(failed.stderr + failed.stdout, canary)).toBe(false)
    const places = readdirSync(workspace.folder).filter((name) => name !== 'given')
    expect(
      findLeaks(
        canary,
        places.map((name) => workspace.path(name)),
      ),
    ).toEqual([])
  })

  it('waits for another build that has locked a cache mount', async () => {
    const lock = '--mount=type=cache,id=lock,target=/c,sharing=locked'
    const holder = project([
      'FROM base',
      `RUN ${lock} --mount=type=cache,id=signal,target=/s echo a1 >> /c/log; touch /s/here; until [ -e /s/go ]; do sleep 0.05; done; echo a2 >> /c/log`,
    ])
    const [program = '', ...before] = asUser
    const options = { env: environment(), cwd: workspace.folder }
    const plain = ['--progress', 'plain', '--network', 'none']
    const first = start(program, [...before, ...plain, holder], options)
    const here = () => cachesOf('signal').find((path) => existsSync(join(path, 'fs', 'here')))
    while (here() === undefined && first.child.exitCode === null)
      await new Promise((resolve) => setTimeout(resolve, 20))
    const waiter = project(['FROM base', `RUN ${lock} echo b >> /c/log; cat /c/log`])
    const second = start(program, [...before, ...plain, waiter], options)
    await second.saw(/waiting: another step uses the cache mount "lock"/)
    writeFileSync(join(here() ?? '', 'fs', 'go'), '')
    expect((await first.outcome).code).toBe(0)
    expect((await second.outcome).stderr).toMatch(/ a1\n.* a2\n.* b\n/)
  })
})
