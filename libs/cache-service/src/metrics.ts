import type { AccessEntry } from '@tsbuild/http-server'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { RecordService } from './record-service.ts'

/** What Prometheus is shown. */
export interface Metrics {
  /** For metrics of others. */
  readonly registry: Registry
  /** Told of each request that has ended, as `onRequest` of the server is. */
  onRequest(entry: AccessEntry): void
}

/** Makes the metrics of a server: of its records, its requests and its process. */
export function createMetrics(service: RecordService): Metrics {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  addRecords(registry, service)
  const labels = ['route', 'status'] as const
  const seconds = new Histogram({
    name: 'cache_server_request_seconds',
    help: 'Time from the headers of a request to the end of its answer.',
    labelNames: labels,
    buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60],
    registers: [registry],
  })
  const bytes = new Counter({
    name: 'cache_server_body_bytes_total',
    help: 'Bytes of bodies, by direction.',
    labelNames: ['direction'],
    registers: [registry],
  })
  return {
    registry,
    onRequest({ route = 'none', status, durationMs, bytesIn, bytesOut }) {
      seconds.observe({ route, status: String(status) }, durationMs / 1000)
      bytes.inc({ direction: 'in' }, bytesIn)
      bytes.inc({ direction: 'out' }, bytesOut)
    },
  }
}

function addRecords(registry: Registry, service: RecordService): void {
  const { tally } = service
  /** A counter that is kept elsewhere. */
  const counter = (
    name: string,
    help: string,
    label: string,
    values: () => Readonly<Record<string, number>>,
  ) =>
    new Counter({
      name: `cache_server_${name}_total`,
      help,
      labelNames: [label],
      registers: [registry],
      collect() {
        this.reset()
        for (const [value, count] of Object.entries(values())) this.inc({ [label]: value }, count)
      },
    })
  const gauge = (name: string, help: string, value: () => number) =>
    new Gauge({
      name: `cache_server_${name}`,
      help,
      registers: [registry],
      collect() {
        this.set(value())
      },
    })
  counter('keys', 'Keys that were looked up, by look-ups and plans.', 'result', () => ({
    hit: tally.hits,
    miss: tally.misses,
  }))
  counter('queries', 'Requests that looked records up.', 'kind', () => ({
    lookup: tally.lookups,
    plan: tally.plans,
  }))
  counter('record_puts', 'Records that were sent, by what became of them.', 'outcome', () => tally.puts)
  counter('asked_blobs', 'Blobs that clients asked for before they sent them.', 'result', () => ({
    missing: tally.missingBlobs,
    there: tally.askedBlobs - tally.missingBlobs,
  }))
  counter('quota_refusals', 'Requests that a quota refused.', 'quota', () => ({
    requests: tally.refusedRequests,
    bytes: tally.refusedBytes,
  }))
  gauge('records', 'Records in the index.', () => service.size().records)
  gauge('record_cache_bytes', 'Bytes of records in memory.', () => service.size().envelopeBytes)
}
