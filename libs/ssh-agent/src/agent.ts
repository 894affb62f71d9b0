import type { Identity, SignRequest } from './messages.ts'

/** Where signatures come from. */
export type AgentSource =
  /** The socket of the user's agent; an absolute path. */
  | { readonly kind: 'agent'; readonly socket: string }
  /** Private keys without a passphrase; absolute paths. */
  | { readonly kind: 'keys'; readonly paths: readonly string[] }

/** What can list keys and sign, and nothing else. */
export interface Agent {
  /** Opens what one client uses. */
  open(): AgentConnection
}

/** What one client of an {@link Agent} uses; one call at a time. Undefined answers say no. */
export interface AgentConnection {
  identities(): Promise<readonly Identity[] | undefined>
  /** Resolves to the signature as ssh writes it. */
  sign(request: SignRequest): Promise<Buffer | undefined>
  close(): void
}
