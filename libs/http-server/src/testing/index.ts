export { type RunningServer, requestRaw, routeOf, sendRaw, somebody, startServer, statusOf } from './raw.ts'
