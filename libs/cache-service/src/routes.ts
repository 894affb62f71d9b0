import {
  bitmapType,
  type Capabilities,
  encodeBitmap,
  maxDigestListBytes,
  maxPlanBytes,
  maxPutBytes,
  maxRecordBytes,
  type PutOutcome,
  parseLookup,
  parseMissing,
  parsePlan,
  parsePutRecords,
  parseRecord,
} from '@tsbuild/cache-protocol'
import { isDigest } from '@tsbuild/digest'
import {
  type Exchange,
  HttpError,
  type Method,
  type Need,
  type Params,
  type Route,
  refuse,
  sendBytes,
  sendJson,
} from '@tsbuild/http-server'
import {
  accountOf,
  formatPublicKey,
  isScope,
  repositoryOfScope,
  type Scope,
  type Target,
} from '@tsbuild/trust'
import type { RecordName } from './layout.ts'
import type { RecordService } from './record-service.ts'
import { Turns } from './turns.ts'

/** See {@link cacheRoutes}. */
export interface CacheRoutesOptions {
  readonly service: RecordService
  /** As `/v2` takes them. */
  readonly maxBlobBytes: number
  /** Names of what the server has besides. */
  readonly features?: readonly string[] | undefined
}

const server: Target = { kind: 'server' }

/** The routes of `/v1` that are about records. @see docs/dev/cache-protocol.md */
export function cacheRoutes(options: CacheRoutesOptions): readonly Route[] {
  const { service } = options
  const plans = new Turns(plansAtATime, plansWaiting)
  const about = (
    method: Method,
    path: string,
    needs: Need,
    handle: (exchange: Exchange, service: RecordService) => Promise<void>,
    target: (params: Params) => Target | undefined = () => server,
  ): Route => ({ method, path, needs, target, handle: (exchange) => handle(exchange, service) })
  return [
    about('GET', '/v1/capabilities', 'any', (exchange) => tellCapabilities(exchange, options)),
    about('POST', '/v1/plan', 'pull', (exchange) => plan(exchange, service, plans)),
    about('POST', '/v1/lookup', 'pull', lookUp),
    about('POST', '/v1/missing', 'push', tellMissing),
    about('PUT', '/v1/records/{scope...}/{key}', 'push', putOne, (params) => {
      const name = nameOf(params)
      return name && { kind: 'scope', scope: name.scope }
    }),
    about('POST', '/v1/records', 'push', putMany),
    about('GET', '/v1/stats', 'any', tellStats),
  ]
}

async function tellCapabilities({ grant, response }: Exchange, options: CacheRoutesOptions): Promise<void> {
  const { service, maxBlobBytes, features = [] } = options
  const { subject, read, write } = grant
  const scopes = new Set(write === undefined ? read : [...read, write])
  const repositories: Record<Scope, string> = {}
  for (const scope of scopes) repositories[scope] = repositoryOfScope(scope)
  const capabilities: Capabilities = {
    protocol: 1,
    subject,
    keys: service.keys.map((key) => ({ id: key.id, publicKey: formatPublicKey(key) })),
    read,
    write: write ?? null,
    repositories,
    maxBlobBytes,
    features: ['bitmap', ...features],
  }
  sendJson(response, 200, capabilities, { 'Cache-Control': 'no-store' })
}

/** Of one account. More would not be sooner: all are made by one thread, which others are waiting for too. */
const plansAtATime = 2
/** Their bodies are in memory. */
const plansWaiting = 32

async function plan(exchange: Exchange, service: RecordService, plans: Turns): Promise<void> {
  const { grant, signal } = exchange
  // A body that comes slowly takes no turn.
  const written = await readText(exchange, maxPlanBytes)
  await plans.take(accountOf(grant), async () => {
    signal.throwIfAborted()
    const request = parsePlan(written)
    if (request === undefined) throw malformed('a plan')
    sendRecords(exchange, await service.plan(grant.read, request.steps, signal))
  })
}

async function lookUp(exchange: Exchange, service: RecordService): Promise<void> {
  const request = parseLookup(await readText(exchange, maxDigestListBytes))
  if (request === undefined) throw malformed('a look-up')
  const { read } = exchange.grant
  if (wantsBitmap(exchange)) sendBitmap(exchange, await service.has(read, request.keys))
  else sendRecords(exchange, await service.lookUp(read, request.keys))
}

