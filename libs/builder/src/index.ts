export { build, createBuilder } from './create-builder.ts'
export type {
  BootstrapOptions,
  Builder,
  BuilderOptions,
  BuildHandle,
  BuildOptions,
  BuildResult,
  CallOptions,
  CheckReport,
  CheckWarning,
  CompressionSpec,
  DoctorReport,
  LocalImage,
  OutlineReport,
  OutputSpec,
  RunImageOptions,
  TargetsReport,
} from './types.ts'
