import { chmodSync, readdirSync, readFileSync, readlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  afterAll,
  beforeAll,
  beforeEach,
  describe,
  expect,
  it,
  onTestFinished,
  type TestContext,
} from 'vitest'
import { findProgram, needs } from '../support/capabilities.ts'
import { machine, metadata, openNetwork, outside, serverPort, type TestNetwork } from '../support/network.ts'
import { findProcesses, untilNone } from '../support/processes.ts'
import { repository } from '../support/repository.ts'
import { check, command, type Outcome, type Running, start } from '../support/tsbuild.ts'
import { openWorkspace, type Workspace } from '../support/workspace.ts'

/** Who builds. */
const users = ['root', 'tsbuild-test'] as const
type User = (typeof users)[number]

let network: TestNetwork | undefined
const workspaces = new Map<User, Workspace>()

beforeAll(async () => {
  if (process.getuid?.() !== 0) return
  network = await openNetwork(`tsbuild-e2e-${process.pid}`)
  for (const user of users) {
    const workspace = openWorkspace(`network-${user}`)
    workspaces.set(user, workspace)
    await addImage(user, workspace)
  }
})
afterAll(async () => {
  for (const workspace of workspaces.values()) await workspace.remove()
  await network?.close()
})

const needsAll = (t: TestContext) =>
  needs(
    t,
    'root',
    'the user tsbuild-test',
    'program ip',
    'program pasta',
    'program slirp4netns',
    'program newuidmap',
  )

/** What every user may open on a usual machine. */
const device = 'mount -t tmpfs tmpfs /dev/net && mknod -m 666 /dev/net/tun c 10 200'

/** Runs the command as a user, on the machine of the test's network, with programs of it hidden. */
function tsbuild(user: User, args: readonly string[], { hidden = [], env = {} }: BuildChanges = {}) {
  const { on } = network ?? expect.unreachable()
  const hide = hidden.map((path) => ` && mount --bind /dev/null ${path}`).join('')
  const drop =
    user === 'root' ? [] : ['setpriv', '--reuid', user, '--regid', user, '--init-groups', '--inh-caps=-all']
  const [program = '', ...argv] = on([
    ...['unshare', '--mount', 'sh', '-c', `${device}${hide} && exec "$@"`, 'sh'],
    ...[...drop, command, ...args],
  ])
  const workspace = workspaces.get(user) ?? expect.unreachable()
  return start(program, argv, {
    env: { TSBUILD_ROOT: workspace.tsbuild.root, HOME: workspace.path('home'), ...env },
    cwd: workspace.folder,
  })
}

/** An image with a shell that can ask servers, in the store of the user. */
async function addImage(user: User, workspace: Workspace): Promise<void> {
  await check('chown', [`${user}:`, workspace.folder])
  const context = workspace.context('busybox', {
    Dockerfile: [
      'FROM scratch',
      'COPY --chmod=755 busybox /bin/busybox',
      'COPY root/ /',
      'RUN ["/bin/busybox", "--install", "-s", "/bin"]',
    ].join('\n'),
  })
  await check('cp', [findProgram('busybox') ?? '', `${context}/busybox`])
  // A static busybox crashes where it looks addresses up; bash does it with the libraries that it came with.
  const bash = findProgram('bash') ?? ''
  const libraries = (await check('ldd', [bash])).match(/\/\S+/g) ?? []
  for (const path of [bash, ...libraries])
    await check('install', ['-D', '-m', '755', path, `${context}/root${path === bash ? '/bin/bash' : path}`])
  const { code, stderr } = await tsbuild(user, ['-q', '-t', 'busybox:test', context]).outcome
  if (code !== 0) throw new Error(stderr)
}

