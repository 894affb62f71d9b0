import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { digestBytes } from '@tsbuild/digest'
import { type Access, authorize } from './fake-auth.ts'
import { answerList, type FakeLists, subjectOf } from './fake-lists.ts'
import { FakeUploads, type UploadRules } from './fake-uploads.ts'
import { reply, replyError } from './replies.ts'

/** One request as the fake registry saw it. */
export interface SeenRequest {
  readonly method: string
  /** With its query. */
  readonly path: string
  readonly host: string
  readonly authorization: string | undefined
  readonly range: string | undefined
  /** In bytes; counted to where the connection ended. */
  bodyLength: number
  /** How many bytes of the answer's body were handed to the connection. */
  answerLength: number
}

/** What a fault gets to do its work with. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** Reads the request's body whole. */
  readonly body: () => Promise<Buffer>
  /** Does what the registry would have done without the fault. */
  readonly next: () => Promise<void>
}

/** Something that goes wrong: the first fault that matches a request is used up by it. */
export interface Fault {
  readonly method?: string | undefined
  readonly path?: RegExp | undefined
  /** How many requests that match pass unharmed before it. Default 0. */
  readonly after?: number | undefined
  /** How many requests it hits. Default 1. */
  readonly times?: number | undefined
  readonly act: (exchange: Exchange) => void | Promise<void>
}

/** A registry in this process, on 127.0.0.1, that misbehaves as it is told. */
export interface FakeRegistry {
  readonly host: string
  readonly requests: readonly SeenRequest[]
  /** By `repository@digest`. */
  readonly blobs: Map<string, Buffer>
  /** By `repository:tag` and `repository@digest`. */
  readonly manifests: Map<string, { readonly bytes: Buffer; readonly mediaType: string }>
  /** Added to the end of the script. */
  fault(...faults: readonly Fault[]): void
  /** Faults that no request has met yet. */
  pendingFaults(): number
  /** Connections of clients that are in the middle of a request. */
  openConnections(): number
  stop(): Promise<void>
}

/** For {@link startFakeRegistry}. */
export interface FakeRegistryOptions {
  /** Who may do what; default: anybody may do everything. */
  readonly access?: Access | undefined
  /** The form of the Location of an upload. Default `relative`. */
  readonly locations?: 'relative' | 'absolute' | 'changing' | undefined
  readonly uploads?: UploadRules | undefined
  /** Where it listens. Default `127.0.0.1`. */
  readonly address?: string | undefined
  /** Speaks HTTPS with this certificate and its key, PEM texts; with `clientCa`, only to clients that it signed. */
  readonly tls?: { readonly cert: string; readonly key: string; readonly clientCa?: string } | undefined
  readonly lists?: FakeLists | undefined
  /** Looks at `If-Match` and `If-None-Match` of a manifest. Default: as docker-registry, which does not. */
  readonly conditions?: boolean | undefined
}

interface State {
  readonly blobs: FakeRegistry['blobs']
  readonly manifests: FakeRegistry['manifests']
  readonly uploads: FakeUploads
  readonly options: FakeRegistryOptions
  host: string
}

