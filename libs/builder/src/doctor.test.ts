import { describe, expect, it } from 'vitest'
import { doctorReport, type Findings } from './doctor.ts'

const everything: Findings = {
  rootless: true,
  git: { path: '/usr/bin/git' },
  tun: true,
  session: {
    cgroups: [
      { version: 2, controllers: ['memory', 'pids', 'cpu', 'cpuset', 'io'], path: '/sys/fs/cgroup/x' },
    ],
    tool: 'pasta',
    reasons: [],
  },
  probe: {
    op: 'probe',
    protocol: 1,
    kernel: '6.18.0',
    euid: 1000,
    overlay: true,
    userNamespace: true,
    newuidmap: '/usr/bin/newuidmap',
    newgidmap: '/usr/bin/newgidmap',
    subuids: [{ start: 100_000, length: 65_536 }],
    subgids: [{ start: 100_000, length: 65_536 }],
    cgroups: [],
    pasta: '/usr/bin/pasta',
    slirp4netns: null,
    interpreters: [
      { name: 'qemu-aarch64', path: '/usr/bin/qemu-aarch64-static', fixed: true },
      { name: 'qemu-arm', path: '/usr/bin/qemu-arm', fixed: false },
    ],
    seccomp: true,
    missing: [],
  },
}

const noTool = { ...everything.session, tool: undefined }
const noCgroups = { ...everything.session, cgroups: [] }

/** The report of a machine that differs in this. */
const reportOf = ({ probe, ...others }: Partial<Omit<Findings, 'probe'>> & { probe?: object }) =>
  doctorReport({ ...everything, ...others, probe: { ...everything.probe, ...probe } })

/** The rows that do not work. */
const lacking = (changed: Parameters<typeof reportOf>[0]) =>
  reportOf(changed).capabilities.filter(({ works }) => !works)

describe('doctorReport()', () => {
  it('doctorReport() lists every capability, in one order', () => {
    const report = reportOf({})
    expect(report).toMatchObject({
      kernel: '6.18.0',
      rootless: true,
      network: 'pasta',
      platforms: ['linux/arm64'],
    })
    expect(report.capabilities.map(({ name, works, detail }) => [name, works, detail])).toEqual([
      ['overlayfs', true, expect.any(String)],
      ['user namespaces', true, expect.any(String)],
      ['seccomp', true, expect.any(String)],
      ['subordinate ids', true, '65536 of /etc/subuid, mapped by /usr/bin/newuidmap and /usr/bin/newgidmap'],
      ['limits', true, 'memory, processors, cpusets, processes, block I/O (cgroup v2)'],
      ['private network', true, 'by pasta'],
      ['foreign platforms', true, 'linux/arm64'],
      ['git', true, '/usr/bin/git'],
    ])
    expect(report.capabilities.flatMap(({ fixes }) => fixes)).toEqual([])
  })

  it('doctorReport() says nothing of subordinate ids to root', () => {
    expect(reportOf({ rootless: false }).capabilities.map(({ name }) => name)).not.toContain(
      'subordinate ids',
    )
  })

  it.each([
    [{ session: noTool }, 'private network', 'apt-get install passt'],
    [
      { tun: false, session: { ...noTool, reasons: ['open: EACCES'] } },
      'private network',
      'modprobe tun && chmod 0666 /dev/net/tun (as root)',
    ],
    [{ probe: { interpreters: [] } }, 'foreign platforms', 'apt-get install qemu-user-static binfmt-support'],
    [{ git: { reason: 'the program git is not in PATH' } }, 'git', 'apt-get install git'],
    [{ session: noCgroups }, 'limits', expect.stringContaining('Delegate=cpu cpuset io memory pids')],
    [{ rootless: false, session: noCgroups }, 'limits', expect.stringContaining('mount -t cgroup2')],
  ] as const)('doctorReport() gives the command for what is missing: %j', (changed, name, fix) => {
    expect(lacking(changed)).toEqual([
      {
        name,
        works: false,
        required: false,
        detail: expect.any(String),
        without: expect.any(String),
        fixes: [fix],
      },
    ])
  })

  it("doctorReport() gives the helper's own reasons and commands, each once", () => {
    const missing = ['newuidmap', 'newgidmap'].map((feature) => ({
      feature,
      reason: `${feature} is not installed`,
      fix: 'apt-get install uidmap',
      required: false,
    }))
    expect(lacking({ probe: { newuidmap: null, newgidmap: null, missing } })).toMatchObject([
      {
        name: 'subordinate ids',
        detail: 'newuidmap is not installed; newgidmap is not installed',
        fixes: ['apt-get install uidmap'],
      },
    ])
  })

  it('doctorReport() says once that a user may not open the device of private networks', () => {
    const missing = [
      { feature: 'tun', reason: 'may not open it', fix: 'chmod 666 /dev/net/tun', required: false },
    ]
    const session = { ...noTool, reasons: ['open: EACCES'] }
    expect(lacking({ tun: false, session, probe: { missing } })).toMatchObject([
      { name: 'private network', detail: 'may not open it', fixes: ['chmod 666 /dev/net/tun'] },
    ])
  })

  it('doctorReport() names the controllers that are there and those that are not', () => {
    const cgroups = [
      { version: 1, controllers: ['memory'], path: '/m' },
      { version: 1, controllers: ['blkio'], path: '/b' },
      { version: 2, controllers: [], path: '/u' },
    ] as const
    expect(lacking({ session: { ...everything.session, cgroups } })[0]?.detail).toBe(
      'no controllers for processors, cpusets, processes',
    )
  })

  it.each([
    [{ probe: { overlay: false } }, true],
    [{ probe: { seccomp: false } }, true],
    [{ rootless: true, probe: { userNamespace: false } }, true],
    [{ rootless: false, probe: { userNamespace: false } }, false],
  ])('doctorReport() says what builds cannot run without: %j', (changed, required) => {
    expect(lacking(changed).map((row) => row.required)).toEqual([required])
  })

  it('doctorReport() leaves out nothing that only the helper knows of', () => {
    const missing = [{ feature: 'newer', reason: 'why', fix: 'do', required: true }]
    expect(lacking({ probe: { missing } })).toEqual([
      { name: 'newer', works: false, required: true, detail: 'why', without: undefined, fixes: ['do'] },
    ])
  })
})