/** How a build differs from the usual one. */
interface BuildChanges {
  readonly flags?: readonly string[]
  /** Programs that are not there. */
  readonly hidden?: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** Starts a build of these steps, with plain progress. */
function startBuild(user: User, name: string, steps: readonly string[], changes: BuildChanges = {}): Running {
  const dockerfile = ['FROM busybox:test', ...steps.map((step) => `RUN ${step}`)].join('\n')
  const context = workspaces.get(user)?.context(name, { Dockerfile: dockerfile }) ?? ''
  return tsbuild(user, ['--progress', 'plain', ...(changes.flags ?? []), context], changes)
}

const build = (...args: Parameters<typeof startBuild>): Promise<Outcome> => startBuild(...args).outcome

/** Asks an address; what it answers is `from ADDRESS`. */
const ask = (address: string, seconds = 10) =>
  `timeout ${seconds} bash -c 'exec 3<>/dev/tcp/${address}/${serverPort}; printf "GET / HTTP/1.0\\r\\n\\r\\n" >&3; cat <&3'`
/** A step that asks an address and goes on when there is no answer. */
const cannot = (address: string) => `! ${ask(address, 2)}`

/** Addresses asked during `body`. */
async function asked(body: () => Promise<unknown>): Promise<readonly string[]> {
  const before = network?.hits() ?? {}
  await body()
  const after = network?.hits() ?? {}
  return Object.keys(after).filter((address) => after[address] !== before[address])
}

/** The programs that connect networks, on the machine of the test. pasta runs as `passt.avx2` and the like. */
function connecting(): readonly number[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return (
          /^(pas|slirp)/.test(readFileSync(`/proc/${pid}/comm`, 'utf8')) &&
          readlinkSync(`/proc/${pid}/ns/net`) === network?.namespace
        )
      } catch {
        // It ended between the calls.
        return false
      }
    })
    .map(Number)
}

const tools = ['pasta', 'slirp4netns'] as const
const pathOf = (tool: string) => findProgram(tool) ?? `/usr/bin/${tool}`

beforeEach(needsAll)

/** A helper that notes its requests in a file of the workspace, and is the real one. */
function notingHelper(user: User, name: string) {
  const workspace = workspaces.get(user) ?? expect.unreachable()
  const [program, log] = [workspace.path(`${name}.sh`), workspace.path(`${name}.log`)]
  const real = join(repository, 'native/helper/bin/tsbuild-helper')
  const script = `#!/bin/sh\nrequest=$(mktemp -p ${workspace.folder})\ncat >$request\n{ cat $request; echo; } >>${log}\nexec ${real} <$request\n`
  writeFileSync(program, script, { mode: 0o755 })
  writeFileSync(log, '')
  chmodSync(log, 0o666)
  return {
    env: { TSBUILD_HELPER: program },
    /** The networks of the sessions that were asked for since the last call. */
    sessions: () => {
      const requests = readFileSync(log, 'utf8').split('\n').filter(Boolean)
      writeFileSync(log, '')
      const sessions = requests.map((line) => JSON.parse(line).request).filter(({ op }) => op === 'session')
      return sessions.map(({ network: asked }) => asked?.tool ?? null)
    },
  }
}

