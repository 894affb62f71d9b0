export { engineCandidates, parseEngineAddress } from './find-engine.ts'
export { openEngine } from './open-engine.ts'
export type {
  Engine,
  EngineAddress,
  EngineCandidate,
  EngineIdentity,
  EngineSettings,
  EngineTls,
  LoadOptions,
  LoadResult,
} from './types.ts'
