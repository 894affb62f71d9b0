import type { ExecOp, Vertex } from '@tsbuild/graph'
import type { Exceeded, OutcomeOf, RunOutput } from '@tsbuild/native'
import type { Filesystem, LayerRef, PreparedSnapshot } from '@tsbuild/snapshot'
import { isSnapshotId, type RecordWrite, type SnapshotId } from '@tsbuild/store'
import type { OpResult, OpsOptions } from '../types.ts'
import { untouchable } from './untouchable.ts'

/** What a process of the tests does: what it writes, and how it ends. */
export type Behaviour = (
  output: Extract<RunOutput, { kind: 'callbacks' }>,
) => Promise<Partial<OutcomeOf<'run'>>>

/** What every process of the tests used. */
export const usage = {
  userMicros: 1,
  systemMicros: 2,
  peakMemoryBytes: 3,
  readBytes: 4,
  writtenBytes: 5,
}

/** What the options of {@link recordingOptions} were used for, in order. */
export interface Recording {
  readonly options: OpsOptions
  readonly calls: string[]
  readonly processes: Readonly<Record<string, unknown>>[]
  readonly records: RecordWrite[]
  /** What failures say. */
  readonly kept: string[]
}

/** The id of the only snapshot. */
export const snapshotId = testId('ab'.repeat(16))

/** Makes a snapshot id of 32 hex digits. */
export function testId(text: string): SnapshotId {
  if (!isSnapshotId(text)) throw new RangeError(`"${text}" is no snapshot id`)
  return text
}

/**
 * Options with one snapshot and processes that behave as told; anything else of them cannot be used, unless it is in `more`.
 * A view of a file system is its snapshots' ids as directories.
 * @param content of what processes leave; default none
 */
export function recordingOptions(
  behave: Behaviour,
  more: Partial<OpsOptions> = {},
  content?: Promise<string>,
): Recording {
  const calls: string[] = []
  const processes: Readonly<Record<string, unknown>>[] = []
  const records: RecordWrite[] = []
  const kept: string[] = []
  const root = { lower: ['/lower'], upper: '/upper', work: '/work' }
  const snapshot: PreparedSnapshot = {
    id: snapshotId,
    root,
    finishing: { layerFd: 9 },
    commit: async (writes, { finished }) => {
      await finished
      calls.push('commit')
      records.push(...writes)
    },
    keep: async (ref, text) => {
      calls.push(`keep ${ref}`)
      if (ref === 'full') throw new Error('the disk is full')
      kept.push(text)
      return true
    },
    release: async () => void calls.push('release'),
  }
  const { snapshotter, executor } = {
    snapshotter: {
      prepare: async () => {
        calls.push('prepare')
        return snapshot
      },
      overlay: async (lower: readonly string[]) => {
        calls.push(`overlay ${lower}`)
        const count = calls.filter((call) => call.startsWith('overlay')).length
        return {
          root: { lower, upper: `/upper-${count}`, work: `/work-${count}` },
          release: async () => void calls.push('release overlay'),
        }
      },
      view: async ({ layers }: Filesystem) => ({
        lower: layers.map((layer) => `/view/${viewName(layer)}`).toReversed(),
        upper: null,
        work: null,
      }),
    },
    executor: {
      run: (step: Readonly<Record<string, unknown>>, output: RunOutput, finishing: object) => {
        calls.push('run')
        processes.push({ ...step, finishing })
        if (output.kind !== 'callbacks') throw new RangeError('the output of a step goes to callbacks')
        const outcome = behave(output).then((end) => ({
          ...usage,
          op: 'run',
          exitCode: 0,
          exceeded: null,
          ...end,
        }))
        const finished = outcome.then(() => undefined)
        finished.catch(() => {})
        return { outcome, content: content ?? finished, finished }
      },
      limitOf: ({ resource }: Exceeded) => ({ resource, amount: 1024, owner: 'build' }),
    },
  } as unknown as Pick<OpsOptions, 'snapshotter' | 'executor'>
  const given = {
    snapshotter,
    executor,
    layerOf: () => undefined,
    now: () => 42,
    failure: undefined,
    ...more,
  }
  const options = new Proxy(untouchable(), {
    get: (target, name) => Reflect.get(Object.hasOwn(given, name) ? given : target, name),
  })
  return { options, calls, processes, records, kept }
}

/** What a step upon one snapshot gave. */
export function resultOf(id: SnapshotId): OpResult {
  return { kind: 'filesystem', filesystem: { layers: [{ kind: 'snapshot', id, createdAt: 0 }] } }
}

/** The vertex of a step upon nothing. */
export function vertexOf(op: ExecOp, digest: Vertex['digest'], ignoreCache = false): Vertex {
  return { digest, op, inputs: [], name: 'RUN', source: null, ignoreCache }
}

function viewName(layer: LayerRef): string {
  if (layer.kind === 'cached') return layer.blobs.map(({ digest }) => digest).join()
  return layer.kind === 'image' ? layer.diffId : layer.id
}
