import { EnvironmentError, InternalError, isBuildError, UserError, withHints } from '@tsbuild/errors'
import {
  type Connection,
  type Limits,
  type Native,
  type NativeSession,
  noLimits,
  type Port,
  type RunNamespaces,
  type SessionCgroup,
  type SessionNetwork,
  type SessionParts,
} from '@tsbuild/native'
import { assertEnforced, withDefaults } from './limits.ts'

/** What is tried for a private network, in this order. */
export const networkTools = ['pasta', 'slirp4netns'] as const

/** What the processes of one executor share; made when the first one asks for it. */
export interface Surroundings {
  /**
   * What a process of this network is run with.
   *
   * @throws {EnvironmentError} `ERR_CGROUP` for a limit that cannot be had, `ERR_SESSION_LOST`, and what keeps a session from
   *   being made
   */
  enter(network: 'default' | 'none' | 'host'): Promise<Place>
  /** Fires, with the error as its reason, when what processes share was ended from outside. */
  readonly lost: AbortSignal
  /** Ends everything that was made; never rejects. */
  end(): Promise<void>
}

/** See {@link Surroundings.enter}. */
export interface Place {
  readonly cgroups: readonly SessionCgroup[]
  readonly network:
    | { readonly kind: 'none' | 'host' }
    | { readonly kind: 'session'; readonly namespaces: RunNamespaces; readonly dns: string }
}

/** See {@link createSurroundings}. */
export interface SurroundingsOptions {
  readonly native: Native
  readonly randomId: () => string
  readonly limits: Limits
  readonly processLimits: Limits
  readonly defaults: Limits
  readonly cgroupParent: string | undefined
  readonly ports: readonly Port[]
  readonly onNotice: (rule: string, message: string) => void
}

/** A session that is ready, and connected where that was asked for. */
interface Made {
  readonly parts: SessionParts
  readonly connection: Connection | undefined
}

/**
 * Creates the surroundings; nothing is started yet.
 *
 * One session has the cgroups, and the network too if the first process wants it. Where the first one does not, a second
 * session makes the network when a later one does: a session cannot be given one afterwards.
 */
export function createSurroundings(options: SurroundingsOptions): Surroundings {
  const sessions = createSessions(options)
  let first: Promise<Made> | undefined
  let network: Promise<Made | undefined> | undefined
  const withNetwork = (limits: Limits) => connect(sessions, options, limits)
  return {
    lost: sessions.lost,
    async enter(wanted) {
      const limits = withDefaults(options.limits, options.defaults)
      if (wanted === 'default' && network === undefined) {
        network = first === undefined ? withNetwork(limits) : withNetwork(noLimits)
        first ??= network.then((made) => made ?? sessions.make(limits, null))
      }
      first ??= sessions.make(limits, null)
      const [shared, private_] = await Promise.all([first, wanted === 'default' ? network : undefined])
      sessions.assertUsable()
      assertEnforced(options, shared.parts)
      return { cgroups: shared.parts.cgroups, network: placeOf(wanted, private_) }
    },
    end: sessions.end,
  }
}

function placeOf(wanted: 'default' | 'none' | 'host', made: Made | undefined): Place['network'] {
  if (wanted !== 'default') return { kind: wanted }
  if (made?.connection === undefined) return { kind: 'host' }
  return { kind: 'session', namespaces: made.parts.namespaces, dns: made.connection.dns }
}

/** What can be said of every session. */
interface Sessions {
  /** Makes one and waits until it can be used. */
  make(limits: Limits, network: SessionNetwork | null): Promise<Made>
  /** Throws where what was made is gone. */
  assertUsable(): void
  readonly lost: AbortSignal
  end(): Promise<void>
}

function createSessions({ native, randomId, cgroupParent }: SurroundingsOptions): Sessions {
  const open = new Set<NativeSession>()
  const lost = new AbortController()
  let isOver = false
  const assertUsable = () => {
    lost.signal.throwIfAborted()
    if (isOver) throw new InternalError('ERR_INTERNAL', 'An executor that was closed runs nothing')
  }
  return {
    assertUsable,
    lost: lost.signal,
    async make(limits, network) {
      assertUsable()
      const session = native.session({
        id: randomId(),
        cgroupParent: cgroupParent ?? null,
        limits,
        network,
      })
      open.add(session)
      session.ended.catch(() => {})
      try {
        const [parts, connection] = await Promise.all([session.ready, session.connected])
        session.ended.catch((cause) => {
          if (!isOver) lost.abort(lostError(cause))
        })
        return { parts, connection }
      } catch (error) {
        open.delete(session)
        await session.end().catch(() => {})
        throw error
      }
    },
    async end() {
      isOver = true
      // One that was lost has nothing to end, and the processes in it have said so.
      await Promise.allSettled([...open].map((session) => session.end()))
    },
  }
}

function lostError(cause: unknown): EnvironmentError {
  return new EnvironmentError(
    'ERR_SESSION_LOST',
    'Cannot go on: the helper that holds the network and the limits of the steps was ended from outside',
    {
      cause,
      hints: ['Was it killed, or did the machine run out of memory? The build can be started again.'],
    },
  )
}

/**
 * Makes a session with a private network, with the first tool that works.
 *
 * @returns undefined where none does, which was said then
 * @throws {EnvironmentError} why, where ports are published, which only a private network can
 */
async function connect(
  sessions: Sessions,
  { ports, onNotice }: SurroundingsOptions,
  limits: Limits,
): Promise<Made | undefined> {
  const failures: Error[] = []
  for (const tool of networkTools) {
    try {
      return await sessions.make(limits, { tool, ports })
    } catch (error) {
      if (!isBuildError(error) || (error.code !== 'ERR_TOOL_MISSING' && error.code !== 'ERR_NETWORK'))
        throw error
      failures.push(error)
    }
  }
  const broken = failures.find((failure) => isBuildError(failure) && failure.code === 'ERR_NETWORK')
  if (ports.length > 0) {
    throw withHints(broken ?? failures[0], ['`tsbuild doctor` says what a private network needs here.'])
  }
  const why =
    broken === undefined
      ? 'neither pasta nor slirp4netns is installed'
      : `none can be made: ${reasonOf(broken.message)}`
  onNotice('PrivateNetworkMissing', privateNetworkMissing(why, broken === undefined))
  return undefined
}

/** The last line is why a tool ended; before it pasta says what it does, and once a line that there is no syslog to say it to. */
function reasonOf(message: string): string {
  const [, front = '', said = message] = /^(\S+ does not connect the network: )(.*)$/s.exec(message) ?? []
  const lines = said.split('; ').filter((line) => !line.startsWith('Failed to send'))
  return `${front}${lines.at(-1) ?? said}`
}

function privateNetworkMissing(why: string, installable: boolean): string {
  const fix = installable ? 'Install the package passt (`apt-get install passt`)' : 'See `tsbuild doctor`'
  return `Steps have the network of this machine, and reach what listens on its loopback: they have no private network, as ${why}. ${fix}, or give them none with \`--network none\`.`
}

/**
 * Waits for something that others wait for too; it is not begun where nobody wants it any more.
 * @throws {UserError} `ERR_CANCELLED` as soon as the signal fires
 */
export function untilAborted<T>(begin: () => Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return begin()
  return new Promise((resolve, reject) => {
    const stop = () => reject(new UserError('ERR_CANCELLED', 'The build was cancelled'))
    if (signal.aborted) return stop()
    signal.addEventListener('abort', stop, { once: true })
    begin()
      .then(resolve, reject)
      .finally(() => signal.removeEventListener('abort', stop))
  })
}
