import {
  evaluatePlan,
  maxKeys,
  parseLookupReply,
  type StepPayload,
  type StepRecord,
} from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import { EnvironmentError, isBuildError, redact } from '@tsbuild/errors'
import type { CacheRecord, PlannedStep, WantedRecord } from '@tsbuild/solver'
import type { StoredLayer } from '@tsbuild/store'
import { foundRecord, type WantedStep } from '../found-record.ts'
import type { CacheImporter, FoundRecord, OpenTools, ServerPlace } from '../types.ts'
import { connectTo, type ServerConnection } from './connection.ts'
import { type Counts, nextRound, type PlanRound, recordedInputs } from './plan-round.ts'
import type { ServerTrust } from './server-trust.ts'
import { verifiedPayload } from './verify-record.ts'

/**
 * Imports from a cache-server: one request tells who the server is, another one, at the same time, asks for a whole graph. Layers come
 * from the repositories of the scopes that records were found in.
 */
export function openServerImporter(place: ServerPlace, tools: OpenTools): CacheImporter {
  return new ServerImporter(connectTo(place, tools), tools)
}

class ServerImporter implements CacheImporter {
  readonly name: string
  readonly #connection: ServerConnection
  readonly #tools: OpenTools
  /** Keys that were asked for. */
  readonly #asked = new Set<Digest>()
  /** Where blobs are, by digest. */
  readonly #repositories = new Map<Digest, string>()
  #isUntrustedSaid = false

  constructor(connection: ServerConnection, tools: OpenTools) {
    this.name = connection.name
    this.#connection = connection
    this.#tools = tools
  }