async function tellMissing(exchange: Exchange, service: RecordService): Promise<void> {
  const request = parseMissing(await readText(exchange, maxDigestListBytes))
  if (request === undefined) throw malformed('a list of blobs')
  const { scope, digests } = request
  // What another scope has is nobody's business: only who writes there asks.
  const target: Target = { kind: 'scope', scope }
  refuse(exchange.may('push', target), target)
  const missing = await service.missing(scope, digests)
  if (!wantsBitmap(exchange)) return sendJson(exchange.response, 200, { missing })
  const places = new Set(missing)
  sendBitmap(
    exchange,
    digests.map((_, place) => places.has(place)),
  )
}

const statusOf = {
  stored: 201,
  same: 200,
  different: 409,
  forbidden: 403,
  invalid: 422,
  missing: 424,
  full: 507,
} as const

async function putOne(exchange: Exchange, service: RecordService): Promise<void> {
  const record = parseRecord(await readText(exchange, maxRecordBytes))
  if (record === undefined) throw malformed('a record')
  const request = { record, name: nameOf(exchange.params), ...writerOf(exchange) }
  for (const outcome of await service.put([request]))
    sendJson(exchange.response, statusOf[outcome.outcome], outcome)
}

async function putMany(exchange: Exchange, service: RecordService): Promise<void> {
  const request = parsePutRecords(await readText(exchange, maxPutBytes))
  if (request === undefined) throw malformed('a list of records')
  const writer = writerOf(exchange)
  const outcomes: readonly PutOutcome[] = await service.put(
    request.records.map((record) => ({ record, ...writer })),
  )
  sendJson(exchange.response, 200, { outcomes })
}

async function tellStats({ grant, response }: Exchange, service: RecordService): Promise<void> {
  const scopes: Record<string, { records: number }> = {}
  for (const [scope, records] of service.scopes()) if (grant.read.includes(scope)) scopes[scope] = { records }
  sendJson(
    response,
    200,
    { v: 1, ...service.size(), ...service.tally, scopes },
    { 'Cache-Control': 'no-store' },
  )
}

function writerOf(exchange: Exchange) {
  return {
    subject: exchange.grant.subject,
    mayWrite: (scope: Scope) => exchange.may('push', { kind: 'scope', scope }) === 'allowed',
  }
}

function nameOf({ scope = '', key = '' }: Params): RecordName | undefined {
  return isScope(scope) && isDigest(key) ? { scope, key } : undefined
}

/**
 * The body of a message. That it says to be JSON is not for us: a page in a browser can send any text to a server on the reader's own
 * machine, but not under this type without asking first.
 */
async function readText(exchange: Exchange, maxBytes: number): Promise<string> {
  const [type = ''] = (exchange.request.headers['content-type'] ?? '').split(';')
  if (type.trim().toLowerCase() !== 'application/json')
    throw new HttpError(415, 'UNSUPPORTED', 'expected Content-Type: application/json')
  return (await exchange.readBody(maxBytes)).toString('utf8')
}

function wantsBitmap({ request }: Exchange): boolean {
  return (request.headers.accept ?? '').split(',').some((type) => type.split(';')[0]?.trim() === bitmapType)
}

function sendBitmap({ response }: Exchange, bits: readonly boolean[]): void {
  sendBytes(response, 200, encodeBitmap(bits), { 'Content-Type': bitmapType })
}

const comma = Buffer.from(',')
const none = Buffer.from('null')

/** Records are stored as they are sent: nothing is parsed or written again. */
function sendRecords({ response }: Exchange, records: readonly (Buffer | undefined)[]): void {
  const parts: Buffer[] = [Buffer.from('{"records":[')]
  for (const [place, record] of records.entries()) {
    if (place > 0) parts.push(comma)
    parts.push(record ?? none)
  }
  parts.push(Buffer.from(']}'))
  sendBytes(response, 200, Buffer.concat(parts), { 'Content-Type': 'application/json' })
}

function malformed(what: string): HttpError {
  return new HttpError(400, 'BAD_REQUEST', `the body is not ${what}, or has more than it may`)
}
