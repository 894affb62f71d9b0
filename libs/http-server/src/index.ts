export { failureBody, type Headers, sendBytes, sendEmpty, sendFailure, sendJson } from './answer.ts'
export { failureOf, HttpError, isHttpError } from './failure.ts'
export { defaultLimits } from './limits.ts'
export { refuse } from './permission.ts'
export {
  basicChallenge,
  createHttpServer,
  type HttpServer,
  type HttpServerOptions,
  type TlsFiles,
} from './server.ts'
export { hasControl, printable } from './text.ts'
export type {
  AccessEntry,
  Authenticate,
  Decide,
  Exchange,
  HttpFailure,
  Method,
  Need,
  Params,
  Route,
  ServerLimits,
} from './types.ts'
