export { assembleImage } from './assemble-image.ts'
export { layerFormOf } from './assemble-layer.ts'
export type { PlatformImage, TreeParts } from './assemble-tree.ts'
export { assembleTree, refuseIndexAnnotations } from './assemble-tree.ts'
export type { AttestationManifest, AttestationParts } from './attestation-manifest.ts'
export { attestationManifest, storeAttestations } from './attestation-manifest.ts'
export type { DirectoryOptions, ExtraFile, PlatformFiles, TarOptions } from './export-files.ts'
export { exportDirectory, exportTar } from './export-files.ts'
export type { PushOptions } from './export-image.ts'
export { exportArchive, exportToStore, fetchLayers, pushImage } from './export-image.ts'
export type { FileSubject } from './file-statement.ts'
export { fileStatement, fileSubjects } from './file-statement.ts'
export { openTree } from './open-tree.ts'
export type {
  AssembledImage,
  AssembledLayer,
  AssembledTree,
  Attestation,
  ConfigLayer,
  ConfigMembers,
  ExportContext,
  ExporterOptions,
  ImageAnnotations,
  ImageForm,
  ImageParts,
  IndexAnnotations,
} from './types.ts'
export { assertOutputPlace, writeOutput } from './write-output.ts'
