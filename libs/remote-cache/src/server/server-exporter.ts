import { setMaxListeners } from 'node:events'
import {
  encodePayload,
  maxPutBytes,
  maxPutRecords,
  type PutOutcome,
  parsePutRecordsReply,
  type StepPayload,
  type StepRecord,
  stepPayloadType,
} from '@tsbuild/cache-protocol'
import type { Digest } from '@tsbuild/digest'
import { EnvironmentError, redact } from '@tsbuild/errors'
import type { LayerForm } from '@tsbuild/native'
import type { StoredLayer } from '@tsbuild/store'
import type {
  CacheExporter,
  CacheTarget,
  ExportedStep,
  ExportSummary,
  ExportTools,
  FinishedBuild,
  OpenTools,
} from '../types.ts'
import { type BlobPlace, BlobSender } from './blob-sender.ts'
import { connectTo, type ServerConnection } from './connection.ts'
import { payloadsOf } from './step-payload.ts'

type ServerTarget = Extract<CacheTarget, { type: 'server' }>

/**
 * Exports to a cache-server: layers while later steps run, as many as its scope lacks, and the records at the end, in one request. Of steps that
 * were found there nothing is sent, and nothing is asked unless the build fails without the server.
 */
export function openServerExporter(
  target: ServerTarget,
  tools: OpenTools,
  using: ExportTools,
): CacheExporter {
  return new ServerExporter(target, tools, using)
}

class ServerExporter implements CacheExporter {
  readonly name: string
  readonly #target: ServerTarget
  readonly #tools: OpenTools
  readonly #using: ExportTools
  readonly #connection: ServerConnection
  readonly #gone = new AbortController()
  readonly #signal: AbortSignal
  readonly #blobs: BlobSender
  readonly #layers = new Map<ExportedStep, Promise<readonly StoredLayer[]>>()

