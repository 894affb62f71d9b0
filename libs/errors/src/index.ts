export { durationText, sizeText } from './amounts.ts'
export type { BuildErrorOptions, ErrorKind } from './build-error.ts'
export {
  BuildError,
  EnvironmentError,
  InternalError,
  isBuildError,
  UserError,
  withDetails,
  withHints,
  withSource,
} from './build-error.ts'
export type { ErrorCode, ErrorCodeRow } from './codes.ts'
export { errorCodes, isErrorCode } from './codes.ts'
export { redact } from './redact.ts'
export type { SourceRange } from './source-range.ts'
export { didYouMean, editDistance, nearest } from './suggest.ts'
