import { spawnSync } from 'node:child_process'
import { rmSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { userNames } from '../support/builder-user.ts'
import { needs } from '../support/capabilities.ts'
import type { Hostile } from '../support/leak-oracle.ts'
import { useOracle } from '../support/use-oracle.ts'

const benign = { dockerfile: ['FROM busybox:test', 'RUN echo fine'], wants: { output: ['fine'] } }
const wants = { output: /^/ }
const failing = ['FROM busybox:test', 'RUN exit 7']

/** The oracle is worth what it finds: each of these does harm on purpose, by a build or beside it. */
describe.each(userNames)('the leak oracle, with builds of %s', (userName) => {
  const oracle = useOracle(userName, 'self', 1)
  const judge = async (hostile: Hostile) => {
    const found = await oracle().judge(hostile)
    return found.map((line) => line.split('\n', 1)[0] ?? '')
  }

  it('finds nothing wrong with a build that does no harm, or that is refused as wanted', async () => {
    expect(await judge(benign)).toEqual([])
    expect(await judge({ dockerfile: failing, wants: { code: 'ERR_STEP_FAILED', line: 2 } })).toEqual([])
  })

  it('(a) finds another exit code, error, line or output than is wanted, and a stack trace', async () => {
    const refused = { ...benign, wants: { code: 'ERR_STEP_FAILED', line: 2 } } as const
    const [code, none, line] = await judge(refused)
    expect([code, none, line]).toEqual([
      '(a) exit code 0',
      expect.stringContaining('(a) no [ERR_STEP_FAILED]'),
      expect.stringContaining('(a) no Dockerfile:2'),
    ])
    expect(await judge({ dockerfile: failing, wants: { code: 'ERR_STEP_FAILED', line: 3 } })).toEqual([
      expect.stringContaining('(a) no Dockerfile:3'),
      expect.stringContaining('(a) no Dockerfile:3'),
    ])
    expect(await judge({ dockerfile: failing, wants })).toContainEqual(
      expect.stringContaining('(a) exit code 1'),
    )
    expect(await judge({ ...benign, wants: { output: ['bad'] } })).toEqual(['(a) the output is ["fine"]'])
    const debug = { dockerfile: failing, flags: ['--debug'], wants: { code: 'ERR_STEP_FAILED' } } as const
    expect(await judge(debug)).toContain('(a) a stack trace')
  })

  it('(b) finds a canary tree that a build wrote to, and one of which only a time changed', async () => {
    const { folder, tree } = oracle().canaries
    expect(await judge({ ...benign, flags: ['-o', `type=local,dest=${tree}/out`] })).toContain(
      '(b) the canary tree changed',
    )
    rmSync(`${tree}/out`, { recursive: true, force: true })
    expect(await judge({ ...benign, wrapper: `touch "${folder}/own-file"; "$@"` })).toEqual([
      '(b) the canary tree changed',
    ])
  })

  it('(d) finds a step that asked the server of the machine', async () => {
    const { server } = oracle().canaries
    const dockerfile = ['FROM busybox:test', `RUN --network=host wget -q -O /dev/null http://${server}/`]
    expect(await judge({ dockerfile, flags: ['--allow', 'network.host'], wants: { output: [] } })).toEqual([
      '(d) the server of the machine was asked 2 times',
    ])
  })

  it('(e) finds a process that is left', async () => {
    // Nothing but its directory says where it is from.
    const found = await judge({ ...benign, wrapper: 'env -i sleep 600 > /dev/null 2>&1 & "$@"' })
    expect(found).toEqual([
      expect.stringMatching(/^\(e\) a process is left: \d+ sleep 600/),
      expect.stringMatching(/^\(e\) a process is left: \d+ sleep 600/),
    ])
    for (const line of found) process.kill(Number(/ (\d+) sleep/.exec(line)?.[1]))
  })

  it('(e) finds a mount, a cgroup and a temporary file that are left', async (t) => {
    expect(await judge({ ...benign, wrapper: 'touch "$TMPDIR/left"; "$@"' })).toEqual([
      expect.stringMatching(/^\(e\) a temporary file is left: .*\/tmp\/left$/),
    ])
    rmSync(oracle().workspace.path('tmp', 'left'))
    if (userName !== 'root') return
    needs(t, 'program mount')
    const place = oracle().workspace.path('out')
    const mounted = await judge({
      ...benign,
      wrapper: `mountpoint -q ${place} || mount -t tmpfs none ${place}; "$@"`,
    })
    spawnSync('umount', [place])
    expect(mounted).toContainEqual(expect.stringMatching(/^\(e\) a mount is left: .*\/out /))
  })

  it('(f) finds a store whose base image was exchanged', async () => {
    const change = 'RUN cp /bin/busybox /b && echo evil >> /b && mv /b /bin/busybox'
    const found = await judge({
      dockerfile: ['FROM busybox:test', change],
      flags: ['-t', 'busybox:test', '-o', 'type=image'],
      wants,
    })
    expect(found).toEqual([expect.stringMatching(/^\(f\) the benign build gave sha256:/)])
  })

  // Last, since what leaked stays in the store of this oracle.
  it.each([
    ['as it is', 'cat'],
    ['in base64', 'base64 -w 0'],
    ['in hex', 'xxd -p -c 1000'],
    ['in gzip, in the middle of a file', '{ echo before; gzip; echo after; }'],
  ])('(c) finds the token %s in the image', async (_, filter) => {
    const given = ['FROM busybox:test', 'RUN --mount=type=secret,id=t cat /run/secrets/t | (FILTER) > /leak']
    const found = await judge({
      dockerfile: given.map((line) => line.replace('FILTER', filter)),
      flags: ['--secret', 'id=t,env=CANARY_TOKEN'],
      wants,
    })
    expect(found).toContainEqual(expect.stringMatching(/^\(c\) the token is in .*\/out\/.*\.tar$/))
    expect(found).toContainEqual(expect.stringMatching(/^\(c\) the token is in .*\/out\/.*\/leak$/))
    expect(found).toContainEqual(expect.stringMatching(/^\(c\) the token is in .*\/store\/v1\/blobs\//))
    expect(found).toContainEqual(expect.stringMatching(/^\(c\) the token is in .*\/store\/v1\/snapshots\//))
  })

  it('(c) finds the token in what a build says and in what lies in temporary folders', async () => {
    const dockerfile = ['FROM busybox:test', 'ARG CANARY_TOKEN', 'RUN echo "$CANARY_TOKEN" | base64 -w 0']
    const printed = await judge({ dockerfile, flags: ['--build-arg', 'CANARY_TOKEN'], wants })
    expect(printed).toContain('(c) the token was printed')
    const dump = `/tmp/tsbuild-oracle-${process.pid}.core`
    const left = await judge({ ...benign, wrapper: `printenv CANARY_TOKEN > ${dump}; "$@"` })
    rmSync(dump)
    expect(left).toContain(`(c) the token is in ${dump}`)
  })
})
