export type {
  Capabilities,
  LookupReply,
  LookupRequest,
  MissingReply,
  MissingRequest,
  PlanInput,
  PlanKnownInput,
  PlanRequest,
  PlanStep,
  PutOutcome,
  PutRecordsReply,
  PutRecordsRequest,
  StepIdentity,
  StepPayload,
  StepRecord,
  StepResult,
} from './types.ts'
export { maxKeys, stepPayloadType } from './types.ts'
