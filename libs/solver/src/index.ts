export { contentKey, definitionKey, outputKey } from './keys.ts'
export { solve } from './solve.ts'
export type {
  CacheRecord,
  CacheStore,
  ContentKey,
  ExecuteContext,
  Executed,
  InputKeying,
  RecordedInput,
  Solution,
  SolveOptions,
  SolverOp,
  SourceOp,
  StepOp,
  ViewOp,
} from './types.ts'
