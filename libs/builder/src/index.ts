export type {
  FieldDifference,
  FileDifference,
  ImageComparison,
  LayerComparison,
} from '@tsbuild/compare'
export type { Checked, Finding, FindingKind, VerifyReport } from '@tsbuild/fsck'
export type {
  BuildFailure,
  BuildList,
  BuildOutcome,
  BuildRecord,
  BuildStep,
  HistoryLimits,
  LogChunk,
  ReadLogOptions,
} from '@tsbuild/history'
export { historyFormat } from '@tsbuild/history'
export type { Compression } from '@tsbuild/native'
export type { CacheSource, CacheTarget, CiIdentity, ServerPlace } from '@tsbuild/remote-cache'
export type {
  AttestationSpecs,
  BuiltProvenance,
  ProvenanceSpec,
  SbomSpec,
} from './attestations/attestation-types.ts'
export type { CompareImagesOptions } from './compare-images.ts'
export { build, createBuilder, generateSigningKeyPair, verify } from './create-builder.ts'
export type {
  ContextFile,
  ExplainedHit,
  ExplainedMiss,
  ExplainedTransfer,
  ExplainOptions,
  ExplainReport,
} from './explain-types.ts'
export type {
  AttestationReport,
  CopyImageOptions,
  CopyReport,
  CreatedIndex,
  CreateIndexOptions,
  ImageCallOptions,
  ImageCalls,
  ImageReport,
  Inspection,
  InspectOptions,
  LayerReport,
  ListedImage,
  ListImagesOptions,
  LoadedImage,
  LoadImagesOptions,
  ManifestReport,
  MovedImage,
  PlatformReport,
  PullOptions,
  PushOptions,
  RemovedImage,
  RemoveImagesOptions,
  SaveImagesOptions,
} from './image-types.ts'
export type {
  AnnotationLevel,
  AnnotationSpec,
  ArchiveOutput,
  CompressionSpec,
  DirectoryOutput,
  EngineOutput,
  ImageOutput,
  ImageSettings,
  OutputSpec,
  TarOutput,
} from './output-types.ts'
export type {
  BootstrapOptions,
  FailedStep,
  RunImageOptions,
  ShellOptions,
  StepLimits,
  Volume,
} from './run-types.ts'
export type {
  AttestImageOptions,
  KeyText,
  SignatureCalls,
  SignedImageReport,
  SignImageOptions,
  VerifiedImageReport,
  VerifyImageOptions,
} from './signature-types.ts'
export type {
  DiskUsageReport,
  PruneChoice,
  PrunedItem,
  PruneRequest,
  PruneResult,
  SpaceItem,
  SpaceLimit,
  SpaceLimits,
} from './space-types.ts'
export type {
  Builder,
  BuilderOptions,
  BuildHandle,
  BuildLog,
  BuildOptions,
  BuildResult,
  BuildSelection,
  BuiltImage,
  CallOptions,
  Capability,
  CheckReport,
  CheckWarning,
  DoctorReport,
  LocalImage,
  OutlineReport,
  OutputEntitlement,
  RemovedBuild,
  ReportSource,
  SshSource,
  TargetsReport,
  VerifyOptions,
} from './types.ts'
