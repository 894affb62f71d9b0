export type { ArchivedImage, ArchiveImages, ArchiveOptions } from './archive.ts'
export {
  dockerArchiveParts,
  namedDescriptors,
  ociArchiveParts,
  writeArchiveParts,
  writeDockerArchive,
  writeOciArchive,
} from './archive.ts'
export type { ArchiveEntry } from './archive-index.ts'
export { indexArchive, invalidArchive } from './archive-index.ts'
export type { ArchivePart } from './archive-parts.ts'
export type { Statement, StoredAttestation } from './attestations.ts'
export { isAbout, maxStatementBytes, readAttestations, readStatement } from './attestations.ts'
export { descriptorFromJson, descriptorToJson } from './descriptor.ts'
export type { ImageBlobs } from './image-blobs.ts'
export { collectImageBlobs } from './image-blobs.ts'
export { parseImageConfig, serializeImageConfig } from './image-config.ts'
export type { RegisteredInterpreter } from './interpreters.ts'
export { interpreterOf, platformsOf } from './interpreters.ts'
export { invalidDocument, maxDocumentBytes, parseJsonObject } from './json-document.ts'
export { findInLayout, readLayoutIndex } from './layout.ts'
export { openLayoutFile, readLayoutFile } from './layout-files.ts'
export type { ManifestOrIndex } from './manifest.ts'
export {
  parseIndex,
  parseManifest,
  parseManifestOrIndex,
  serializeIndex,
  serializeManifest,
} from './manifest.ts'
export {
  acceptedManifestTypes,
  attestationManifestType,
  isIndexType,
  isManifestType,
  mediaTypes,
  predicateTypeAnnotation,
} from './media-types.ts'
export type { PackageUrl } from './package-url.ts'
export { formatPackageUrl, imagePackageUrl } from './package-url.ts'
export {
  compatiblePlatforms,
  formatPlatform,
  formatPlatforms,
  hostPlatform,
  isAttestation,
  listPlatforms,
  normalizePlatform,
  parsePlatform,
  runsFor,
  samePlatform,
  selectPlatform,
} from './platform.ts'
export type { OpenBlob } from './read-blob.ts'
export { readDocument } from './read-blob.ts'
export { familiarName, formatReference, parseReference, withDefaultTag } from './reference.ts'
export type {
  ArchiveImage,
  Descriptor,
  Healthcheck,
  HistoryEntry,
  ImageConfig,
  ImageReference,
  Index,
  Manifest,
  Platform,
  RuntimeConfig,
} from './types.ts'
export type { ImageToValidate } from './validate-image.ts'
export { validateImage } from './validate-image.ts'
