import type { ServerLimits } from './types.ts'

/** Limits of a server that says nothing else: each is on. */
export const defaultLimits: ServerLimits = {
  headersMs: 10_000,
  headerBytes: 16 * 1024,
  headerCount: 64,
  targetBytes: 4096,
  idleMs: 60_000,
  bodyPace: 1024,
  keepAliveMs: 65_000,
  connections: 8192,
  inFlight: 1024,
  inFlightPerGrant: 512,
  lingerBytes: 4 * 1024 * 1024,
  lingerMs: 3000,
}
