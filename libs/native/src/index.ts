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
  Limits,
  Missing,
  Mount,
  Outcome,
  OutcomeOf,
  Port,
  Reply,
  Request,
  Root,
  RunRequest,
  Selected,
  Selection,
  SessionCgroup,
  SessionNetwork,
  SessionRequest,
  SubordinateRange,
  Tree,
  Ulimit,
} from './protocol.ts'
export { noLimits, protocolVersion } from './protocol.ts'
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
