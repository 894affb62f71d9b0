export type { ArchiveCallOptions, LoadedImage, SaveOptions } from './archives.ts'
export { loadArchive, saveArchive } from './archives.ts'
export type { CopiedImage, CopyOptions } from './copy-image.ts'
export {
  copyImage,
  copyTree,
  putTree,
  withSource,
  withTarget,
} from './copy-image.ts'
export type { IndexAnnotation, IndexOptions, IndexPart } from './create-index.ts'
export { createIndex } from './create-index.ts'
export type { NamedLayoutImage } from './directory-layout.ts'
export { openDirectoryTarget } from './directory-layout.ts'
export type { FoundImage } from './find-local-image.ts'
export { findLocalImage } from './find-local-image.ts'
export type { ImageTree } from './image-tree.ts'
export { readImageTree } from './image-tree.ts'
export { openSource, openTarget } from './open-place.ts'
export type { ImagePlace } from './place.ts'
export { formatImagePlace, parseImagePlace } from './place.ts'
export { localName } from './store-place.ts'
export type {
  BlobProgress,
  BlobSource,
  ImageDocument,
  ImageSource,
  ImageTarget,
  OnProgress,
  PlacedImage,
  PlaceOptions,
  PutOptions,
  Selection,
} from './types.ts'
