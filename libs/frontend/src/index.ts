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
