export type { HelperTarget } from './call.ts'
export { findHelper } from './find-helper.ts'
export { rootlessIdMap } from './id-map.ts'
export type {
  ApplyRequest,
  Cancellable,
  CopyOptions,
  DiffRequest,
  Finishing,
  Native,
  ReadOptions,
  RunOutput,
  ScanOptions,
  ScanResult,
  Staged,
  WrittenLayer,
} from './native.ts'
export { createNative } from './native.ts'
export { parseReply } from './parse-reply.ts'
export type {
  ApplyLimits,
  Compression,
  Envelope,
  FileAction,
  Finish,
  IdMap,
  IdRange,
  LayerFormat,
  Missing,
  Mount,
  Outcome,
  OutcomeOf,
  Reply,
  Request,
  Root,
  RunRequest,
  Selected,
  Selection,
  SubordinateRange,
  Tree,
} from './protocol.ts'
export { protocolVersion } from './protocol.ts'
