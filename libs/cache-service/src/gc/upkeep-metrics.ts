import { Counter, Gauge, type Registry } from 'prom-client'
import type { Upkeep } from './upkeep.ts'

/** Adds what {@link Upkeep} counts to the metrics of a server. */
export function addUpkeepMetrics(registry: Registry, upkeep: Upkeep): void {
  const gauge = (name: string, help: string, value: () => number | undefined) =>
    new Gauge({
      name: `cache_server_${name}`,
      help,
      registers: [registry],
      collect() {
        const now = value()
        if (now !== undefined) this.set(now)
      },
    })
  const counter = (name: string, help: string, value: () => number) =>
    new Counter({
      name: `cache_server_${name}_total`,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(value())
      },
    })
  new Counter({
    name: 'cache_server_collections_total',
    help: 'Runs of the collector, by what became of them.',
    labelNames: ['outcome'],
    registers: [registry],
    collect() {
      this.reset()
      const { collected, elsewhere, failed } = upkeep.runs
      for (const [outcome, count] of Object.entries({ collected, elsewhere, failed }))
        this.inc({ outcome }, count)
    },
  })
  const seconds = (ms: number | undefined) => (ms === undefined ? undefined : ms / 1000)
  gauge('collected_timestamp_seconds', 'When this process collected last, Unix.', () =>
    seconds(upkeep.lastRun?.endedMs),
  )
  gauge('collection_seconds', 'How long that took.', () => seconds(upkeep.lastRun?.tookMs))
  gauge('stored_bytes', 'What is stored, as far as this process knows.', () => upkeep.room.bytes)
  gauge('stored_bytes_limit', 'Above it nothing more is taken.', () => upkeep.room.maxBytes)
  gauge('stored_objects', 'Objects that the last run of the collector found.', () => upkeep.last?.objects)
  counter('evicted', 'Records and manifests that went to make room.', () => upkeep.totals.evicted)
  counter('expired', 'Records and manifests that nobody had used for long.', () => upkeep.totals.expired)
  counter('swept_objects', 'Objects that nobody needed any more.', () => upkeep.totals.swept)
  counter('swept_bytes', 'Their bytes.', () => upkeep.totals.sweptBytes)
  counter('scrub_rounds', 'How often everything was read again.', () => upkeep.scrubbed.rounds)
  counter('scrub_failures', 'Runs that were given up.', () => upkeep.runs.scrubFailed)
  counter('scrubbed_objects', 'Objects that were read again.', () => upkeep.scrubbed.objects)
  counter('scrubbed_bytes', 'Bytes that were read again.', () => upkeep.scrubbed.bytes)
  counter(
    'damaged_objects',
    'Objects that had other bytes than their names say.',
    () => upkeep.scrubbed.damaged,
  )
}
