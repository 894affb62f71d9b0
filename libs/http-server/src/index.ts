export { type Headers, sendBytes, sendEmpty, sendJson } from './answer.ts'
export { HttpError, isHttpError } from './failure.ts'
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
