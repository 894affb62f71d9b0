export type { KeyValue } from './canonical.ts'
export { canonical, digestKey } from './canonical.ts'
export type { ChainId, DiffId, Digest } from './digest.ts'
export {
  chainIdOf,
  chainUpon,
  digestBytes,
  digestFromHex,
  digestHex,
  isDigest,
  parseDiffId,
  parseDigest,
} from './digest.ts'
export type { Expected } from './verifying-stream.ts'
export { verifyingStream } from './verifying-stream.ts'
