import type { Digest } from '@tsbuild/digest'
import { sizeText } from '@tsbuild/errors'
import type { MergedGraph } from '@tsbuild/graph'
import type { LayerRef } from '@tsbuild/snapshot'
import type { CacheExporter, ExportedStep, ExportSummary, ExportTools } from '../types.ts'
import { type Activity, type BlobsOptions, createBlobs, createTools } from './export-tools.ts'
import { createGuard, type Guard, type GuardOptions } from './guard.ts'

/** A cache that does nothing for this long while a build waits for it is given up. */
const idleMs = 2000
/** What was sent has to be written and verified on the other side: so slowly at worst. */
const bytesWrittenPerMs = 20_000

/** One of `--cache-to`, not opened yet. */
export interface ExportTarget {
  readonly name: string
  readonly mode: 'min' | 'max'
  /** A failure is a warning, also where the build needs its caches. */
  readonly ignoreError: boolean
  /** @throws whatever keeps it from being opened */
  readonly open: (tools: ExportTools) => Promise<CacheExporter>
}

/** What the exports of a build work with. */
export interface ExportsOptions extends GuardOptions, BlobsOptions {
  readonly targets: readonly ExportTarget[]
  readonly signal: AbortSignal
  readonly now: () => number
  /** Shows an export as a vertex. */
  readonly show: <T>(name: string, body: (status: (line: string) => void) => Promise<T>) => Promise<T>
}

/** A step, before it is known for which export. */
export type SolvedLayer = Omit<ExportedStep, 'isThere'>

/** The caches that a build fills. */
export interface Exports {
  /** Its layer may be sent while later steps run. Does not throw. */
  add(step: SolvedLayer): void
  /**
   * Sends what is left and makes all of it found.
   *
   * @param steps all of the build, inputs before their readers; asked for only where they are wanted
   * @throws {EnvironmentError} `ERR_CACHE` where the build needs its caches and one failed
   */
  finish(graph: MergedGraph, steps: () => Promise<readonly SolvedLayer[]>): Promise<void>
  /** Gives all of them up. */
  abort(): Promise<void>
}

interface Export {
  readonly target: ExportTarget
  readonly guard: Guard
  readonly abort: AbortController
  readonly idle: IdleWatch
  /** What it was told of, by vertex. */
  readonly added: Map<Digest, ExportedStep>
  /** Rejects where it cannot be opened; nobody has to listen. */
  readonly opened: Promise<CacheExporter>
  status: (line: string) => void
}

/** Opens the exports of a build. */
export function openExports(options: ExportsOptions): Exports {
  const blobs = createBlobs(options)
  const belowOf = new WeakMap<LayerRef, readonly LayerRef[]>()
  const exports = options.targets.map((target) => openExport(target, options, { blobs, belowOf }))
  const note = ({ layers }: SolvedLayer) => {
    for (const [index, layer] of layers.entries())
      if (layer.kind === 'cached' && !belowOf.has(layer)) belowOf.set(layer, layers.slice(0, index))
  }
  return {
    add(step) {
      note(step)
      for (const one of exports) {
        if (!isWanted(one, step)) continue
        one.opened.then(
          (exporter) => addTo(one, exporter, step),
          () => {},
        )
      }
    },
    async finish(graph, all) {
      if (exports.length === 0) return
      const steps = await all()
      for (const step of steps) note(step)
      await Promise.all(
        exports.map((one) =>
          options.show(`exporting cache to ${one.target.name}`, async (status) => {
            one.status = status
            await finishOne(one, { graph, steps, signal: options.signal, status })
          }),
        ),
      )
    },
    async abort() {
      await Promise.all(exports.map((one) => giveUp(one)))
    },
  }
}

