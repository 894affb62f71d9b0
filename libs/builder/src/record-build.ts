import { isBuildError, withDetails } from '@tsbuild/errors'
import { teeSinks } from '@tsbuild/events'
import { type BuildRecord, createRecorder, failureOf, type HistoryLimits } from '@tsbuild/history'
import { formatPlatform, hostPlatform } from '@tsbuild/oci'
import { requestOf } from './build-request.ts'
import type { BuildRun } from './run-build.ts'
import type { BuilderOptions, BuildResult } from './types.ts'
import { whyEnded } from './why-ended.ts'

/** What is kept where nothing is said. */
const defaultLimits: HistoryLimits = { builds: 100, ageMs: 30 * 24 * 3_600_000, bytes: 1024 ** 3 }

/** A build that is not recorded yet. */
export interface UnrecordedRun extends Omit<BuildRun, 'ssh' | 'recorder'> {
  readonly name: string
  /** Unix ms. */
  readonly startedAt: number
}

/**
 * Runs `body` and keeps its history. The error of a step whose output is longer than what the error shows says where all of it
 * is: `{ log: { step: number } }` in its details.
 *
 * @throws what `body` throws
 */
export async function recordBuild(
  run: UnrecordedRun,
  body: (run: Omit<BuildRun, 'ssh'>) => Promise<BuildResult>,
): Promise<BuildResult> {
  const { machine, ref, name, startedAt, options, signal } = run
  const limits = limitsOf(machine.options)
  if (limits.builds === 0) return await body(run)
  const recorder = createRecorder({
    store: machine.store.builds,
    facts: {
      ref,
      name,
      request: requestOf(options),
      version: machine.options.version ?? 'unknown',
      machine: formatPlatform(hostPlatform(process.arch)),
      pid: process.pid,
      startedAt,
    },
    limits,
    now: machine.now,
    warn: run.events,
  })
  let result: BuildResult
  try {
    result = await body({ ...run, events: teeSinks(recorder.events, run.events), recorder })
  } catch (thrown) {
    const error = failureOf(whyEnded(thrown, signal))
    const outcome = error.code === 'ERR_CANCELLED' ? 'cancelled' : 'failed'
    throw withLog(thrown, await recorder.end({ outcome, error, image: null }))
  }
  const { image, configDigest = null } = result
  await recorder.end({
    outcome: 'completed',
    error: null,
    image: image === undefined ? null : { digest: image.digest, configDigest },
  })
  return result
}

/** What is not said, or said to be undefined, is as by default. */
function limitsOf({ history = {} }: BuilderOptions): HistoryLimits {
  const { builds, ageMs, bytes } = history
  return {
    builds: builds ?? defaultLimits.builds,
    ageMs: ageMs ?? defaultLimits.ageMs,
    bytes: bytes ?? defaultLimits.bytes,
  }
}

/** The shown lines of a step are its last ones. */
function withLog(error: unknown, record: BuildRecord | undefined): unknown {
  const lines = isBuildError(error) ? error.details.lastLines : undefined
  const step = record?.steps.find(({ outcome }) => outcome === 'failed')
  if (!Array.isArray(lines) || step === undefined) return error
  const shownBytes = lines.reduce((sum, line) => sum + Buffer.byteLength(String(line)) + 1, 0)
  return step.log.bytes <= shownBytes ? error : withDetails(error, { log: { step: step.number } })
}
