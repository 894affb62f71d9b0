import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { createRepository } from '../../libs/context/src/testing/repository.ts'
import { findProgram, needs } from '../support/capabilities.ts'
import { findMounts, untilNone } from '../support/processes.ts'
import { makeKey, type SshServer, startSshd } from '../support/sshd.ts'
import { check, command, readSteps, run, start } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

/** The server is on the machine's own loopback address. */
const hostNetwork = ['--network', 'host', '--allow', 'network.host']

let workspace: Workspace
let server: SshServer | undefined
let repository: string
let agent: Awaited<ReturnType<typeof startAgent>> | undefined
beforeAll(async () => {
  if (process.getuid?.() !== 0 || programs.some((name) => findProgram(name) === undefined)) return
  workspace = openWorkspace('ssh')
  server = await startSshd(workspace.path('sshd'))
  const repositories = workspace.path('repositories')
  const created = createRepository(repositories, 'r')
  created.commit({ Dockerfile: 'FROM scratch\nCOPY hello /\n', hello: 'over ssh\n' })
  repository = created.path
  agent = await startAgent(server.key)
  await workspace.tsbuild.check(['bootstrap', '-q', 'debian:bookworm', '--package', 'git,openssh-client'])
}, 600_000)
afterAll(async () => {
  await agent?.stop()
  await server?.stop()
  await workspace?.remove()
})

const programs = ['sshd', 'ssh-agent', 'git', 'mmdebstrap'] as const
const needsAll = (t: TestContext) => needs(t, 'root', ...programs.map((name) => `program ${name}` as const))

/** Starts an agent that holds a key, as a user does. */
async function startAgent(key: string) {
  const socket = workspace.path('agent.sock')
  const running = start('ssh-agent', ['-D', '-a', socket])
  while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 20))
  await check('ssh-add', ['-q', key], { env: { SSH_AUTH_SOCK: socket } })
  const stop = () => {
    running.child.kill()
    return running.outcome
  }
  return { socket, stop, pid: running.child.pid }
}

const known = () => server ?? expect.unreachable('no server')
const url = () => `ssh://root@127.0.0.1:${known().port}${repository}`
const environment = () => ({ SSH_AUTH_SOCK: agent?.socket })

let count = 0
/** A context of one RUN with an ssh mount; the script's `known_hosts` has the server. */
function project(script: string, mount = 'type=ssh'): string {
  count += 1
  return workspace.context(`project-${count}`, {
    Dockerfile: [
      'FROM debian:bookworm AS build',
      'COPY known_hosts /root/.ssh/known_hosts',
      `RUN --mount=${mount} <<EOF`,
      'set -e',
      script,
      'EOF',
      '',
    ].join('\n'),
    known_hosts: known().knownHost,
  })
}

function build(context: string, args: readonly string[], env = environment()) {
  return workspace.tsbuild.run([...hostNetwork, '--progress', 'plain', ...args, context], { env })
}

