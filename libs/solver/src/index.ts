export { definitionKey, layerKey, outputKey } from './keys.ts'
export { solve } from './solve.ts'
export type {
  CacheRecord,
  CacheStore,
  ContentKey,
  ExecuteContext,
  Executed,
  InputKeying,
  Miss,
  PlannedInput,
  PlannedStep,
  RecordedInput,
  Solution,
  SolvedStep,
  SolveOptions,
  SolverOp,
  SourceOp,
  StepOp,
  ViewOp,
  WantedRecord,
} from './types.ts'
