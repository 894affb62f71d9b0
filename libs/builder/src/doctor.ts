import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { locateGit } from '@tsbuild/context'
import { isBuildError } from '@tsbuild/errors'
import { type SessionTrial, trySession } from '@tsbuild/executor'
import type { OutcomeOf } from '@tsbuild/native'
import { formatPlatform, platformsOf } from '@tsbuild/oci'
import type { Machine } from './machine.ts'
import type { Capability, DoctorReport } from './types.ts'

type Probe = OutcomeOf<'probe'>

/** Looks at everything that builds may need of this machine, by trying it. */
export async function doctor(machine: Machine): Promise<DoctorReport> {
  const { native, store, options, randomId } = machine
  const home = await store.sources.scratch()
  const [probe, git, tun, session] = await Promise.all([
    machine.probe(),
    findGit(options.env ?? {}, home),
    canOpen(tunDevice),
    trySession(native, randomId),
  ])
  return doctorReport({ probe, rootless: native.rootless, git, tun, session })
}

/** What the report is made of. */
export interface Findings {
  readonly probe: Probe
  readonly rootless: boolean
  /** Its path, or why there is none that can be used. */
  readonly git: { readonly path: string } | { readonly reason: string }
  /** Whether this user may open the device that private networks are made with. */
  readonly tun: boolean
  readonly session: SessionTrial
}

const tunDevice = '/dev/net/tun'

/** Puts what was found into the order and the words of the report. */
export function doctorReport({ probe, rootless, git, tun, session }: Findings): DoctorReport {
  const platforms = platformsOf(probe.interpreters).map(formatPlatform)
  const rows: readonly Row[] = [
    ...kernelRows(probe, rootless),
    ...(rootless ? [idsRow(probe)] : []),
    limitsRow(session, rootless),
    networkRow(session, tun),
    platformsRow(platforms),
    gitRow(git),
  ]
  const claimed = new Set(rows.flatMap(({ features }) => features))
  return {
    rootless,
    kernel: probe.kernel,
    capabilities: [
      ...rows.map((row) => capabilityOf(row, probe)),
      ...probe.missing.filter(({ feature }) => !claimed.has(feature)).map(unknownFeature),
    ],
    cgroups: session.cgroups,
    network: session.tool,
    platforms,
  }
}

/** A row before the helper's own reasons are put in. */
interface Row extends Omit<Capability, 'detail' | 'fixes'> {
  /** What the helper calls what this row is about. */
  readonly features: readonly string[]
  /** What there is. */
  readonly detail: string
  /** Why there is nothing, where the helper gives no reason, and the command that helps. */
  readonly reason?: string
  readonly fix?: string
}

function capabilityOf({ features, reason, fix, ...row }: Row, { missing }: Probe): Capability {
  const faults = row.works ? [] : missing.filter(({ feature }) => features.includes(feature))
  const reasons =
    faults.length > 0 ? faults.map((fault) => fault.reason) : reason === undefined ? [] : [reason]
  const fixes = faults.length > 0 ? faults.map((fault) => fault.fix) : fix === undefined ? [] : [fix]
  return {
    name: row.name,
    works: row.works,
    required: row.required,
    detail: row.works ? row.detail : reasons.join('; '),
    without: row.without,
    fixes: row.works ? [] : [...new Set(fixes)],
  }
}

/** A newer helper may miss what this program does not know. */
function unknownFeature({ feature, reason, fix, required }: Probe['missing'][number]): Capability {
  return { name: feature, works: false, required, detail: reason, without: undefined, fixes: [fix] }
}

function kernelRows({ overlay, userNamespace, seccomp }: Probe, rootless: boolean): readonly Row[] {
  return [
    {
      name: 'overlayfs',
      works: overlay,
      required: true,
      features: ['overlay'],
      detail: 'mounted in a trial',
      without: 'No step can run.',
    },
    {
      name: 'user namespaces',
      works: userNamespace,
      required: rootless,
      features: ['userNamespace'],
      detail: 'made in a trial',
      without: rootless ? 'Only root can build.' : 'Ordinary users cannot build, and --userns=auto fails.',
    },
    {
      name: 'seccomp',
      works: seccomp,
      required: true,
      features: ['seccomp'],
      detail: 'the filter of steps can be installed',
      without: 'No step can run.',
    },
  ]
}