function openExport(
  target: ExportTarget,
  options: ExportsOptions,
  {
    blobs,
    belowOf,
  }: {
    readonly blobs: ReturnType<typeof createBlobs>
    readonly belowOf: WeakMap<LayerRef, readonly LayerRef[]>
  },
): Export {
  const abort = new AbortController()
  const signal = AbortSignal.any([options.signal, abort.signal])
  const idle = createIdleWatch(options.now)
  const required = options.required && !target.ignoreError
  const guard = createGuard(target.name, 'to', { warn: options.warn, required })
  const status = (line: string) => one.status(line)
  const tools = createTools(blobs, belowOf, { activity: idle, signal, status })
  const opened = Promise.resolve().then(() => target.open(tools))
  opened.catch(() => {})
  const one: Export = { target, guard, abort, idle, opened, added: new Map(), status: () => {} }
  return one
}

function isWanted({ target }: Export, { inImage }: SolvedLayer): boolean {
  return target.mode === 'max' || inImage
}

/** A step may be made again in the same build: it is told again when it counts as something else. */
function addTo({ added }: Export, exporter: CacheExporter, step: SolvedLayer): ExportedStep {
  const { vertex, record } = step
  const before = added.get(vertex)
  if (before?.record.outputKey === record.outputKey) return before
  const exported = { ...step, isThere: record.from === exporter.name }
  added.set(vertex, exported)
  exporter.add(exported)
  return exported
}

interface Finishing {
  readonly graph: MergedGraph
  readonly steps: readonly SolvedLayer[]
  readonly signal: AbortSignal
  readonly status: (line: string) => void
}

async function finishOne(one: Export, finishing: Finishing): Promise<void> {
  const { guard, idle } = one
  const { signal, status } = finishing
  const steps = finishing.steps.filter((step) => isWanted(one, step))
  if (steps.length === 0) {
    status('skipping cache export for empty result')
    return await giveUp(one)
  }
  try {
    const finish = async () => {
      const exporter = await one.opened
      const exported = steps.map((step) => addTo(one, exporter, step))
      return await exporter.finish({ graph: finishing.graph, steps: exported })
    }
    const summary = await idle.watch(finish)
    status(summaryOf(summary))
  } catch (error) {
    await giveUp(one)
    if (signal.aborted) throw error
    guard.fail(error)
    status('given up')
  }
}

function summaryOf({ records, sentBlobs, sentBytes, skippedBlobs }: ExportSummary): string {
  const sent = `${sentBlobs} ${sentBlobs === 1 ? 'layer' : 'layers'} sent (${sizeText(sentBytes)})`
  return `${records} ${records === 1 ? 'step' : 'steps'}, ${sent}, ${skippedBlobs} there already`
}

async function giveUp({ abort, opened }: Export): Promise<void> {
  abort.abort()
  const ending = opened.then((exporter) => exporter.abort()).catch(() => {})
  await Promise.race([ending, waited()])
}

/** Tidying up on the other side is not worth more than that. */
function waited(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, idleMs / 8).unref())
}

/** Gives work up on which nothing happens. */
interface IdleWatch extends Activity {
  watch<T>(work: () => Promise<T>): Promise<T>
}

function createIdleWatch(now: () => number): IdleWatch {
  let busy = 0
  let at = now()
  let allowedMs = idleMs
  const moved = () => {
    at = now()
  }
  return {
    moved,
    sent(bytes) {
      moved()
      allowedMs += bytes / bytesWrittenPerMs
    },
    async busy(work) {
      busy++
      try {
        return await work()
      } finally {
        busy--
        moved()
      }
    },
    async watch(work) {
      moved()
      let timer: NodeJS.Timeout | undefined
      const idle = new Promise<never>((_, reject) => {
        timer = setInterval(() => {
          if (busy > 0 || now() - at < allowedMs) return
          reject(new Error(`nothing was taken for ${Math.round(allowedMs / 1000)} s`))
        }, idleMs / 8)
      })
      try {
        const working = work()
        working.catch(() => {})
        return await Promise.race([working, idle])
      } finally {
        clearInterval(timer)
      }
    },
  }
}
