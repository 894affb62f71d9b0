export type { LayerForm } from '@tsbuild/native'
export { cachedLayerJson, parseCachedLayer } from './cached-layer-json.ts'
export type { CachedLayers } from './cached-layers.ts'
export { blobInForm, blobToUnpack } from './cached-layers.ts'
export type { FetchWatcher } from './growing-blob.ts'
export type { FetchLayer } from './layer-fetches.ts'
export type { LayerBlob } from './layer-format.ts'
export { knownFormat, layerFormat, layerMediaType, storedForm } from './layer-format.ts'
export type {
  BlobRef,
  CachedBlobRef,
  CachedLayerRef,
  Filesystem,
  ImageLayerRef,
  LayerRef,
} from './layers.ts'
export { emptyFilesystem, withLayer } from './layers.ts'
export type { MergingLimits } from './merged-runs.ts'
export type { Following, Overlay, PreparedSnapshot, Snapshotter, SnapshotterOptions } from './snapshotter.ts'
export { createSnapshotter } from './snapshotter.ts'
export { layerLimits } from './stored-blob.ts'
