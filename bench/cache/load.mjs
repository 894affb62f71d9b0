// The load, in a process of its own: reads one job as JSON from its arguments, does it, prints what it measured, and ends.
// Bounded by a number of requests, or by seconds; no job takes more than two minutes, but for that which makes records: fifteen.
import { createHash, randomBytes } from 'node:crypto'
import { openConnection, textOf } from './connection.mjs'
import { recordKey, recordsFrom } from './records.mjs'

const json = { 'Content-Type': 'application/json' }
const job = JSON.parse(process.argv[2])
setTimeout(
  () => {
    console.error(`the job took too long: ${process.argv[2]}`)
    process.exit(1)
  },
  job.kind === 'records' ? 900_000 : 120_000,
).unref()
console.log(JSON.stringify(await jobs()[job.kind](job)))
process.exit(0)

function jobs() {
  return { put: putBlobs, get: getBlob, head: headBlob, lookup: lookUp, records: putRecords }
}

/** Sends `count` blobs of `size` bytes that nobody has: POST for the place, PUT with the whole body. */
async function putBlobs({ base, repository, size, count, connections }) {
  const bodies = Array.from({ length: count }, () => {
    // Random bytes in front make it another blob; hashing is done before the clock starts.
    const body = Buffer.alloc(size, 'tsbuild')
    randomBytes(32).copy(body)
    return { body, digest: digestOf(body) }
  })
  const measured = await inParallel(base, connections, bodies, async (connection, { body, digest }) => {
    const begun = expect(
      await connection.send('POST', `/v2/${repository}/blobs/uploads/`, {}, Buffer.alloc(0)),
      202,
    )
    const place = new URL(begun.headers.location, base)
    place.searchParams.set('digest', digest)
    const type = { 'Content-Type': 'application/octet-stream' }
    expect(await connection.send('PUT', `${place.pathname}${place.search}`, type, body), 201)
  })
  return { ...measured, bytesPerSecond: (count * size) / measured.seconds, digest: bodies[0].digest }
}

async function getBlob({ base, repository, digest, size, seconds, connections }) {
  const measured = await inParallel(base, connections, { seconds }, async (connection) => {
    const answer = expect(await connection.send('GET', `/v2/${repository}/blobs/${digest}`), 200)
    if (answer.bytes !== size) throw new Error(`${answer.bytes} bytes came`)
  })
  return { ...measured, bytesPerSecond: measured.perSecond * size }
}

async function headBlob({ base, repository, digest, seconds, connections, status = 200 }) {
  return await inParallel(base, connections, { seconds }, async (connection) => {
    expect(await connection.send('HEAD', `/v2/${repository}/blobs/${digest}`), status)
  })
}

/** One request after the other, as agents do. Every key must be found. */
async function lookUp({ base, keys, seconds }) {
  const body = Buffer.from(JSON.stringify({ keys: Array.from({ length: keys }, (_, n) => recordKey(n)) }))
  let least = Number.POSITIVE_INFINITY
  const measured = await inParallel(base, 1, { seconds }, async (connection) => {
    const answer = expect(await connection.send('POST', '/v1/lookup', json, body), 200)
    least = Math.min(least, answer.bytes)
  })
  // Of what was not found there is `null`.
  if (least < keys * 500) throw new Error(`${keys} records have ${least} bytes: not all were found`)
  return { ...measured, answerBytes: least }
}

/** Sends so many records, a thousand in a request. */
async function putRecords({ base, count, blob, connections }) {
  const each = 1000
  const firsts = Array.from({ length: Math.ceil(count / each) }, (_, n) => n * each)
  return await inParallel(base, connections, firsts, async (connection, first) => {
    const body = Buffer.from(recordsFrom(first, Math.min(each, count - first), blob))
    const answer = expect(await connection.send('POST', '/v1/records', json, body), 200)
    if (/"outcome":"(?!stored|same)/.test(textOf(answer))) throw new Error(textOf(answer).slice(0, 300))
  })
}

/** Does something for each of a list, or for so many seconds, over so many connections; latencies in milliseconds. */
async function inParallel(base, connections, list, act) {
  const open = await Promise.all(Array.from({ length: connections }, () => openConnection(base)))
  const latencies = []
  const isTimed = !Array.isArray(list)
  if (isTimed && !(list.seconds > 0)) throw new Error('a job says for how many seconds it works')
  let next = 0
  const began = performance.now()
  await Promise.all(
    open.map(async (connection) => {
      for (;;) {
        const index = next++
        if (isTimed ? performance.now() - began >= list.seconds * 1000 : index >= list.length) return
        const before = performance.now()
        await act(connection, list[index])
        latencies.push(performance.now() - before)
      }
    }),
  )
  const seconds = (performance.now() - began) / 1000
  for (const connection of open) connection.close()
  latencies.sort((a, b) => a - b)
  const at = (share) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))]
  const requests = latencies.length
  return { requests, seconds, perSecond: requests / seconds, p50: at(0.5), p99: at(0.99) }
}

function expect(answer, status) {
  if (answer.status === status) return answer
  throw new Error(`expected ${status}, got ${answer.status}: ${textOf(answer).slice(0, 300)}`)
}

function digestOf(bytes) {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}