  async plan(
    steps: readonly PlannedStep[],
    known: (key: Digest) => CacheRecord | undefined,
    signal: AbortSignal,
  ): Promise<readonly FoundRecord[]> {
    const checked = this.#tools.required === true ? this.#connection.trust(signal) : undefined
    const [found] = await Promise.all([this.#planRounds(steps, known, signal), checked])
    return found
  }

  async #planRounds(
    steps: readonly PlannedStep[],
    known: (key: Digest) => CacheRecord | undefined,
    signal: AbortSignal,
  ): Promise<readonly FoundRecord[]> {
    const found = new Map<Digest, FoundRecord>()
    const counts: Counts = new Map()
    const outputOf = (key: Digest) => (known(key) ?? found.get(key)?.record)?.outputKey
    for (;;) {
      const round = nextRound(steps, { counts, known: outputOf, asked: this.#asked })
      if (!round.steps.some(({ kind }) => kind === 'step')) return [...found.values()]
      const before = this.#asked.size
      for (const record of await this.#planRound(round, counts, signal))
        for (const key of record.keys) found.set(key, record)
      // What was asked for once is not asked for again: each round asks for something new.
      if (this.#asked.size === before) return [...found.values()]
    }
  }

  async find(wanted: readonly WantedRecord[], signal: AbortSignal): Promise<readonly FoundRecord[]> {
    const found: FoundRecord[] = []
    for (let from = 0; from < wanted.length; from += maxKeys) {
      const part = wanted.slice(from, from + maxKeys)
      const body = { keys: part.map(({ key }) => key) }
      const { records, trust } = await this.#ask('/v1/lookup', body, part.length, signal)
      for (const [place, one] of part.entries()) {
        const payload = this.#verified(records[place], one.key, trust)
        if (payload !== undefined) found.push(this.#found(payload, one, trust))
      }
    }
    return found
  }

  /** A layer of a record that was found by an earlier build may be in any repository of the chain. */
  async openBlob(
    ...[, blob, offset, signal]: Parameters<CacheImporter['openBlob']>
  ): ReturnType<CacheImporter['openBlob']> {
    for (const repository of await this.#repositoriesOf(blob.digest, signal)) {
      try {
        const reference = this.#connection.reference(repository)
        return await this.#connection.registry.fetchBlob(reference, blob, { offset, signal })
      } catch (error) {
        if (!isBuildError(error) || error.code !== 'ERR_IMAGE_NOT_FOUND') throw error
      }
    }
    return undefined
  }

  close(): Promise<void> {
    return this.#connection.close()
  }

  /** Asks for a round, and goes through it as the server did: a record that does not follow from the others is none. */
  async #planRound(
    { steps, planned }: PlanRound,
    counts: Counts,
    signal: AbortSignal,
  ): Promise<readonly FoundRecord[]> {
    const { records, trust } = await this.#ask('/v1/plan', { steps }, steps.length, signal)
    const payloads = new Map<number, StepPayload>()
    const evaluated = evaluatePlan(steps, (key, place) => {
      this.#asked.add(key)
      const payload = this.#verified(records[place], key, trust)
      if (payload !== undefined) payloads.set(place, payload)
      return payload?.result.outputKey
    })
    const found: FoundRecord[] = []
    for (const [place, step] of planned.entries()) {
      const outputKey = evaluated[place]?.outputKey
      const inputs = recordedInputs(step.inputs, counts)
      if (outputKey === undefined || inputs === undefined) continue
      counts.set(step.vertex.digest, outputKey)
      const payload = payloads.get(place)
      if (payload === undefined) continue
      const { op, inputNames } = step
      found.push(this.#found(payload, { op, inputs, inputNames }, trust))
    }
    return found
  }

  /** Under the key that was asked for and no other: what else a record says of its keys is not checked by anybody. */
  #found(
    { key, scope, result }: StepPayload,
    wanted: WantedStep,
    { capabilities }: ServerTrust,
  ): FoundRecord {
    const repository = capabilities.repositories[scope]
    const registryName = repository && this.#connection.registryName(repository)
    return foundRecord(result, [key], wanted, this.name, registryName)
  }

  async #ask(
    path: string,
    body: unknown,
    asked: number,
    signal: AbortSignal,
  ): Promise<{ readonly records: readonly (StepRecord | null)[]; readonly trust: ServerTrust }> {
    const call = { method: 'POST', path, body, purpose: 'look up', signal } as const
    const [trust, written] = await Promise.all([this.#connection.trust(signal), this.#connection.call(call)])
    const reply = parseLookupReply(written, asked)
    if (reply !== undefined) return { records: reply.records, trust }
    const what = `Cannot use cache-server "${redact(this.name)}"`
    throw new EnvironmentError('ERR_CACHE_SERVER', `${what}: its answer to ${path} makes no sense`)
  }

  #verified(record: StepRecord | null | undefined, key: Digest, trust: ServerTrust): StepPayload | undefined {
    if (record === null || record === undefined) return undefined
    const payload = verifiedPayload(record, key, trust)
    if (payload === 'untrusted') this.#sayUntrusted()
    if (typeof payload === 'string') return undefined
    const repository = trust.capabilities.repositories[payload.scope]
    if (repository !== undefined) this.#remember(payload.result.layer, repository)
    return payload
  }

  async #repositoriesOf(digest: Digest, signal: AbortSignal): Promise<readonly string[]> {
    const known = this.#repositories.get(digest)
    if (known !== undefined) return [known]
    const { read, repositories } = (await this.#connection.trust(signal)).capabilities
    return read.flatMap((scope) => repositories[scope] ?? [])
  }

  #remember(layers: readonly StoredLayer[], repository: string): void {
    for (const { digest } of layers)
      if (!this.#repositories.has(digest)) this.#repositories.set(digest, repository)
  }

  /** A miss is all that it costs; whoever set keys up wants to know. */
  #sayUntrusted(): void {
    if (this.#isUntrustedSaid) return
    this.#isUntrustedSaid = true
    this.#tools.warn?.(
      `Records of cache-server "${redact(this.name)}" are left out: they are not signed for their scope by a key that is trusted here`,
    )
  }
}
