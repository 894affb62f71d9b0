export type { Filesystem, LayerRef } from './layers.ts'
export { emptyFilesystem, withLayer } from './layers.ts'
export type {
  Following,
  ImageLayerRef,
  LayerBlob,
  Overlay,
  PreparedSnapshot,
  Snapshotter,
  SnapshotterOptions,
} from './snapshotter.ts'
export { createSnapshotter, layerFormat, layerMediaType } from './snapshotter.ts'
