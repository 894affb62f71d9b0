export type { HasBlob } from './find-records.ts'
export { Collector, type CollectorOptions } from './gc/collector.ts'
export type { RecordRules } from './gc/record-keeper.ts'
export { boundedStore, Room } from './gc/room.ts'
export {
  type CollectReport,
  type Holder,
  type Keeper,
  type Retention,
  type SpaceLimits,
  type Sweep,
  spaceLimits,
} from './gc/types.ts'
export { Upkeep, type UpkeepOptions } from './gc/upkeep.ts'
export { addUpkeepMetrics } from './gc/upkeep-metrics.ts'
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
export { defaultRecordLimits, type RecordLimits } from './record-room.ts'
export { openRecordService, RecordService, type RecordServiceOptions } from './record-service.ts'
export { type CacheRoutesOptions, cacheRoutes } from './routes.ts'
export {
  type Damage,
  Scrubber,
  type ScrubberOptions,
  type ScrubCounts,
  type ScrubTarget,
} from './scrub/scrubber.ts'
export { Tally } from './tally.ts'
export { forgetUses, readUses } from './uses.ts'