/** Starts a fake registry; resolves when it listens. */
export async function startFakeRegistry(options: FakeRegistryOptions = {}): Promise<FakeRegistry> {
  const uploads = new FakeUploads(options.uploads ?? {})
  const state: State = { blobs: new Map(), manifests: new Map(), uploads, options, host: '' }
  const requests: SeenRequest[] = []
  const busy = new Set<ServerResponse>()
  const script: { fault: Fault; passes: number; left: number }[] = []
  const onRequest = (request: IncomingMessage, response: ServerResponse) => {
    const seen = logRequest(request)
    requests.push(seen)
    countAnswer(response, seen)
    busy.add(response)
    response.once('close', () => busy.delete(response))
    request.on('data', (chunk: Buffer) => {
      seen.bodyLength += chunk.length
    })
    request.pause()
    const path = request.url ?? ''
    const hit = script.find(
      (entry) => entry.left > 0 && matches(entry.fault, request.method, path) && entry.passes-- <= 0,
    )
    if (hit !== undefined) hit.left--
    const next = () => handle(state, request, response)
    const outcome =
      hit === undefined ? next() : hit.fault.act({ request, response, body: () => bodyOf(request), next })
    Promise.resolve(outcome).catch((error: unknown) =>
      response.destroy(error instanceof Error ? error : undefined),
    )
  }
  const server =
    options.tls === undefined
      ? createServer(onRequest)
      : createSecureServer(secureOptions(options.tls), onRequest)
  const listenAddress = options.address ?? '127.0.0.1'
  server.listen(0, listenAddress)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the fake registry has no port')
  state.host = `${listenAddress.includes(':') ? `[${listenAddress}]` : listenAddress}:${address.port}`
  return {
    host: state.host,
    requests,
    blobs: state.blobs,
    manifests: state.manifests,
    fault: (...faults) => {
      for (const fault of faults) script.push({ fault, passes: fault.after ?? 0, left: fault.times ?? 1 })
    },
    openConnections: () => busy.size,
    pendingFaults: () => script.filter(({ left }) => left > 0).length,
    stop: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, 'close')
    },
  }
}

function secureOptions({ cert, key, clientCa }: NonNullable<FakeRegistryOptions['tls']>) {
  if (clientCa === undefined) return { cert, key }
  return { cert, key, ca: clientCa, requestCert: true, rejectUnauthorized: true }
}

function logRequest(request: IncomingMessage): SeenRequest {
  const { method = '', url = '', headers } = request
  const { host = '', authorization, range } = headers
  return { method, path: url, host, authorization, range, bodyLength: 0, answerLength: 0 }
}

/** Whatever writes to the answer. */
function countAnswer(response: ServerResponse, seen: SeenRequest): void {
  const write = response.write.bind(response)
  const end = response.end.bind(response)
  const count = (chunk: unknown) => {
    if (chunk instanceof Uint8Array || typeof chunk === 'string') seen.answerLength += chunk.length
  }
  response.write = ((chunk: unknown, ...rest: unknown[]) => {
    count(chunk)
    return Reflect.apply(write, response, [chunk, ...rest])
  }) as typeof response.write
  response.end = ((chunk: unknown, ...rest: unknown[]) => {
    count(chunk)
    return Reflect.apply(end, response, [chunk, ...rest])
  }) as typeof response.end
}

function matches(fault: Fault, method: string | undefined, path: string): boolean {
  return (fault.method === undefined || fault.method === method) && (fault.path?.test(path) ?? true)
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk)
  return Buffer.concat(chunks)
}

async function handle(state: State, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? '/', `http://${state.host}`)
  if (state.options.access !== undefined) {
    const body = url.pathname === '/token' ? await bodyOf(request) : Buffer.alloc(0)
    if (authorize(state.options.access, { url, request, response, body, host: state.host })) return
  }
  if (answerList(state.options.lists ?? {}, state.manifests, request, response)) return
  const match = /^\/v2\/(.+)\/(manifests|blobs\/uploads|blobs)\/([^/]*)$/.exec(url.pathname)
  if (match === null) return reply(response, url.pathname === '/v2/' ? 200 : 404)
  const [, repository = '', kind, name = ''] = match
  const place = { repository, name, url }
  if (kind === 'manifests') return handleManifest(state, place, request, response)
  if (kind === 'blobs') return handleBlob(state, place, request, response)
  return handleUpload(state, place, request, response)
}

interface Place {
  readonly repository: string
  readonly name: string
  readonly url: URL
}

