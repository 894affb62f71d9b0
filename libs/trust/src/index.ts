export type {
  Decision,
  Envelope,
  Grant,
  Operation,
  Scope,
  Target,
  TrustedKey,
  TrustPolicy,
  Verified,
} from './types.ts'
