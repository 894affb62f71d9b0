import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { encodePayload, encodeRecord, type StepPayload, stepPayloadType } from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import { sendRaw } from '@tsbuild/http-server/testing'
import { type Envelope, repositoryOfScope, type Scope, verifyEnvelope } from '@tsbuild/trust'
import { startIssuer, type TestIssuer } from '../../../libs/token-exchange/src/testing/issuer.ts'
import { type CacheInstance, ours, startCacheInstance, tokenOf } from '../cache-instance.ts'

export const main = ours('ref/main')
export const pr7 = ours('pr/7')
export const pr8 = ours('pr/8')

/** A digest of a text: keys and contents of tests. */
export const digestOf = (bytes: string | Uint8Array): Digest =>
  `sha256:${createHash('sha256').update(bytes).digest('hex')}` as Digest

/** The layer of main's own result, and one that an attacker has. */
export const goodLayer = Buffer.from('the layer that main built')
export const evilLayer = Buffer.from('the layer of an attacker')
/** What main built and has a record of, what it will build next, and what was stored beside. */
export const builtKey = digestOf('a step that main has built')
export const wantedKey = digestOf('a step that main has not built yet')
export const otherKey = digestOf('another step of main')

/** A reply, its body read. */
export interface Reply {
  readonly status: number
  readonly text: string
  readonly bytes: Buffer
}

/** What is sent besides the path. */
export interface Sent {
  readonly token?: string | undefined
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Uint8Array
}

/** A server with what main built, tokens of everybody, and what is looked at after each attempt. */
export class World {
  readonly folder = mkdtempSync(join(tmpdir(), 'trust-poison-'))
  readonly tokens = { main: '', pr7: '', pr8: '', stranger: '' }
  #issuer: TestIssuer | undefined
  #server: CacheInstance | undefined
  #good: Envelope | undefined

  get server(): CacheInstance {
    if (this.#server === undefined) throw new Error('the server is not running')
    return this.#server
  }

  /** The CI service whose tokens the server exchanges. */
  get issuer(): TestIssuer {
    if (this.#issuer === undefined) throw new Error('the CI service is not running')
    return this.#issuer
  }

  /** The record of main as the server gave it at first. */
  get good(): Envelope {
    if (this.#good === undefined) throw new Error('main has no record')
    return this.#good
  }

  /** @param issuerKeys of the CI service */
  async open(issuerKeys: Parameters<typeof startIssuer>[0] = []): Promise<void> {
    this.#issuer = await startIssuer(issuerKeys)
    await this.start()
    const { key } = this.server
    this.tokens.main = await tokenOf(key, { read: ['ref/main'], write: 'ref/main', id: 'main' })
    this.tokens.pr7 = await tokenOf(key, { read: ['pr/7', 'ref/main'], write: 'pr/7', id: 'pr7' })
    this.tokens.pr8 = await tokenOf(key, { read: ['pr/8', 'ref/main'], write: 'pr/8', id: 'pr8' })
    const stranger = { read: ['evil/app:ref/main' as Scope], write: 'evil/app:ref/main' as Scope }
    this.tokens.stranger = await tokenOf(key, { id: 'stranger', changes: stranger })
    for (const [scope, token] of [
      [main, this.tokens.main],
      [pr7, this.tokens.pr7],
      [pr8, this.tokens.pr8],
    ] as const) {
      await this.pushBlob(scope, goodLayer, token)
      await this.pushBlob(scope, evilLayer, token)
    }
    for (const key of [builtKey, otherKey]) await this.store(main, key, goodLayer, this.tokens.main)
    await this.store(pr7, builtKey, evilLayer, this.tokens.pr7)
    this.#good = (await this.lookUp(this.tokens.main, [builtKey]))[0]
    await this.assertClean()
  }

  async start(): Promise<void> {
    this.#server = await startCacheInstance(join(this.folder, 'data'), { auth: 'tokens' }, [
      { preset: 'github', issuer: this.issuer.url, audience: 'https://cache', repositories: ['acme/*'] },
    ])
  }

  async restart(): Promise<void> {
    await this.server.close()
    await this.start()
  }

  async close(): Promise<void> {
    await this.#server?.close()
    await this.#issuer?.close()
    rmSync(this.folder, { recursive: true, force: true })
  }

  async send(method: string, path: string, { token, headers = {}, body }: Sent = {}): Promise<Reply> {
    const response = await fetch(`${this.server.url}${path}`, {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: body as string }),
      redirect: 'manual',
    })
    const bytes = Buffer.from(await response.arrayBuffer())
    return { status: response.status, bytes, text: bytes.toString() }
  }

  /** Sends a request whose target nothing has normalised. @returns its status, 0 for none */
  async raw(
    method: string,
    target: string,
    token: string,
    body: string,
    extra: readonly string[] = [],
  ): Promise<number> {
    const head = [
      `${method} ${target} HTTP/1.1`,
      `Host: 127.0.0.1:${this.server.port}`,
      `Authorization: Bearer ${token}`,
      'Content-Type: application/json',
      `Content-Length: ${Buffer.byteLength(body)}`,
      ...extra,
      'Connection: close',
    ]
    const answer = await sendRaw(this.server.port, Buffer.from(`${head.join('\r\n')}\r\n\r\n${body}`, 'utf8'))
    return Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1] ?? 0)
  }

  async pushBlob(scope: Scope, bytes: Uint8Array, token: string): Promise<void> {
    const path = `/v2/${repositoryOfScope(scope)}/blobs/uploads/?digest=${encodeURIComponent(digestOf(bytes))}`
    const headers = { 'content-type': 'application/octet-stream' }
    const { status, text } = await this.send('POST', path, { token, headers, body: bytes })
    if (status !== 201) throw new Error(`a blob was not stored: ${status} ${text}`)
  }

  /** Stores a record that may be stored. */
  async store(scope: Scope, key: Digest, layer: Uint8Array, token: string): Promise<void> {
    const body = recordOf(payloadOf(scope, key, layer))
    const { status, text } = await this.send('PUT', `/v1/records/${scope}/${key}`, { token, body })
    if (status !== 201) throw new Error(`a record was not stored: ${status} ${text}`)
  }

  /** What is found under keys, as envelopes. */
  async lookUp(token: string, keys: readonly Digest[]): Promise<readonly (Envelope | undefined)[]> {
    const { status, text } = await this.send('POST', '/v1/lookup', { token, body: JSON.stringify({ keys }) })
    if (status !== 200) throw new Error(`a look-up failed: ${status} ${text}`)
    const { records } = JSON.parse(text) as {
      readonly records: readonly ({ readonly envelope: Envelope } | null)[]
    }
    return records.map((record) => record?.envelope)
  }

  /**
   * Fails if main or another pull request finds anything but what main built; unless `mayMiss`, also if that is not found any more.
   * What they find must be signed, and its layer must be what main sent.
   */
  async assertClean(mayMiss = false): Promise<void> {
    for (const token of [this.tokens.main, this.tokens.pr8]) {
      const [built, wanted] = await this.lookUp(token, [builtKey, wantedKey])
      if (wanted !== undefined) throw new Error('ACCEPTED: main finds what it never built')
      if (built === undefined && !mayMiss) throw new Error('main does not find its own result any more')
      if (built !== undefined && this.#good !== undefined) this.#assertGood(built)
      const { status, bytes } = await this.send(
        'GET',
        `/v2/${repositoryOfScope(main)}/blobs/${digestOf(goodLayer)}`,
        { token },
      )
      // A client compares digests: what it must never get is a success with other bytes of the right length and no way to see it.
      const isGood = status === 200 && digestOf(bytes) === digestOf(goodLayer)
      if (!isGood && !mayMiss) throw new Error(`main does not get its layer any more: ${status}`)
    }
  }

  #assertGood(found: Envelope): void {
    if (found.payload !== this.good.payload) throw new Error('ACCEPTED: main finds another result')
    if (verifyEnvelope(found, [this.server.key], stepPayloadType) === undefined)
      throw new Error('ACCEPTED: main finds a result that is not signed')
  }
}

