export type { HelperTarget } from './call.ts'
export type { FoundFile, FoundFiles, FoundSection, Wanted } from './find.ts'
export { findHelper } from './find-helper.ts'
export { rootlessIdMap } from './id-map.ts'
export type {
  Cancellable,
  Connection,
  CopyOptions,
  Finishing,
  Native,
  NativeSession,
  ProcessOptions,
  ReadOptions,
  RunNamespaces,
  RunOptions,
  RunOutput,
  RunSignal,
  ScanOptions,
  ScanResult,
  SessionParts,
  Staged,
  WrittenLayer,
} from './native.ts'
export { createNative } from './native.ts'
export { parseReply } from './parse-reply.ts'
export type {
  Envelope,
  Exceeded,
  FileAction,
  Finish,
  IdMap,
  IdRange,
  Interpreter,
  Missing,
  Outcome,
  OutcomeOf,
  Reply,
  Request,
  Root,
  Selected,
  Selection,
  SubordinateRange,
  Tree,
} from './protocol.ts'
export type {
  ApplyLimits,
  ApplyRequest,
  Compression,
  CompressionFormat,
  ConvertRequest,
  DiffRequest,
  LayerForm,
  LayerFormat,
  Part,
} from './protocol-layers.ts'
export type {
  Limits,
  Mount,
  Port,
  RunRequest,
  SessionCgroup,
  SessionNetwork,
  SessionRequest,
  Ulimit,
} from './protocol-run.ts'
export { noLimits } from './protocol-run.ts'
