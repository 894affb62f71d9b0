export { bitmapType, decodeBitmap, encodeBitmap } from './bitmap.ts'
export {
  maxDigestListBytes,
  maxDigests,
  maxKeys,
  maxPlanBytes,
  maxPutBytes,
  maxPutRecords,
  maxRecordBytes,
  maxReplyBytes,
} from './limits.ts'
export {
  parseCapabilities,
  parseLookup,
  parseLookupReply,
  parseMissing,
  parseMissingReply,
  parsePutOutcome,
  parsePutRecords,
  parsePutRecordsReply,
} from './messages.ts'
export { type EvaluatedStep, evaluatePlan, evaluatePlanSliced } from './plan.ts'
export { parsePlan } from './plan-message.ts'
export { decodePayload, encodePayload, encodeRecord, isSameResult, parseRecord } from './record.ts'
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
export { stepPayloadType } from './types.ts'
