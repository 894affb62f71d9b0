export {
  type Authenticate,
  type AuthenticatorOptions,
  type Credentials,
  createAuthenticator,
  readAuthorization,
} from './authorization.ts'
export { decide, type Needs, permissions } from './decide.ts'
export {
  addSignature,
  envelopeOf,
  maxSignatures,
  parseEnvelope,
  signEnvelope,
  verifyEnvelope,
  verifyForScope,
} from './envelope.ts'
export { compileGlob, type Glob, matchesAny } from './glob.ts'
export { accountOf, localScope, loopbackGrant, nobody, publicGrant } from './grants.ts'
export {
  formatPublicKey,
  formatSigningKey,
  keyIdOf,
  parsePublicKey,
  parseSigningKey,
  signingKeyOf,
  trustedKey,
} from './key.ts'
export { keysFor, parseKeysFile } from './policy.ts'
export { isScope, parseScope, type ScopeParts, scopeParts } from './scope.ts'
export { isScopeRepository, repositoryOfScope, scopeOfRepository } from './scope-repository.ts'
export {
  maxTokenLength,
  mintToken,
  readUnverified,
  type TokenClaims,
  type TokenRules,
  type TokenVerdict,
  verifyToken,
} from './token.ts'
export type {
  Decision,
  Envelope,
  Grant,
  Operation,
  Scope,
  SigningKey,
  Target,
  TrustedKey,
  TrustPolicy,
  TrustRule,
  Verified,
} from './types.ts'
