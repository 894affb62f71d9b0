export type { HasBlob } from './find-records.ts'
export { Collector, type CollectorOptions } from './gc/collector.ts'
export type { RecordRules } from './gc/record-keeper.ts'
export type { CollectReport, Holder, Keeper, Retention, SpaceLimits, Sweep } from './gc/types.ts'
export { Upkeep, type UpkeepOptions } from './gc/upkeep.ts'
export { addUpkeepMetrics } from './gc/upkeep-metrics.ts'
export { type HealthRoutesOptions, healthRoutes } from './health-routes.ts'
export { type RecordName, recordObject, type StoredRecord } from './layout.ts'
export { createMetrics, type Metrics } from './metrics.ts'
export { defaultQuota, Quota, type QuotaLimits } from './quota.ts'
export type { RecordLimits } from './record-room.ts'
export { openRecordService, RecordService, type RecordServiceOptions } from './record-service.ts'
export { type CacheRoutesOptions, cacheRoutes } from './routes.ts'
export {
  type Damage,
  Scrubber,
  type ScrubberOptions,
  type ScrubCounts,
  type ScrubTarget,
} from './scrub/scrubber.ts'
export { readUses } from './uses.ts'
