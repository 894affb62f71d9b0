export type { HasBlob } from './find-records.ts'
export { type HealthRoutesOptions, healthRoutes } from './health-routes.ts'
export {
  type RecordName,
  readStoredRecord,
  recordObject,
  recordPrefix,
  type StoredRecord,
  scopeFolder,
} from './layout.ts'
export { createMetrics, type Metrics } from './metrics.ts'
export { defaultQuota, Quota, type QuotaLimits } from './quota.ts'
export { openRecordService, RecordService, type RecordServiceOptions } from './record-service.ts'
export { type CacheRoutesOptions, cacheRoutes } from './routes.ts'
export { Tally } from './tally.ts'
export { forgetUses, readUses } from './uses.ts'