async function handleManifest(
  state: State,
  place: Place,
  request: IncomingMessage,
  response: ServerResponse,
) {
  const { repository, name } = place
  const keyOf = (reference: string) =>
    `${repository}${reference.startsWith('sha256:') ? '@' : ':'}${reference}`
  if (request.method === 'PUT') {
    const bytes = await bodyOf(request)
    if (state.options.conditions === true && !holds(request, state.manifests.get(keyOf(name))?.bytes))
      return replyError(response, 412, 'PRECONDITION_FAILED')
    const manifest = { bytes, mediaType: request.headers['content-type'] ?? '' }
    state.manifests.set(keyOf(name), manifest)
    state.manifests.set(keyOf(digestBytes(bytes)), manifest)
    const lists = state.options.lists?.referrers === true && manifest.mediaType.includes('json')
    const subject = lists ? subjectOf(bytes) : undefined
    const headers = { 'docker-content-digest': digestBytes(bytes) }
    return reply(response, 201, subject === undefined ? headers : { ...headers, 'oci-subject': subject })
  }
  const found = state.manifests.get(keyOf(name))
  if (found === undefined) return replyError(response, 404, 'MANIFEST_UNKNOWN')
  if (request.method === 'DELETE') {
    state.manifests.delete(keyOf(name))
    return reply(response, 202)
  }
  const headers = {
    'content-type': found.mediaType,
    'docker-content-digest': digestBytes(found.bytes),
    'content-length': String(found.bytes.length),
  }
  reply(response, 200, headers, request.method === 'HEAD' ? undefined : found.bytes)
}

function holds({ headers }: IncomingMessage, current: Buffer | undefined): boolean {
  const digest = current === undefined ? undefined : `"${digestBytes(current)}"`
  if (headers['if-none-match'] === '*' && digest !== undefined) return false
  return headers['if-match'] === undefined || headers['if-match'] === digest
}

async function handleBlob(state: State, place: Place, request: IncomingMessage, response: ServerResponse) {
  const found = state.blobs.get(`${place.repository}@${place.name}`)
  if (found === undefined) return replyError(response, 404, 'BLOB_UNKNOWN')
  if (request.method === 'HEAD') return reply(response, 200, { 'content-length': String(found.length) })
  const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '')
  if (range === null) return reply(response, 200, { 'content-length': String(found.length) }, found)
  const start = Number(range[1])
  if (start >= found.length) return reply(response, 416)
  const headers = { 'content-range': `bytes ${start}-${found.length - 1}/${found.length}` }
  reply(response, 206, headers, found.subarray(start))
}

async function handleUpload(state: State, place: Place, request: IncomingMessage, response: ServerResponse) {
  const { repository, name, url } = place
  if (request.method === 'POST') {
    const mounted = state.blobs.get(`${url.searchParams.get('from')}@${url.searchParams.get('mount')}`)
    if (mounted !== undefined) {
      state.blobs.set(`${repository}@${url.searchParams.get('mount')}`, mounted)
      return reply(response, 201)
    }
    const id = state.uploads.begin()
    const location = locationOf(state, repository, id)
    return reply(response, 202, { location, range: '0-0', ...state.uploads.beginHeaders })
  }
  if (!state.uploads.has(name)) return replyError(response, 404, 'BLOB_UPLOAD_UNKNOWN')
  if (request.method !== 'GET') {
    const received = await state.uploads.receive(name, request)
    if (received.type === 'refused') return replyError(response, received.status, received.code)
  }
  if (request.method === 'PUT') return closeUpload(state, place, response)
  reply(response, request.method === 'GET' ? 204 : 202, {
    location: locationOf(state, repository, name),
    range: state.uploads.range(name),
  })
}

function closeUpload(state: State, place: Place, response: ServerResponse): void {
  const digest = place.url.searchParams.get('digest') ?? ''
  const bytes = state.uploads.finish(place.name)
  if (digestBytes(bytes) === digest) {
    state.blobs.set(`${place.repository}@${digest}`, bytes)
    reply(response, 201, { location: `/v2/${place.repository}/blobs/${digest}` })
  } else replyError(response, 400, 'DIGEST_INVALID')
}

function locationOf(state: State, repository: string, id: string): string {
  const path = `/v2/${repository}/blobs/uploads/${id}`
  switch (state.options.locations ?? 'relative') {
    case 'relative':
      return path
    case 'absolute':
      return `http://${state.host}${path}`
    case 'changing':
      return `http://${state.host}${path}?_state=${randomUUID()}`
  }
}
