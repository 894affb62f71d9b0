// What is measured. `prepare(bench)` makes what is needed, `measure(bench, facts)` gives one value.
import { scopeRepository } from './records.mjs'

const repository = 'bench/blobs'
const mib = 1024 * 1024
const perSecond = (value) => `${Math.round(value)}/s`
const megabytes = (value) => `${Math.round(value)} MB/s`

/** Puts one blob for the others to ask for. */
const oneBlob = (size) => async (bench) => {
  const { digest } = await bench.load({
    kind: 'put',
    base: bench.base,
    repository,
    size,
    count: 1,
    connections: 1,
  })
  return { digest, size }
}

const timesOf = ({ requests, p50, p99 }) => ({ requests, p50, p99 })
const absent = `sha256:${'0'.repeat(64)}`

/** Sends records of one small blob. */
const withRecords = (count) => async (bench) => {
  const size = 4096
  const job = { kind: 'put', base: bench.base, repository: scopeRepository, size, count: 1, connections: 1 }
  const { digest } = await bench.load(job)
  const put = { kind: 'records', base: bench.base, count, blob: { digest, size }, connections: 4 }
  const { seconds } = await bench.load(put)
  console.error(`  ${count} records were stored in ${seconds.toFixed(1)} s`)
}

/** In this order; each on servers that were just started, with nothing in them. */
export const scenarios = [
  {
    name: 'head',
    title: 'HEAD of a blob, 16 connections',
    unit: '/s',
    aim: '≥ 6,000/s',
    runs: 5,
    format: perSecond,
    prepare: oneBlob(4096),
    async measure({ base, load }, { digest }) {
      const result = await load({ kind: 'head', base, repository, digest, seconds: 3, connections: 16 })
      return { value: result.perSecond, ...timesOf(result) }
    },
  },
  {
    name: 'head-miss',
    title: 'HEAD of a blob that is not there, 16 connections',
    unit: '/s',
    aim: '',
    runs: 5,
    format: perSecond,
    prepare: oneBlob(4096),
    async measure({ base, load }) {
      const job = {
        kind: 'head',
        base,
        repository,
        digest: absent,
        status: 404,
        seconds: 3,
        connections: 16,
      }
      const result = await load(job)
      return { value: result.perSecond, ...timesOf(result) }
    },
  },
  {
    name: 'get-8m',
    title: 'GET of 8 MiB, 4 connections',
    unit: 'MB/s',
    aim: '≥ 900 MB/s',
    runs: 5,
    format: megabytes,
    prepare: oneBlob(8 * mib),
    async measure({ base, load }, { digest, size }) {
      const result = await load({ kind: 'get', base, repository, digest, size, seconds: 3, connections: 4 })
      return { value: result.bytesPerSecond / 1e6, ...timesOf(result) }
    },
  },
  {
    name: 'put-8m',
    title: 'PUT of 8 MiB, 4 connections',
    unit: 'MB/s',
    aim: '≥ 300 MB/s',
    runs: 5,
    format: megabytes,
    async measure({ base, load }) {
      const result = await load({ kind: 'put', base, repository, size: 8 * mib, count: 40, connections: 4 })
      return { value: result.bytesPerSecond / 1e6, ...timesOf(result) }
    },
  },
  {
    name: 'put-4k',
    title: 'PUT of 4 KiB, 8 connections',
    unit: '/s',
    aim: '',
    runs: 5,
    format: perSecond,
    async measure({ base, load }) {
      const result = await load({ kind: 'put', base, repository, size: 4096, count: 800, connections: 8 })
      return { value: result.perSecond, ...timesOf(result) }
    },
  },
  {
    name: 'idle-rss',
    title: 'memory when idle',
    unit: 'MB',
    aim: '≤ 120 MB',
    runs: 1,
    format: (value) => `${Math.round(value)} MB`,
    async measure({ rssBytes }) {
      return { value: rssBytes() / 1e6 }
    },
  },
  {
    name: 'lookup',
    title: 'look-up of 1,000 keys, all found',
    unit: 'ms',
    aim: '≤ 20 ms',
    runs: 5,
    isOursAlone: true,
    format: (value) => `${value.toFixed(1)} ms`,
    prepare: withRecords(1000),
    async measure({ base, load }) {
      const result = await load({ kind: 'lookup', base, keys: 1000, seconds: 2 })
      return { value: result.p50, ...timesOf(result) }
    },
  },
  {
    name: 'records-rss',
    title: 'memory with 100,000 records, after a look-up of 10,000',
    unit: 'MB',
    aim: '≤ 250 MB',
    runs: 1,
    isOursAlone: true,
    format: (value) => `${Math.round(value)} MB`,
    prepare: withRecords(100_000),
    async measure({ base, load, rssBytes }) {
      await load({ kind: 'lookup', base, keys: 10_000, seconds: 1 })
      return { value: rssBytes() / 1e6 }
    },
  },
]
