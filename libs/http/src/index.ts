export { isForeignHost, isLoopbackHost, leadsInside, withoutBrackets } from './addresses.ts'
export type { NetworkFault } from './failures.ts'
export {
  cancelled,
  errorCode,
  isTransientStatus,
  LocalFailure,
  networkFault,
  parseHttpDate,
  retryAfterMs,
  TransientFailure,
} from './failures.ts'
export type { Pace } from './pace.ts'
export { progressBytes, startPace } from './pace.ts'
export type { Attempted, RetryContext, Tries } from './retry.ts'
export { sleepFor, withRetry } from './retry.ts'
export type { HttpRequest, HttpResponse, Transport, TransportOptions } from './transport.ts'
export { createTransport, isRedirect, maxRedirects, userAgent } from './transport.ts'
export type { ProxySettings, RetrySettings, TimeoutSettings } from './types.ts'