  constructor(target: ServerTarget, tools: OpenTools, using: ExportTools) {
    this.#target = target
    this.#tools = tools
    this.#using = using
    this.#connection = connectTo(target, { ...tools, tell: using.status })
    this.name = this.#connection.name
    this.#signal = AbortSignal.any([using.signal, this.#gone.signal])
    // Every blob under way listens to it.
    setMaxListeners(0, this.#signal)
    this.#blobs = new BlobSender((signal) => this.#place(signal), this.#signal)
  }

  add(step: ExportedStep): void {
    if (!this.#isWanted(step) || this.#layers.has(step)) return
    const layers = this.#send(step)
    // Waited for in `finish`.
    layers.catch(() => this.#gone.abort())
    this.#layers.set(step, layers)
  }

  async finish({ steps }: FinishedBuild): Promise<ExportSummary> {
    const wanted = steps.filter((step) => this.#isWanted(step))
    for (const step of wanted) this.add(step)
    try {
      if (this.#tools.required === true) await this.#place(this.#signal)
      const records = await this.#store(await this.#settled(wanted))
      return { records, ...this.#blobs.counts }
    } finally {
      await this.#connection.close()
    }
  }

  async abort(): Promise<void> {
    this.#gone.abort()
    await Promise.allSettled(this.#layers.values())
    await this.#connection.close()
  }

  #isWanted({ isThere, layers, inImage }: ExportedStep): boolean {
    const isInMode = inImage || (this.#target.mode ?? 'max') === 'max'
    return isThere !== true && layers.length > 0 && isInMode
  }

  async #place(signal: AbortSignal): Promise<BlobPlace> {
    const { capabilities } = await this.#connection.trust(signal)
    const { write, read, repositories } = capabilities
    const repository = write === null ? undefined : repositories[write]
    if (write === null || repository === undefined) throw this.#failure('the token writes no scope')
    const others = read.flatMap((scope) => (scope === write ? [] : (repositories[scope] ?? [])))
    return { connection: this.#connection, scope: write, repository, others }
  }

  async #send(step: ExportedStep): Promise<readonly StoredLayer[]> {
    const own = step.layers.at(-1)
    if (own === undefined) return []
    const written = step.form ?? this.#usualForm(own.kind === 'snapshot')
    const forms = [written, ...(step.clamped === undefined ? [] : [step.clamped])]
    const blobs = await Promise.all(forms.map((form) => this.#using.blobOf(own, form, this.#signal)))
    const once = [...new Map(blobs.map((blob) => [blob.layer.digest, blob])).values()]
    await Promise.all(once.map((blob) => this.#blobs.send(blob)))
    return once.map(({ layer }) => layer)
  }

  /** @returns undefined for whatever form there is */
  #usualForm(isOwn: boolean): LayerForm | undefined {
    const { compression } = this.#target
    return isOwn && compression !== undefined ? { compression, clampMtime: null } : undefined
  }

  /** The first failure is the one that is thrown: the others were given up for it. */
  async #settled(steps: readonly ExportedStep[]): Promise<readonly StepPayload[]> {
    const outcomes = await Promise.allSettled(steps.map((step) => this.#layers.get(step)))
    const failures = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [outcome.reason] : []))
    if (failures.length > 0) throw failures.find((reason) => !isAbort(reason)) ?? failures[0]
    if (steps.length === 0) return []
    const { scope } = await this.#place(this.#signal)
    return steps.flatMap((step, index) => {
      const outcome = outcomes[index]
      const layer = outcome?.status === 'fulfilled' ? outcome.value : undefined
      if (layer === undefined || layer.length === 0) return []
      return payloadsOf({ keys: step.keys, record: step.record, layer }, scope, this.#tools.builder)
    })
  }

  /** @returns how many results the server has of this build */
  async #store(payloads: readonly StepPayload[]): Promise<number> {
    const outcomes = await this.#put(payloads)
    const lacking = payloads.filter((_, index) => outcomes[index]?.outcome === 'missing')
    const digests = outcomes.flatMap((outcome) => (outcome.outcome === 'missing' ? outcome.digests : []))
    // What it said to have when it was asked is gone by now, or was never whole: sent, once more.
    const isSent = lacking.length > 0 && (await this.#blobs.sendAgain([...new Set<Digest>(digests)]))
    const all = isSent ? [...outcomes, ...(await this.#put(lacking))] : outcomes
    const after = isSent
      ? all.filter((outcome, index) => index >= outcomes.length || outcome.outcome !== 'missing')
      : all
    this.#warnOfDifferent(payloads.filter((_, index) => outcomes[index]?.outcome === 'different'))
    for (const outcome of after) {
      if (outcome.outcome === 'missing') throw this.#failure('it does not keep the layers that it takes')
      if (outcome.outcome === 'forbidden' || outcome.outcome === 'invalid')
        throw this.#failure(outcome.reason)
      if (outcome.outcome === 'full') throw this.#failure(`it is full: ${outcome.reason}`)
    }
    const stored = [...payloads, ...(isSent ? lacking : [])].filter((_, index) => {
      const outcome = all[index]?.outcome
      return outcome === 'stored' || outcome === 'same'
    })
    // A step has a record for each of its keys.
    return new Set(stored.map(({ result }) => result.outputKey)).size
  }

  async #put(payloads: readonly StepPayload[]): Promise<readonly PutOutcome[]> {
    const outcomes: PutOutcome[] = []
    for (const records of batchesOf(payloads.map(recordOf))) {
      const body = { records }
      const call = {
        method: 'POST',
        path: '/v1/records',
        body,
        purpose: 'store',
        signal: this.#signal,
      } as const
      const reply = parsePutRecordsReply(await this.#connection.call(call), records.length)
      if (reply === undefined) throw this.#failure('its answer to /v1/records makes no sense')
      outcomes.push(...reply.outcomes)
    }
    return outcomes
  }

  #warnOfDifferent(payloads: readonly StepPayload[]): void {
    const names = [...new Set(payloads.map(({ result }) => result.name))]
    const [first] = names
    if (first === undefined) return
    const others =
      names.length === 1 ? '' : ` and ${names.length - 1} other ${names.length === 2 ? 'step' : 'steps'}`
    this.#tools.warn?.(
      `"${first}"${others} gave another result than cache-server "${redact(this.name)}" has of the same inputs: what it has stays`,
    )
  }

  #failure(why: string): EnvironmentError {
    return new EnvironmentError(
      'ERR_CACHE_SERVER',
      `Cannot export to cache-server "${redact(this.name)}": ${why}`,
    )
  }
}

function recordOf(payload: StepPayload): StepRecord {
  const written = Buffer.from(encodePayload(payload)).toString('base64')
  return { envelope: { payloadType: stepPayloadType, payload: written, signatures: [] } }
}

/** As many records at a time as one request may have. */
function batchesOf(records: readonly StepRecord[]): readonly (readonly StepRecord[])[] {
  const batches: StepRecord[][] = []
  let bytes = Number.POSITIVE_INFINITY
  for (const record of records) {
    const size = record.envelope.payload.length + 200
    const last = batches.at(-1)
    if (last === undefined || last.length >= maxPutRecords || bytes + size > maxPutBytes - 100) {
      batches.push([record])
      bytes = size
    } else {
      last.push(record)
      bytes += size
    }
  }
  return batches
}

function isAbort(error: unknown): boolean {
  return (
    error instanceof Error &&
    (error.name === 'AbortError' || ('code' in error && error.code === 'ERR_CANCELLED'))
  )
}
