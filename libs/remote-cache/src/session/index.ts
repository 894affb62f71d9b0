export type { Exports, ExportsOptions, ExportTarget, SolvedLayer } from './exports.ts'
export { openExports } from './exports.ts'
export type { Caches, CachesOptions } from './open-caches.ts'
export { openCaches } from './open-caches.ts'
