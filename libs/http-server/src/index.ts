export type { Exchange, HttpFailure, Method, Params, Route } from './types.ts'
