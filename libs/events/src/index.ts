export type { EventQueue } from './event-queue.ts'
export { createEventQueue } from './event-queue.ts'
export type {
  BuildEvent,
  CacheSource,
  ContentRead,
  EventSink,
  Millis,
  MissCode,
  MissReason,
  TransferOutcome,
  VertexRole,
} from './events.ts'
export { toNdjson } from './ndjson.ts'
export { createRawJsonWriter, toRawWarning } from './raw-json.ts'
export { teeSinks } from './tee-sinks.ts'
