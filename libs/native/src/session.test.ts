import { readlinkSync, writeFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { createNative, noLimits, type SessionRequest } from './index.ts'
import { fakeHelper } from './testing/fake-helper.ts'

const request = {
  id: '0a',
  cgroupParent: null,
  limits: noLimits,
  network: { tool: 'pasta', ports: [] },
} as const satisfies Omit<SessionRequest, 'op'>
const cgroups = [{ version: 2, controllers: ['memory'], path: '/sys/fs/cgroup/tsbuild-session-0a' }]
const unlimited = [{ limit: 'pids', reason: 'no controller' }]

/** As the helper does: it holds until SIGTERM. */
const holding = `
  process.on('SIGTERM', () => { reply({ event: 'result', result: { op: 'session' } }); process.exit(0) })
  const onGo = (act) => setInterval(() => fs.existsSync(process.argv[1] + '.go') && act(), 5)
  setInterval(() => {}, 1000)
  const made = () => reply({ event: 'session', pid: process.pid, cgroups: ${JSON.stringify(cgroups)}, unlimited: ${JSON.stringify(unlimited)} })
  const connected = () => reply({ event: 'connected', dns: '10.0.2.3', address: '10.0.2.15' })
  const fail = (code) => { reply({ event: 'error', kind: 'environment', code, message: 'pasta said no', errno: null }); process.exit(1) }
`
const idMap = {
  uids: [{ inside: 0, outside: 1000, length: 1 }],
  gids: [{ inside: 0, outside: 1000, length: 1 }],
}

function sessionOf(body: string, options: { readonly rootless?: boolean; readonly network?: false } = {}) {
  const helper = fakeHelper(holding + body)
  const native = createNative({
    helperPath: helper.path,
    idMap: options.rootless === true ? idMap : undefined,
  })
  return {
    helper,
    session: native.session(options.network === false ? { ...request, network: null } : request),
  }
}

describe('Native.session()', () => {
  it('gives what was made, then the connection, and ends', async () => {
    const { helper, session } = sessionOf('made(); connected()')
    const parts = await session.ready
    expect([parts.cgroups, parts.unlimited]).toEqual([cgroups, unlimited])
    expect(await session.connected).toEqual({ dns: '10.0.2.3', address: '10.0.2.15' })
    expect(helper.asked()).toMatchObject({ idMap: null, request: { op: 'session', id: '0a' } })
    await session.end()
    await session.ended
  })

  it('opens the network namespace of the helper, and its user namespace where it has one, until the end', async () => {
    const { helper, session } = sessionOf('made(); connected()', { rootless: true })
    const { networkFd = -1, userFd = -1 } = (await session.ready).namespaces
    const links = () => [networkFd, userFd].map((fd) => readlinkSync(`/proc/self/fd/${fd}`))
    expect(links()).toEqual([expect.stringMatching(/^net:\[\d+\]$/), expect.stringMatching(/^user:\[\d+\]$/)])
    expect(helper.asked()).toMatchObject({ idMap, joinUserNamespace: false })
    await session.end()
    // The numbers are free again; what opens a file next may get them.
    expect(links).toThrow(/ENOENT|EINVAL/)
  })

  it('opens nothing where it has no network and no user namespace, and is connected to nothing', async () => {
    const { session } = sessionOf('made()', { network: false })
    expect((await session.ready).namespaces).toEqual({ networkFd: undefined, userFd: undefined })
    expect(await session.connected).toBeUndefined()
    await session.end()
  })

  it('rejects everything when it cannot be made', async () => {
    const { session } = sessionOf(`fail('ERR_TOOL_MISSING')`)
    for (const promise of [session.ready, session.connected, session.ended])
      await expect(promise).rejects.toMatchObject({ code: 'ERR_TOOL_MISSING' })
    await session.end()
  })

  it('gives the error of a helper that has ended before its namespaces are opened', async () => {
    const { session } = sessionOf(`made(); fail('ERR_NETWORK')`)
    await expect(session.ended).rejects.toMatchObject({ code: 'ERR_NETWORK' })
  })

  it('rejects connected and ended, not ready, when the network cannot be had', async () => {
    const { helper, session } = sessionOf(`made(); onGo(() => fail('ERR_NETWORK'))`)
    await session.ready
    writeFileSync(`${helper.path}.go`, '')
    await expect(session.connected).rejects.toMatchObject({ code: 'ERR_NETWORK', message: 'pasta said no' })
    await expect(session.ended).rejects.toMatchObject({ code: 'ERR_NETWORK' })
  })

  it.each([
    ['is killed', `process.kill(process.pid, 'SIGKILL')`, 'ERR_HELPER_KILLED'],
    [
      'ends by itself',
      `reply({ event: 'result', result: { op: 'session' } }); process.exit(0)`,
      'ERR_NETWORK',
    ],
  ])('rejects ended when the helper %s before the end', async (_, death, code) => {
    const { helper, session } = sessionOf(`made(); connected(); onGo(() => { ${death} })`)
    await session.connected
    writeFileSync(`${helper.path}.go`, '')
    await expect(session.ended).rejects.toMatchObject({ code })
    // Nothing is left to end.
    await session.end()
  })

  it('ends one that has not been made yet', async () => {
    const { session } = sessionOf('')
    await Promise.all([session.end(), session.end()])
    await session.ended
    await expect(session.ready).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
    await expect(session.connected).rejects.toMatchObject({ code: 'ERR_CANCELLED' })
  })

  it('rejects with ERR_NAMESPACE_DENIED and ends the helper when its namespaces cannot be opened', async () => {
    const { session } = sessionOf(`reply({ event: 'session', pid: 4194305, cgroups: [], unlimited: [] })`)
    await expect(session.ready).rejects.toMatchObject({ code: 'ERR_NAMESPACE_DENIED' })
    await expect(session.ended).rejects.toMatchObject({ code: 'ERR_NAMESPACE_DENIED' })
  })
})
