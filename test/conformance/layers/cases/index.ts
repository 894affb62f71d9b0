import type { Host, LayerCase } from '../layer-case.ts'
import { attributes } from './attributes.ts'
import { breakouts } from './breakouts.ts'
import { headers } from './headers.ts'
import { scoping } from './scoping.ts'
import { sizes } from './sizes.ts'
import { whiteouts } from './whiteouts.ts'

/** The whole corpus. */
export const layerCases = (host: Host): readonly LayerCase[] => [
  ...breakouts,
  ...scoping(host),
  ...whiteouts,
  ...headers,
  ...attributes,
  ...sizes,
]
