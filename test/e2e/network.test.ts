import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it, type TestContext } from 'vitest'
import { findProgram, needs } from '../support/capabilities.ts'
import { machine, metadata, openNetwork, outside, type TestNetwork } from '../support/network.ts'
import { check, command, type Outcome, start } from '../support/tsbuild.ts'
import { addBusybox, openWorkspace, type Workspace } from '../support/workspace.ts'

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
    if (user === 'root') await addBusybox(workspace)
    else await addBusyboxAsUser(workspace)
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

/** Runs the command as a user, on the machine of the test's network, with programs of it hidden. */
function tsbuild(user: User, args: readonly string[], hidden: readonly string[] = []) {
  const { on } = network ?? expect.unreachable()
  const hide = hidden.map((path) => `mount --bind /dev/null ${path} && `).join('')
  const drop =
    user === 'root' ? [] : ['setpriv', '--reuid', user, '--regid', user, '--init-groups', '--inh-caps=-all']
  const [program = '', ...argv] = on([
    ...['unshare', '--mount', 'sh', '-c', `${hide}exec "$@"`, 'sh'],
    ...[...drop, command, ...args],
  ])
  const workspace = workspaces.get(user) ?? expect.unreachable()
  return start(program, argv, {
    env: { TSBUILD_ROOT: workspace.tsbuild.root, HOME: workspace.path('home') },
    cwd: workspace.folder,
  })
}

async function addBusyboxAsUser(workspace: Workspace): Promise<void> {
  await check('chown', ['tsbuild-test:', workspace.folder])
  const context = workspace.context('busybox', {
    Dockerfile:
      'FROM scratch\nCOPY --chmod=755 busybox /bin/busybox\nRUN ["/bin/busybox", "--install", "-s", "/bin"]\n',
  })
  await check('cp', [findProgram('busybox') ?? '', `${context}/busybox`])
  const { code, stderr } = await tsbuild('tsbuild-test', ['-q', '-t', 'busybox:test', context]).outcome
  if (code !== 0) throw new Error(stderr)
}

/** Builds these steps, plainly. */
async function build(
  user: User,
  name: string,
  steps: readonly string[],
  flags: readonly string[] = [],
  hidden: readonly string[] = [],
): Promise<Outcome> {
  const dockerfile = ['FROM busybox:test', ...steps.map((step) => `RUN ${step}`)].join('\n')
  const context = workspaces.get(user)?.context(name, { Dockerfile: dockerfile }) ?? ''
  return await tsbuild(user, ['--progress', 'plain', ...flags, context], hidden).outcome
}

const wget = (address: string) => `wget -q -T 3 -O - ${network?.url(address)}`
/** A step that asks an address and goes on when there is no answer. */
const cannot = (address: string) => `! ${wget(address)}`

/** Addresses asked during `body`. */
async function asked(body: () => Promise<unknown>): Promise<readonly string[]> {
  const before = network?.hits() ?? {}
  await body()
  const after = network?.hits() ?? {}
  return Object.keys(after).filter((address) => after[address] !== before[address])
}

/** Programs of this name on the machine of the test. */
function running(name: string): readonly number[] {
  return readdirSync('/proc')
    .filter((pid) => /^\d+$/.test(pid))
    .filter((pid) => {
      try {
        return (
          readFileSync(`/proc/${pid}/comm`, 'utf8').startsWith(name) &&
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

describe.each(users)('the default network of steps, as %s', (user) => {
  it.each(tools)('reaches the outside and not the loopback of the machine, by %s', async (tool) => {
    const hidden = tool === 'pasta' ? [] : [pathOf('pasta')]
    const steps = [
      `${wget(outside)} | grep -q 'from ${outside}'`,
      ...['127.0.0.1', '::1', '10.0.2.2', '10.0.2.3', metadata].map(cannot),
    ]
    const seen = await asked(async () => {
      const { code, stderr } = await build(user, `reach-${tool}`, steps, [], hidden)
      expect(stderr).not.toContain('PrivateNetworkMissing')
      expect({ code, stderr }).toMatchObject({ code: 0 })
    })
    expect(seen).toEqual([outside])
  })
})
