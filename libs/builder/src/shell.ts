import { digestBytes } from '@tsbuild/digest'
import { InternalError, UserError } from '@tsbuild/errors'
import type { EventSink } from '@tsbuild/events'
import { createExecutor, type Executor } from '@tsbuild/executor'
import type { Vertex } from '@tsbuild/graph'
import {
  decodeFailure,
  type FailureRecord,
  type OpsOptions,
  openFailedPlace,
  type PlacedStep,
} from '@tsbuild/ops'
import { createSnapshotter, type Filesystem } from '@tsbuild/snapshot'
import type { KeptFailure } from '@tsbuild/store'
import { executionOptions } from './execution-options.ts'
import { withPlatformHints } from './foreign-platform.ts'
import type { Machine } from './machine.ts'
import type { FailedStep, ShellOptions } from './run-types.ts'
import { createSecretSource } from './secret-source.ts'
import { type SshAgents, withSshAgents } from './ssh.ts'

/** The failed steps that are kept, newest first. What cannot be read is passed over. */
export function failedSteps({ store }: Machine): readonly FailedStep[] {
  return store.failures.list().flatMap(({ ref, text }) => {
    const failure = decodeFailure(text)
    if (failure === undefined) return []
    const { at, name, source, code, exitCode } = failure
    return [{ ref, at, name, source, code, exitCode }]
  })
}

/**
 * Runs a shell, or a program, where a step failed. The failure is kept as long as it runs.
 *
 * @returns its exit code
 * @throws {UserError} `ERR_FAILURE_NOT_FOUND`; `ERR_ENTITLEMENT` for a step that had more than is allowed now
 */
export async function shell(machine: Machine, options: ShellOptions): Promise<number> {
  const step = chosen(failedSteps(machine), options.ref)
  const { ref } = step
  const used = await machine.store.failures.use(ref, async (kept) => {
    options.onOpen?.(step)
    return await runIn(machine, kept, options)
  })
  if (used === undefined) throw gone(ref, 'it is not kept any more')
  return used.value
}

/** @param ref the beginning of one is enough */
function chosen(steps: readonly FailedStep[], ref: string | undefined): FailedStep {
  const [newest] = steps
  if (newest === undefined)
    throw new UserError(
      'ERR_FAILURE_NOT_FOUND',
      'Cannot open a shell: no failed step is kept in this store',
      {
        hints: [
          'The last RUN steps that failed are kept, each build one. `tsbuild run IMAGE sh` opens a shell in an image.',
        ],
      },
    )
  if (ref === undefined) return newest
  const found = steps.filter((step) => ref !== '' && step.ref.startsWith(ref))
  const [step] = found
  if (step !== undefined && found.length === 1) return step
  const state = found.length === 0 ? 'no failed step of that build is kept' : 'several builds begin so'
  throw new UserError('ERR_FAILURE_NOT_FOUND', `Cannot open a shell in build "${ref}": ${state}`, {
    hints: steps.map(({ ref: known, name }) => `${known}: ${name}`),
  })
}

function gone(ref: string, why: string): UserError {
  return new UserError('ERR_FAILURE_NOT_FOUND', `Cannot open a shell in build "${ref}": ${why}`, {
    hints: ['Build again: the step fails again and is kept again.'],
  })
}

async function runIn(machine: Machine, kept: KeptFailure, options: ShellOptions): Promise<number> {
  const failure = decodeFailure(kept.text)
  if (failure === undefined) throw gone(kept.ref, 'what is kept of it cannot be read')
  assertKept(machine, failure)
  const executor = executorOf(machine, failure, options)
  try {
    return await withSshAgents({ machine, options, events: noticesTo(options) }, async ({ ssh }) => {
      const ops = opsOptions(machine, failure, executor, { options, ssh })
      try {
        return await runUpon(kept.path, failure, ops, options)
      } finally {
        await ops.snapshotter.close()
      }
    })
  } catch (error) {
    throw withPlatformHints(error)
  } finally {
    await executor.close()
  }
}

