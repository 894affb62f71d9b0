export type { Check } from './calls/check.ts'
export { checkDockerfile } from './calls/check.ts'
export type { Outline, OutlineArg, OutlineMount } from './calls/outline.ts'
export { outlineOf } from './calls/outline.ts'
export type { Target } from './calls/targets.ts'
export { targetsOf } from './calls/targets.ts'
export type { UnresolvedImage } from './calls/tolerant.ts'
export { toGraph } from './convert.ts'
export type {
  ContextFacts,
  FrontendOptions,
  FrontendResult,
  FrontendWarning,
  HistoryDraft,
  ImageDraft,
  ImageResolver,
  NamedContext,
  ResolvedImage,
} from './types.ts'