/** A payload with everything that one has. */
export function payloadOf(
  scope: Scope,
  key: Digest,
  layer: Uint8Array,
  changes: Partial<StepPayload> = {},
): StepPayload {
  const digest = digestOf(layer)
  return {
    v: 1,
    key,
    scope,
    result: {
      keys: [key],
      outputKey: digestOf(`output of ${digest}`),
      name: 'RUN make',
      layer: [
        {
          mediaType: 'application/vnd.oci.image.layer.v1.tar',
          digest,
          size: layer.length,
          diffId: digest as never,
          form: undefined,
        },
      ],
      createdAt: 1_795_000_000_000,
      durationMs: 1000,
    },
    identity: { build: digestOf('build'), stage: undefined, platform: 'linux/amd64' },
    inputs: [],
    producer: { subject: '', builder: 'tsbuild/0.1.0', run: undefined },
    ...changes,
  }
}

/** A record as a client sends it, signed by nobody or as given. */
export function recordOf(payload: StepPayload, signatures: Envelope['signatures'] = []): string {
  const bytes = Buffer.from(encodePayload(payload)).toString('base64')
  return encodeRecord({ envelope: { payloadType: stepPayloadType, payload: bytes, signatures } })
}

/** A record of a payload that no type allows. */
export function rawRecord(payload: string, changes: object = {}): string {
  return JSON.stringify({
    envelope: {
      payloadType: stepPayloadType,
      payload: Buffer.from(payload).toString('base64'),
      signatures: [],
      ...changes,
    },
  })
}

/** Where a record is put. */
export const recordPath = (scope: string, key: string): string => `/v1/records/${scope}/${key}`

/** One try to poison main's cache. */
export interface Attempt {
  readonly row: string
  readonly name: string
  /** Resolves when it was refused or had no effect; the caller looks whether that is so. */
  readonly run: (world: World) => Promise<void>
  /** What main built may be lost by it: it writes into the storage. */
  readonly mayMiss?: boolean
}

/** Fails where an answer says that something was done. */
export function expectRefused({ status, text }: Reply): void {
  if (status < 400 || status >= 500) throw new Error(`answered ${status}: ${text}`)
}