function idsRow({ newuidmap, newgidmap, subuids, subgids, missing }: Probe): Row {
  const features = ['newuidmap', 'newgidmap', 'subuids', 'subgids', 'idMap']
  const count = subuids.reduce((sum, { length }) => sum + length, 0)
  return {
    name: 'subordinate ids',
    works: !missing.some(({ feature }) => features.includes(feature)),
    required: false,
    features,
    detail: `${count} of /etc/subuid, mapped by ${[newuidmap, newgidmap].join(' and ')}`,
    without: `Images can only have files of root${subgids.length > 0 ? '' : ' and its group'}, and steps no other USER.`,
  }
}

/** What a limit needs, and its controller in cgroup v1 and v2. */
const limited = [
  { what: 'memory', controllers: ['memory'] },
  { what: 'processors', controllers: ['cpu'] },
  { what: 'cpusets', controllers: ['cpuset'] },
  { what: 'processes', controllers: ['pids'] },
  { what: 'block I/O', controllers: ['blkio', 'io'] },
] as const

function limitsRow({ cgroups }: SessionTrial, rootless: boolean): Row {
  const has = (controllers: readonly string[]) =>
    cgroups.some((cgroup) => cgroup.controllers.some((one) => controllers.includes(one)))
  const absent = limited.filter(({ controllers }) => !has(controllers))
  const present = limited.filter((one) => !absent.includes(one))
  const versions = new Set(cgroups.filter((one) => one.controllers.length > 0).map(({ version }) => version))
  const listed = (rows: typeof absent) => rows.map(({ what }) => what).join(', ')
  return {
    name: 'limits',
    works: absent.length === 0,
    required: false,
    features: ['cgroup2', 'cgroups', 'memory', 'cpu', 'cpuset', 'pids', 'io', 'blkio'],
    detail: `${listed(present)} (cgroup v${[...versions].join(' and v')})`,
    reason: `no controllers for ${listed(absent)}`,
    without: 'Steps are not limited in these, and the flags that say so fail.',
    fix: rootless
      ? "mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload (as root; then log in again)"
      : 'mount -t cgroup2 none /sys/fs/cgroup, with the controllers on; in a container, give it a cgroup that it may write to',
  }
}

function networkRow({ tool, reasons }: SessionTrial, tun: boolean): Row {
  const isInstalled = reasons.length > 0
  const device = `this user may not open ${tunDevice}`
  const fix = isInstalled ? `modprobe tun && chmod 0666 ${tunDevice} (as root)` : 'apt-get install passt'
  return {
    name: 'private network',
    works: tool !== undefined,
    required: false,
    features: ['network', 'pasta', 'slirp4netns', 'tun'],
    detail: `by ${tool}`,
    reason: isInstalled ? (tun ? reasons.join('; ') : device) : 'neither pasta nor slirp4netns is installed',
    without: 'Steps have the network of this machine, its loopback too.',
    // What a tool complains of otherwise, no command here mends.
    ...(isInstalled && tun ? {} : { fix }),
  }
}

async function canOpen(path: string): Promise<boolean> {
  return await access(path, constants.R_OK | constants.W_OK).then(
    () => true,
    () => false,
  )
}

function platformsRow(platforms: readonly string[]): Row {
  return {
    name: 'foreign platforms',
    works: platforms.length > 0,
    required: false,
    features: ['platforms', 'binfmt', 'interpreters'],
    detail: platforms.join(', '),
    reason: 'no interpreter is registered with binfmt_misc',
    without: "Steps run for this machine's own platform only.",
    fix: 'apt-get install qemu-user-static binfmt-support',
  }
}

function gitRow(git: Findings['git']): Row {
  const works = 'path' in git
  return {
    name: 'git',
    works,
    required: false,
    features: [],
    detail: works ? git.path : '',
    reason: works ? '' : git.reason,
    without: 'Repositories cannot be contexts, nor sources of ADD.',
    fix: 'apt-get install git',
  }
}

async function findGit(
  env: Readonly<Record<string, string | undefined>>,
  home: string,
): Promise<Findings['git']> {
  try {
    return { path: await locateGit({ env, home }) }
  } catch (error) {
    if (!isBuildError(error) || error.code !== 'ERR_TOOL_MISSING') throw error
    return { reason: error.message.replace(/^Cannot fetch a git repository: /, '') }
  }
}