describe.each(users)('the default network of steps, as %s', (user) => {
  it.each(tools)('reaches the outside and not the loopback of the machine, by %s', async (tool) => {
    const hidden = tool === 'pasta' ? [] : [pathOf('pasta')]
    const steps = [
      // A step that leaves nothing is none for those after it, and they would be cached.
      `echo by ${tool} > /by`,
      `${ask(outside)} | grep -q 'from ${outside}'`,
      `${ask(machine)} | grep -q 'from ${machine}'`,
      ...['127.0.0.1', '::1', '0.0.0.0', '10.0.2.2', '10.0.2.3', metadata].map(cannot),
      'grep -qx "nameserver 10.0.2.3" /etc/resolv.conf',
    ]
    const seen = await asked(async () => {
      const { code, stderr } = await build(user, `reach-${tool}`, steps, { hidden })
      expect(stderr).not.toContain('PrivateNetworkMissing')
      expect(code, stderr).toBe(0)
    })
    expect(seen).toEqual([machine, outside])
  })

  it('is made once for a build of five steps, and not for one that is cached', async () => {
    const { env, sessions } = notingHelper(user, 'once')
    const steps = [1, 2, 3, 4, 5].map((n) => `echo ${n} && readlink /proc/self/ns/net`)
    const { code, stderr } = await build(user, 'once', steps, { env })
    expect(code, stderr).toBe(0)
    const namespaces = stderr.match(/(?<=^#\d+ [\d.]+ )net:\[\d+\]$/gm)
    expect(namespaces).toHaveLength(5)
    expect(new Set(namespaces).size).toBe(1)
    expect(sessions()).toEqual(['pasta'])
    expect((await build(user, 'once', steps, { env })).code).toBe(0)
    expect(sessions()).toEqual([])
  })

  it('is not made for steps without a network, and made beside when a later step wants it', async () => {
    const { env, sessions } = notingHelper(user, 'later')
    const without = ['--network=none echo a', '--network=none echo b']
    expect((await build(user, 'later', without, { env })).code).toBe(0)
    expect(sessions()).toEqual([null])
    const steps = ['--network=none echo c', `${ask(outside)} | grep -q from`]
    const { code, stderr } = await build(user, 'later', steps, { env })
    expect(code, stderr).toBe(0)
    expect(sessions()).toEqual([null, 'pasta'])
  })

  it.each(['SIGINT', 'SIGKILL'] as const)('is one program, which ends with the build: %s', async (signal) => {
    const steps = [`echo ${signal}`, 'echo is-running && sleep 98881']
    const started = startBuild(user, 'program', steps)
    onTestFinished(() => void started.child.kill('SIGKILL'))
    await started.saw(/^#\d+ [\d.]+ is-running$/m)
    expect(connecting()).toHaveLength(1)
    started.child.kill(signal)
    await started.outcome
    expect(await untilNone(() => [...connecting(), ...findProcesses('sleep 98881')])).toEqual([])
  })

  it('is that of the machine where no program can make it, which one warning says', async () => {
    const hidden = tools.map(pathOf)
    const steps = [
      'echo by nothing > /by',
      `${ask('127.0.0.1')} | grep -q from`,
      `${ask(outside)} | grep -q from`,
    ]
    const seen = await asked(async () => {
      const { code, stderr } = await build(user, 'missing', steps, { hidden })
      expect(code, stderr).toBe(0)
      expect(stderr.match(/PrivateNetworkMissing/g)).toHaveLength(1)
      expect(stderr).toContain('`apt-get install passt`')
    })
    expect(seen).toEqual(['127.0.0.1', outside])
  })
})

describe.each(users)('the other networks of steps, as %s', (user) => {
  it('none has a loopback of its own and nothing else', async () => {
    const steps = ['ls /sys/class/net | grep -qx lo', ...['127.0.0.1', machine, outside].map(cannot)]
    const seen = await asked(async () => {
      const { code, stderr } = await build(user, 'none', steps, { flags: ['--network', 'none'] })
      expect(code, stderr).toBe(0)
    })
    expect(seen).toEqual([])
  })

  it('host is that of the machine, for the build that says so', async () => {
    const steps = [`${ask('127.0.0.1')} | grep -q from`, 'grep -q "^127.0.0.1.box$" /etc/hosts']
    const flags = ['--network', 'host', '--add-host', 'box:host-gateway']
    const seen = await asked(async () => {
      const { code, stderr } = await build(user, 'host', steps, { flags })
      expect(code, stderr).toBe(0)
    })
    expect(seen).toEqual(['127.0.0.1'])
  })

  it('host needs --allow for the step that asks for it, also when it is cached', async () => {
    const steps = [`--network=host ${ask('127.0.0.1')} | grep -q from`]
    const refused = async () => {
      const { code, stderr } = await build(user, 'asks', steps)
      expect(stderr).toContain('[ERR_ENTITLEMENT]')
      expect(stderr).toContain('>>> RUN --network=host')
      expect(code).toBe(1)
    }
    expect(await asked(refused)).toEqual([])
    const allowed = () => build(user, 'asks', steps, { flags: ['--allow', 'network.host'] })
    expect((await allowed()).code).toBe(0)
    expect((await allowed()).stderr).toContain('CACHED')
    expect(await asked(refused)).toEqual([])
  })
})
