export { createProvenance } from './create-provenance.ts'
export { buildTypes } from './predicate.ts'
export type {
  BuildDescription,
  Material,
  Provenance,
  ProvenanceOptions,
} from './types.ts'