/** @param tree what the step had written */
async function runUpon(
  tree: string,
  failure: FailureRecord,
  ops: OpsOptions,
  options: ShellOptions,
): Promise<number> {
  const signal = options.signal ?? new AbortController().signal
  const { lower } = await ops.snapshotter.view(baseOf(failure), signal)
  const trees = options.when === 'before' ? lower : [tree, ...lower]
  const context = { vertex: vertexOf(failure), signal, events: noticesTo(options) }
  const place = await openFailedPlace(withoutMissing(failure, options), trees, ops, context)
  try {
    const [stdin, stdout, stderr] = options.stdio ?? [0, 1, 2]
    const process = {
      ...place.process,
      args: options.args ?? shellOf(failure),
      terminal: options.terminal === true,
    }
    const { outcome, finished } = ops.executor.run(
      process,
      { kind: 'fds', stdin, stdout, stderr },
      { signal, signals: options.signals },
    )
    await finished
    return (await outcome).exitCode
  } finally {
    await place.close()
  }
}

/** What a build would show. */
function noticesTo({ onNotice }: ShellOptions): EventSink {
  return (event) => {
    if (event.type === 'warning') onNotice?.(event.message)
    if (event.type === 'vertex.waiting') onNotice?.(`Waiting: ${event.reason}`)
  }
}

function vertexOf({ ref, op, name, source }: FailureRecord): Vertex {
  return { digest: digestBytes(ref), op, inputs: [], name, source, ignoreCache: false }
}

function baseOf({ op, inputs }: FailureRecord): Filesystem {
  return (op.rootfs === undefined ? undefined : inputs[op.rootfs]) ?? { layers: [] }
}

/** The layers of images can be fetched again; what steps made cannot. */
function assertKept({ store }: Machine, { ref, inputs }: FailureRecord): void {
  const layers = inputs.flatMap((input) => input.layers)
  if (
    layers.every(
      (layer) => layer.kind === 'image' || (layer.kind === 'snapshot' && store.snapshots.has(layer.id)),
    )
  )
    return
  throw gone(ref, 'a layer that it stands on is not kept any more')
}

/** The program that reads the step's command, without it. */
function shellOf({ op }: FailureRecord): readonly string[] {
  return [op.shell?.[0] ?? '/bin/sh']
}

/** Secrets and agents are the caller's, and given for each shell: what is not given is not there, and said. */
function withoutMissing({ op, inputs }: FailureRecord, options: ShellOptions): PlacedStep {
  const missing: string[] = []
  const mounts = op.mounts.filter((mount) => {
    if (mount.kind !== 'secret' && mount.kind !== 'ssh') return true
    const given = mount.kind === 'secret' ? options.secrets : options.ssh
    if (given !== undefined && Object.hasOwn(given, mount.id)) return true
    missing.push(mount.kind === 'secret' ? `--secret id=${mount.id},…` : `--ssh ${mount.id}`)
    return false
  })
  for (const flag of new Set(missing))
    options.onNotice?.(`The step had more: \`${flag}\` gives it to the shell.`)
  return {
    op: { ...op, mounts },
    inputs: inputs.map((filesystem) => ({ kind: 'filesystem', filesystem }) as const),
  }
}

function executorOf(machine: Machine, { op, walls }: FailureRecord, options: ShellOptions): Executor {
  return createExecutor({
    ...executionOptions({ ...walls, allow: options.allow, cgroupParent: op.cgroupParent }),
    native: machine.native,
    randomId: machine.randomId,
    trustCa: machine.options.trustCa ?? [],
    proxyEnv: [],
    ports: [],
    onNotice: (_rule, message) => options.onNotice?.(message),
  })
}

function opsOptions(
  machine: Machine,
  failure: FailureRecord,
  executor: Executor,
  { options, ssh }: { readonly options: ShellOptions; readonly ssh: SshAgents },
): OpsOptions {
  const { store, native, now } = machine
  const unused = () => {
    throw new InternalError('ERR_INTERNAL', 'a step that failed reads no build context')
  }
  return {
    native,
    executor,
    snapshotter: createSnapshotter({
      store,
      native,
      fetch: machine.images.fetchLayer,
    }),
    hasSnapshot: (id) => store.snapshots.has(id),
    layerOf: () => undefined,
    contexts: unused,
    fetch: unused,
    scratch: () => store.sources.scratch(),
    putFileList: unused,
    cacheMounts: store.cacheMounts,
    // Not the caller's: in these files runs what the build brought.
    scope: failure.scope,
    secrets: createSecretSource(options),
    secretDigests: new Map(),
    ssh: ssh.forStep,
    failure: undefined,
    now,
  }
}
