export { toGraph } from './convert.ts'
export type {
  FrontendOptions,
  FrontendResult,
  FrontendWarning,
  HistoryDraft,
  ImageDraft,
  ImageResolver,
  ResolvedImage,
} from './types.ts'
