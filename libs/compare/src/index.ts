export { compareLayers } from './compare-layers.ts'
export { compareValues } from './compare-values.ts'
export { readLayer } from './read-layer.ts'
export type {
  FieldDifference,
  FileDifference,
  ImageComparison,
  LayerComparison,
  LayerEntry,
} from './types.ts'
