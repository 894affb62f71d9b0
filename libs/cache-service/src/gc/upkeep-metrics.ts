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
  gauge('stored_bytes', 'What is stored, as far as this process knows.', () => upkeep.room.bytes)
  gauge('stored_bytes_limit', 'Above it nothing more is taken.', () => upkeep.room.maxBytes)
  gauge('stored_objects', 'Objects that the last run of the collector found.', () => upkeep.last?.objects)
  counter('evicted', 'Records and manifests that went to make room.', () => upkeep.totals.evicted)
  counter('expired', 'Records and manifests that nobody had used for long.', () => upkeep.totals.expired)
  counter('swept_objects', 'Objects that nobody needed any more.', () => upkeep.totals.swept)
  counter('swept_bytes', 'Their bytes.', () => upkeep.totals.sweptBytes)
  counter('scrubbed_bytes', 'Bytes that were read again.', () => upkeep.scrubbed.bytes)
  counter(
    'damaged_objects',
    'Objects that had other bytes than their names say.',
    () => upkeep.scrubbed.damaged,
  )
}
