export type { Checked, Finding, FindingKind, Outcome, VerifyOptions, VerifyReport } from './types.ts'
export { verifyStore } from './verify-store.ts'
