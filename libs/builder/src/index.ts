export { build, createBuilder } from './create-builder.ts'
export type {
  BootstrapOptions,
  Builder,
  BuilderOptions,
  BuildHandle,
  BuildOptions,
  BuildResult,
  CompressionSpec,
  DoctorReport,
  LocalImage,
  OutputSpec,
  RunImageOptions,
} from './types.ts'
