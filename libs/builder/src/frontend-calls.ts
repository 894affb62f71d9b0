import { isLintRule, lintPage, lintRules } from '@tsbuild/dockerfile'
import { type BuildError, isBuildError, UserError, withDetails } from '@tsbuild/errors'
import { checkDockerfile, type FrontendWarning, outlineOf, targetsOf } from '@tsbuild/frontend'
import type { ContextTools } from './contexts/fetch-context.ts'
import { loadMainContext, type MainContext } from './contexts/main-context.ts'
import { createInternalVertices } from './internal-vertex.ts'
import { type FrontendCall, frontendOptions } from './load-definition.ts'
import { type Machine, randomId } from './machine.ts'
import { createRemote } from './remote.ts'
import type { BuildRun } from './run-build.ts'
import { createSecretSource } from './secret-source.ts'
import { withSshAgents } from './ssh.ts'
import type {
  CallOptions,
  CheckReport,
  CheckWarning,
  OutlineReport,
  ReportSource,
  TargetsReport,
} from './types.ts'

/** A Dockerfile that was read for a call. */
interface Opened {
  readonly tools: ContextTools
  readonly main: MainContext
  readonly dockerfile: ReportSource
}

/** See `Builder.check`. */
export async function check(machine: Machine, options: CallOptions): Promise<CheckReport> {
  return await call(machine, options, async ({ tools, main, dockerfile }) => {
    const notices: FrontendWarning[] = []
    const warn = (notice: FrontendWarning) => void notices.push(notice)
    const noting = { ...tools, internal: { ...tools.internal, warn } }
    const parsed = tolerate(() => frontendOptions(noting, main))
    if (isBuildError(parsed))
      return { dockerfile, warnings: notices.map(described), error: parsed, unresolved: [] }
    const { warnings, error, unresolved } = await checkDockerfile(parsed)
    return {
      dockerfile,
      warnings: [...warnings, ...notices].map(described),
      error,
      unresolved: unresolved.map(({ reference, reason }) => ({ reference, reason: reason.message })),
    }
  })
}

/** See `Builder.outline`. */
export async function outline(machine: Machine, options: CallOptions): Promise<OutlineReport> {
  return await call(machine, options, async ({ tools, main, dockerfile }) => ({
    dockerfile,
    ...(await outlineOf(frontendOptions(tools, main))),
  }))
}

/** See `Builder.targets`. */
export async function targets(machine: Machine, options: CallOptions): Promise<TargetsReport> {
  return await call(machine, options, async ({ tools, main, dockerfile }) => ({
    dockerfile,
    targets: targetsOf(frontendOptions(tools, main)),
  }))
}

/** Reads the Dockerfile as a build does; nobody listens to the events. */
async function call<T>(
  machine: Machine,
  options: CallOptions,
  answer: (opened: Opened) => Promise<T>,
): Promise<T> {
  const signal = options.signal ?? new AbortController().signal
  const ref = randomId().slice(0, 24)
  const run = { machine, ref, options, events: () => {}, signal }
  try {
    signal.throwIfAborted()
    return await withSshAgents(run, (opened) => answerWith(opened, answer))
  } catch (error) {
    throw signal.aborted ? new UserError('ERR_CANCELLED', 'The call was cancelled') : error
  }
}

async function answerWith<T>(run: BuildRun, answer: (opened: Opened) => Promise<T>): Promise<T> {
  const internal = createInternalVertices(run.ref, run.events, run.machine.now)
  const tools = { run, internal, remote: createRemote(run, createSecretSource(run.options)) }
  const main = await loadMainContext(tools)
  const { shown: file, text } = main.file
  try {
    return await answer({ tools, main, dockerfile: { file, text } })
  } catch (error) {
    // The text may be no file.
    const isOfText = isBuildError(error) && error.source?.file === file
    throw isOfText ? withDetails(error, { sourceText: text }) : error
  }
}

/** Gives what is wrong in the Dockerfile as a value. */
function tolerate(parse: () => FrontendCall): FrontendCall | BuildError {
  try {
    return parse()
  } catch (error) {
    if (isBuildError(error) && error.kind === 'user' && error.source !== undefined) return error
    throw error
  }
}

function described({ rule, message, source }: FrontendWarning): CheckWarning {
  if (!isLintRule(rule)) return { rule, message, source }
  return { rule, message, source, summary: lintRules[rule].summary, page: lintPage(rule) }
}
