import type {
  Connection,
  Native,
  NativeSession,
  OutcomeOf,
  RunNamespaces,
  SessionParts,
  SessionRequest,
  Staged,
} from '@tsbuild/native'

/** A run that the fake was asked for. */
export interface FakeRun {
  readonly request: Parameters<Native['run']>[0]
  readonly output: Parameters<Native['run']>[1]
  readonly options: NonNullable<Parameters<Native['run']>[2]>
}

/** A session that the fake was asked for. */
export interface FakeSession {
  readonly request: Omit<SessionRequest, 'op'>
  readonly namespaces: RunNamespaces
  /** As when its helper is killed. */
  readonly lose: (error: Error) => void
  ends: number
}

/** What the fake does where a test wants more than success. */
export interface FakeBehaviour {
  readonly rootless?: boolean
  /** What keeps a session from being ready. */
  readonly refuse?: (request: Omit<SessionRequest, 'op'>) => Error | undefined
  /** What keeps its network from being connected. */
  readonly disconnect?: (request: Omit<SessionRequest, 'op'>) => Error | undefined
  readonly parts?: Partial<SessionParts>
  /** How a run ends; default: with exit code 0, at once. */
  readonly run?: (run: FakeRun) => Promise<OutcomeOf<'run'>>
}

/** What every run uses, unless told otherwise. */
export const succeeded: OutcomeOf<'run'> = {
  op: 'run',
  exitCode: 0,
  signal: null,
  exceeded: null,
  userMicros: 1,
  systemMicros: 2,
  peakMemoryBytes: 3,
  readBytes: 4,
  writtenBytes: 5,
}

const connection: Connection = { dns: '10.0.2.3', address: '10.0.2.15' }

/** The cgroup that the fake's sessions have. */
export const cgroups: SessionParts['cgroups'] = [
  { version: 1, controllers: ['memory', 'pids'], path: '/sys/fs/cgroup/memory/tsbuild-1' },
]

/** The helper, as far as an executor uses it: it notes what it is asked. Anything else is refused. */
export function fakeNative(behaviour: FakeBehaviour = {}) {
  const runs: FakeRun[] = []
  const sessions: FakeSession[] = []
  const methods: Pick<Native, 'run' | 'session' | 'rootless'> = {
    rootless: behaviour.rootless ?? false,
    run(request, output, options = {}): Staged<'run'> {
      const run = { request, output, options }
      runs.push(run)
      const outcome = behaviour.run?.(run) ?? Promise.resolve(succeeded)
      const finished = outcome.then(() => undefined)
      finished.catch(() => {})
      return { outcome, content: finished, finished }
    },
    session(request) {
      const [session, native] = fakeSession(request, behaviour, sessions.length)
      sessions.push(session)
      return native
    },
  }
  const native = new Proxy(methods as Native, {
    get(target, name) {
      if (name === 'run' || name === 'session' || name === 'rootless') return target[name]
      throw new RangeError(`an executor does not use "${String(name)}"`)
    },
  })
  return { native, runs, sessions }
}

function fakeSession(
  request: Omit<SessionRequest, 'op'>,
  behaviour: FakeBehaviour,
  index: number,
): [FakeSession, NativeSession] {
  let resolve = () => {}
  let reject: (error: Error) => void = () => {}
  const ended = new Promise<void>((end, lose) => {
    resolve = end
    reject = lose
  })
  // As of the real one: whoever does not wait for it does not miss it.
  ended.catch(() => {})
  const namespaces = request.network === null ? {} : { networkFd: 100 + index }
  const session: FakeSession = { request, namespaces, ends: 0, lose: reject }
  const refused = behaviour.refuse?.(request)
  const failed = refused ?? (request.network === null ? undefined : behaviour.disconnect?.(request))
  const parts = { cgroups, unlimited: [], namespaces, ...behaviour.parts }
  const after = <T>(error: Error | undefined, value: T) => {
    const settled = error === undefined ? Promise.resolve(value) : Promise.reject<T>(error)
    settled.catch(() => {})
    return settled
  }
  if (failed !== undefined) reject(failed)
  return [
    session,
    {
      ready: after(refused, parts),
      connected: after(failed, request.network === null ? undefined : connection),
      ended,
      async end() {
        session.ends++
        resolve()
      },
    },
  ]
}
