import type { Agent, AgentSource } from './agent.ts'
import { readKeyAgent } from './key-agent.ts'
import { socketAgent } from './socket-agent.ts'

/**
 * Gives what `--ssh` names a form that can be served. Key files are read at once, an agent is connected to when it is used.
 *
 * @param onGone called at most once, when an agent does not answer
 * @throws {UserError} `ERR_SSH` if a key cannot be used
 */
export async function loadAgent(source: AgentSource, onGone: (why: string) => void): Promise<Agent> {
  return source.kind === 'agent' ? socketAgent(source.socket, onGone) : await readKeyAgent(source.paths)
}
