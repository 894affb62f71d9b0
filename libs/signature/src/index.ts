export { attachedTag } from './attached.ts'
export { type AttestOptions, attestImage } from './attest-image.ts'
export { copyAttached } from './copy-attached.ts'
export {
  type AskPassword,
  generateSigningKeyPair,
  type KeyPairFiles,
  readSigningKey,
  readVerifyingKey,
} from './keys.ts'
export { predicateTypeOf } from './predicate-types.ts'
export { registryPlace } from './registry-place.ts'
export { signImage } from './sign-image.ts'
export type {
  SignaturePlace,
  SignedImage,
  SigningKey,
  SignOptions,
  ValidAttestation,
  ValidSignature,
  VerifiedImage,
  VerifyingKey,
  VerifyOptions,
  WritableSignaturePlace,
} from './types.ts'
export { verifyAttestation } from './verify-attestation.ts'
export { verifyImage } from './verify-image.ts'
