import { resolve } from 'node:path'
import type { BuildHandle, BuildResult } from '@tsbuild/builder'
import { goBoolean } from '@tsbuild/command-line'
import { isBuildError, redact, withHints } from '@tsbuild/errors'
import { type BuildEvent, type EventSink, teeSinks, toNdjson, toRawWarning } from '@tsbuild/events'
import { exitCodes } from '../exit-code.ts'
import type { Host } from '../host.ts'
import { createDisplay, type DisplayMode } from '../progress/create-display.ts'
import type { Display } from '../progress/display.ts'
import { countSteps, createTrace, type Trace, updateTrace } from '../progress/trace.ts'
import { warningsText } from '../progress/warnings.ts'
import { type BuildFlags, isQuiet } from './flags.ts'
import { imageId, metadataJson, openResultFile } from './results.ts'

/** The display moves on this often while no event comes. */
const tickMs = 100

/** What a build is shown and awaited with. */
export interface BuildRun {
  readonly flags: BuildFlags
  readonly mode: DisplayMode
  readonly host: Host
  /** Starts the build; every event of it goes to `onEvent`. */
  readonly start: (onEvent: EventSink) => BuildHandle
}

/**
 * Starts a build, shows it until it ends, and writes what the flags ask for. The first signal cancels the build, the
 * second one leaves at once with 130.
 *
 * @returns the exit code of a build that ended well or was cancelled
 * @throws {UserError | EnvironmentError | InternalError} what the build throws, except `ERR_CANCELLED`
 */
export async function runBuild(run: BuildRun): Promise<number> {
  const { flags, host } = run
  const open = (path: string | undefined) =>
    path === undefined ? undefined : openResultFile(resolve(host.cwd, path))
  const iidfile = await open(flags.iidfile)
  const metadataFile = await open(flags.metadataFile)
  const trace = createTrace()
  let result: BuildResult
  try {
    result = await showBuild(run, trace)
  } catch (error) {
    if (!isBuildError(error) || error.code !== 'ERR_CANCELLED') throw error
    host.stderr.write(cancelledText(trace))
    return exitCodes.cancelled
  }
  const id = imageId(result)
  await iidfile?.write(id ?? '')
  await metadataFile?.write(metadataJson(result, wantedWarnings(trace, host)))
  if (isQuiet(flags) && id !== undefined) host.stdout.write(`${id}\n`)
  return exitCodes.success
}

/** What lint found, for who asks for it as with buildx: `BUILDX_METADATA_WARNINGS`. */
function wantedWarnings({ warnings, vertexes }: Trace, { env }: Host): readonly object[] | undefined {
  if (goBoolean(env.BUILDX_METADATA_WARNINGS ?? '') !== true) return undefined
  const [definition] = [...vertexes].find(([, { name }]) => name.startsWith(definitionName)) ?? []
  return warnings.map((warning) => toRawWarning({ ...warning, message: redact(warning.message) }, definition))
}

const definitionName = '[internal] load build definition'

async function showBuild(run: BuildRun, trace: Trace): Promise<BuildResult> {
  const { host, mode } = run
  const display = createDisplay(mode, host)
  let reported = false
  let failed = false
  const handle = run.start(
    teeSinks(
      (event) => {
        updateTrace(trace, event)
        reported ||= event.type === 'build.failed'
      },
      (event) => display.update(event),
    ),
  )
  const stop = cancelOnSignal(handle, display, host)
  const timer = setInterval(() => display.tick(host.now()), tickMs)
  try {
    return await handle.result
  } catch (error) {
    failed = true
    const shown = mode === 'plain' || mode === 'tty'
    // Readers of the JSON form wait for an end, also of builds that fail before their first event.
    if (mode === 'json' && !reported) host.stderr.write(toNdjson(failure(error, handle.ref, host.now())))
    throw shown ? withCommandHints(error, handle.ref, run.flags) : error
  } finally {
    clearInterval(timer)
    stop()
    display.end(host.now())
    if (mode === 'plain' || mode === 'tty') {
      const gap = failed && trace.vertexes.size > 0 ? '\n' : ''
      host.stderr.write(`${warningsText(trace.warnings)}${gap}`)
    }
  }
}

function cancelOnSignal(handle: BuildHandle, display: Display, host: Host): () => void {
  let cancelled = false
  return host.onSignal(() => {
    if (cancelled) {
      display.end(host.now())
      host.exitNow(exitCodes.cancelled)
      return
    }
    cancelled = true
    handle.cancel()
  })
}

/** People are told that the failed step is still there, and all of its output; what a program reads stays as it is. */
function withCommandHints(error: unknown, ref: string, { root }: BuildFlags): unknown {
  if (!isBuildError(error)) return error
  const where = root === undefined ? '' : ` --root ${root}`
  const { failure, log } = error.details
  const step = typeof log === 'object' && log !== null && 'step' in log ? log.step : undefined
  return withHints(error, [
    ...(step === undefined
      ? []
      : [`All of its output: \`tsbuild logs${where} ${ref.slice(0, 12)} ${step}\`.`]),
    ...(failure === undefined ? [] : [`Look around with \`tsbuild shell${where}\`.`]),
  ])
}

/** An error as the event that ends a build. */
function failure(error: unknown, ref: string, at: number): BuildEvent {
  const message = redact(error instanceof Error ? error.message : String(error))
  return { type: 'build.failed', ref, code: isBuildError(error) ? error.code : 'ERR_INTERNAL', message, at }
}

function cancelledText(trace: Trace): string {
  const { kept, lost } = countSteps(trace)
  const steps = (count: number): string => `${count} ${count === 1 ? 'step' : 'steps'}`
  return `Cancelled: ${steps(kept)} finished and kept in the cache, ${steps(lost)} given up\n`
}
