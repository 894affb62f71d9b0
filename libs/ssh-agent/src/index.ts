export type { Agent, AgentConnection, AgentSource } from './agent.ts'
export { loadAgent } from './load-agent.ts'
export type { Identity, SignRequest } from './messages.ts'
export { type ServedAgent, serveAgent } from './serve-agent.ts'