describe('RUN --mount=type=ssh', () => {
  it.for<readonly [what: string, of: () => readonly string[]]>([
    ['the agent of SSH_AUTH_SOCK', () => ['--ssh', 'default']],
    ['an agent by its socket', () => ['--ssh', `default=${agent?.socket}`]],
    ['a private key', () => ['--ssh', `default=${known().key}`]],
  ])('clones a repository with %s', async ([, args], t) => {
    needsAll(t)
    const context = project(`git clone -q ${url()} /src\ncat /src/hello`)
    const outcome = await build(context, ['--no-cache', ...args()])
    expect(outcome.stderr).toContain('over ssh')
    expect(outcome.code).toBe(0)
  })

  it('sets SSH_AUTH_SOCK to /run/buildkit/ssh_agent.0, a socket of mode 0600 of root', async (t) => {
    needsAll(t)
    const context = project('echo "$SSH_AUTH_SOCK $(stat -c "%F %a %u:%g" "$SSH_AUTH_SOCK")"')
    const { stderr } = await build(context, ['--ssh', 'default'])
    expect(stderr).toContain('/run/buildkit/ssh_agent.0 socket 600 0:0')
  })

  it('gives target, mode, uid and gid, and a user that can use it', async (t) => {
    needsAll(t)
    const context = project(
      'stat -c "%n %a %u:%g" /tmp/my/agent\nsetpriv --reuid 33 --regid 33 --clear-groups ssh-add -l',
      'type=ssh,target=/tmp/my/agent,mode=0660,uid=33,gid=33',
    )
    const { code, stderr } = await build(context, ['--ssh', 'default'])
    expect(stderr).toContain('/tmp/my/agent 660 33:33')
    expect(stderr).toContain('(ED25519)')
    expect(code).toBe(0)
  })

  it('lists keys, and refuses to add, delete, lock and unlock', async (t) => {
    needsAll(t)
    const script = [
      'ssh-add -l | grep ED25519',
      'ssh-keygen -q -t ed25519 -N "" -f /tmp/other',
      'for refused in /tmp/other -D "-d /root/key.pub" -x -X "-s /usr/lib/libc.so.6"; do',
      '  export SSH_ASKPASS=/bin/true SSH_ASKPASS_REQUIRE=force',
      '  if ssh-add $refused </dev/null; then echo "TAKEN: $refused"; else echo "refused: $refused"; fi',
      'done',
      'ssh-add -l | wc -l',
    ].join('\n')
    for (const source of ['default', `default=${known().key}`]) {
      const { code, stderr } = await build(project(script), ['--no-cache', '--ssh', source])
      expect(code, stderr).toBe(0)
      expect(stderr).not.toContain('TAKEN')
      expect(stderr.match(/refused: \S+/g)).toHaveLength(6)
      expect(stderr).toMatch(/^#\d+ [\d.]+ 1$/m)
    }
    const listed = await check('ssh-add', ['-l'], { env: environment() })
    expect(listed.trim().split('\n')).toHaveLength(1)
  })

  it('is skipped where nothing was given, and fails with its line where it is required', async (t) => {
    needsAll(t)
    const skipped = await build(project('echo "agent=$SSH_AUTH_SOCK."; ls /run/buildkit || true'), [])
    expect(skipped.stderr).toContain('agent=.')
    expect(skipped.code).toBe(0)
    const required = await build(project('true', 'type=ssh,required=true'), [])
    expect(required.code).toBe(1)
    expect(required.stderr).toContain('ERR_SSH')
    expect(required.stderr).toMatch(/>>> +RUN --mount=type=ssh,required=true/)
    const other = await build(project('true', 'type=ssh,id=github,required'), ['--ssh', 'default'])
    expect(other.stderr).toContain('github')
    expect(other.code).toBe(1)
  })

  it('is not part of the cache key, and leaves nothing in the image', async (t) => {
    needsAll(t)
    const context = project(`git clone -q ${url()} /src && rm -r /src/.git`)
    const out = workspace.path(`out-${count}`)
    const outcome = await build(context, ['--ssh', 'default', '-o', out])
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(existsSync(join(out, 'run/buildkit'))).toBe(false)
    const args = [...hostNetwork, '--progress', 'json', '--ssh', `default=${known().key}`, context]
    const again = await workspace.tsbuild.run(args, { env: {} })
    expect(readSteps(again.stderr).executed).toEqual([])
  })

  it('leaves no socket and no connection after the step, though the step left a process with one', async (t) => {
    needsAll(t)
    const connect =
      '$s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die; syswrite $s, "\\0\\0\\0\\1\\x0b"; sysread $s, $_, 9; '
    const context = workspace.context('left-behind', {
      Dockerfile: [
        'FROM debian:bookworm',
        `RUN --mount=type=ssh,id=other perl -MIO::Socket::UNIX -e '${connect} fork or sleep 600; print "con", "nected\\n"'`,
        'RUN echo the second" "step; sleep 600',
        '',
      ].join('\n'),
    })
    const before = agentDescriptors()
    const args = ['--progress', 'plain', '--ssh', `other=${agent?.socket}`, context]
    const running = workspace.tsbuild.start(args, { env: {} })
    await running.saw(/connected/)
    await running.saw(/the second step/)
    expect(sockets(workspace.tsbuild.root)).toEqual([])
    expect(await untilNone(() => agentDescriptors().slice(before.length))).toEqual([])
    running.child.kill('SIGINT')
    expect((await running.outcome).code).toBe(130)
    expect(findMounts(workspace.folder)).toEqual([])
  })

  it('warns and says no when the agent has ended', async (t) => {
    needsAll(t)
    const socket = workspace.path('dead.sock')
    const running = start('ssh-agent', ['-D', '-a', socket])
    while (!existsSync(socket)) await new Promise((resolve) => setTimeout(resolve, 20))
    running.child.kill('SIGKILL')
    await running.outcome
    const { code, stderr } = await build(project('ssh-add -l || echo "said no"'), [
      '--ssh',
      `default=${socket}`,
    ])
    expect(stderr).toContain('said no')
    expect(stderr).toContain('The ssh agent "default" does not answer')
    expect(code).toBe(0)
  })
})

describe('--ssh', () => {
  it('with a key that has a passphrase fails before anything is built', async (t) => {
    needsAll(t)
    const key = await makeKey(workspace.path('locked'), 'secret')
    const { code, stderr } = await build(project('true'), ['--ssh', `default=${key}`])
    expect(code).toBe(1)
    expect(stderr).toMatch(/Cannot use the ssh key ".*locked": it has a passphrase +\[ERR_SSH\]/)
    expect(stderr).toContain('--ssh default')
    expect(stderr).not.toContain('RUN')
  })

  it.for<readonly [what: string, of: () => string]>([
    ['a context', () => url()],
    ['ADD', () => workspace.context('add', { Dockerfile: `FROM scratch\nADD ${url()} /\n` })],
  ])('gives %s of an ssh URL its keys, where the host is known', async ([what, context], t) => {
    needsAll(t)
    const out = workspace.path(`out of ${what}`)
    const args = ['--ssh', `default=${known().key}`, '-o', out, context()]
    const unknown = await workspace.tsbuild.run(args)
    expect([unknown.code, unknown.stderr]).toEqual([
      3,
      expect.stringContaining('Host key verification failed'),
    ])
    const outcome = await runKnowing(known().knownHost, args)
    expect(outcome.code, outcome.stderr).toBe(0)
    expect(readFileSync(join(out, 'hello'), 'utf8')).toBe('over ssh\n')
  })
})

describe('as an ordinary user', () => {
  let mine: Workspace
  beforeAll(() => {
    mine = openWorkspace('ssh-rootless')
  })
  afterAll(() => mine.remove())

  it('RUN --mount=type=ssh has keys that sign, and cannot delete them', async (t) => {
    needs(t, 'root', 'the user tsbuild-test', 'program newuidmap', 'program ssh-add')
    const key = await makeKey(mine.path('key'))
    const context = mine.context('rootless', {
      Dockerfile: [
        'FROM scratch',
        'COPY . /',
        'RUN ["/bin/busybox", "--install", "-s", "/bin"]',
        'RUN --mount=type=ssh <<EOF',
        'set -e',
        'stat -c "%F %a %u:%g" "$SSH_AUTH_SOCK"',
        'ssh-add -l',
        'ssh-add -T /key.pub && echo "it signs"',
        'ssh-add -D || echo refused',
        'EOF',
        '',
      ].join('\n'),
      'etc/passwd': 'root:x:0:0:root:/root:/bin/sh\n',
    })
    await copyProgram('ssh-add', context)
    await copyProgram('busybox', context)
    cpSync(`${key}.pub`, join(context, 'key.pub'))
    await check('chown', ['-R', 'tsbuild-test:', mine.folder])
    const user = ['--reuid', 'tsbuild-test', '--regid', 'tsbuild-test', '--init-groups']
    const args = ['--progress', 'plain', '--network', 'none', '--ssh', `default=${key}`, context]
    const { code, stderr } = await run('setpriv', [...user, command, ...args], {
      env: { TSBUILD_ROOT: mine.path('store'), HOME: mine.path('home') },
      cwd: mine.folder,
    })
    expect(code, stderr).toBe(0)
    expect(stderr).toContain('socket 600 0:0')
    expect(stderr).toContain('(ED25519)')
    expect(stderr).toContain('it signs')
    expect(stderr).toMatch(/^#\d+ [\d.]+ refused$/m)
  })
})

/** Copies a program of this machine, and the libraries that it needs, to their places below a folder. */
async function copyProgram(name: string, folder: string): Promise<void> {
  const program = findProgram(name) ?? expect.unreachable(`no ${name}`)
  const { stdout } = await run('ldd', [program])
  const libraries = [...stdout.matchAll(/(\/\S+) \(0x/g)].map(([, path = '']) => path)
  for (const path of libraries) cpSync(path, join(folder, path), { dereference: true })
  cpSync(program, join(folder, 'bin', name), { dereference: true })
}

/** Runs the command on a machine whose `/etc/ssh` knows a host: in a mount namespace of its own. */
function runKnowing(knownHost: string, args: readonly string[]) {
  const folder = workspace.path('etc-ssh')
  mkdirSync(folder, { recursive: true })
  writeFileSync(join(folder, 'ssh_known_hosts'), knownHost)
  const script = 'mount --bind "$1" /etc/ssh && shift && exec "$@"'
  return run('unshare', ['--mount', 'sh', '-c', script, 'sh', folder, command, ...args], {
    env: { TSBUILD_ROOT: workspace.tsbuild.root },
  })
}

/** The open files of the user's agent: one for each client, and some of its own. */
function agentDescriptors(): readonly string[] {
  return readdirSync(`/proc/${agent?.pid}/fd`)
}

/** The sockets below a folder. */
function sockets(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isSocket())
    .map((entry) => entry.name)
}
