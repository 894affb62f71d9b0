import type { EventSink } from '@tsbuild/events'
import { type Agent, loadAgent, openSocketPath, type ServedAgent, serveAgent } from '@tsbuild/ssh-agent'
import type { Machine } from './machine.ts'
import type { BuildOptions } from './types.ts'

/** The ssh agents that the caller of a build gave to it. */
export interface SshAgents {
  /** Serves one to one step, which closes it; undefined for an id that was not given. */
  readonly forStep: (id: string, signal: AbortSignal) => Promise<ServedAgent | undefined>
  /** SSH_AUTH_SOCK of git where it fetches: serves the agent `default`; undefined if that was not given. */
  readonly forGit: string | undefined
}

/** What {@link withSshAgents} needs of a build, or of a shell. */
export interface SshRun {
  readonly machine: Machine
  readonly options: Pick<BuildOptions, 'ssh'>
  readonly events: EventSink
}

/** The id that means the agent of fetches too, as in BuildKit. */
const defaultId = 'default'

/**
 * Runs `body` with the agents of a build, and closes what it left open. Keys are read before it starts, so that a bad one is no
 * late surprise.
 *
 * @throws {UserError} `ERR_SSH` if a key cannot be used, and what `body` throws
 */
export async function withSshAgents<Run extends SshRun, T>(
  run: Run,
  body: (run: Run & { readonly ssh: SshAgents }) => Promise<T>,
): Promise<T> {
  const { machine, options, events } = run
  const gone = (id: string) => (why: string) => {
    const message = `The ssh agent "${id}" does not answer, so nothing can be signed with it: ${why}`
    events({ type: 'warning', rule: 'SshAgent', message, source: null, at: machine.now() })
  }
  const agents = new Map<string, Agent>()
  for (const [id, source] of Object.entries(options.ssh ?? {}))
    agents.set(id, await loadAgent(source, gone(id)))
  const closings: (() => Promise<void>)[] = []
  const serve = async (agent: Agent): Promise<ServedAgent> => {
    const served = await serveAgent(agent, await machine.store.sources.scratch())
    closings.push(() => served.close())
    return served
  }
  try {
    const agent = agents.get(defaultId)
    const forGit = agent === undefined ? undefined : await reachable(await serve(agent), closings)
    const forStep: SshAgents['forStep'] = async (id, signal) => {
      signal.throwIfAborted()
      const wanted = agents.get(id)
      return wanted === undefined ? undefined : await serve(wanted)
    }
    return await body({ ...run, ssh: { forStep, forGit } })
  } finally {
    for (const close of closings) await close()
  }
}

/** A path that programs started here can connect to, however deep the store lies. */
async function reachable({ socket }: ServedAgent, closings: (() => Promise<void>)[]): Promise<string> {
  const { path, close } = await openSocketPath(socket, process.pid)
  closings.push(close)
  return path
}
